"""When the kernel is asked whether it killed somebody for lack of memory."""

from iris.worker.runtime.attempt_groups import AttemptGroups
from iris.worker.runtime.cgroups import Groups
from iris.worker.runtime.limits import MEMORY, Excess, TreeLimits
from iris.worker.runtime.oom_watch import OomWatch


class Kernel(AttemptGroups):
    """Groups whose counters the test sets."""

    def __init__(self, *, tells: bool) -> None:
        super().__init__(Groups([]), "1-1", TreeLimits(), to_kill=False)
        self.enforced = frozenset({MEMORY})
        self.oom_fd = 99 if tells else -1
        self.kills = 0
        self.drained = 0

    def oom_kills(self) -> int:
        return self.kills

    def peak_memory_bytes(self) -> int:
        return 1000

    def drain_oom(self) -> None:
        self.drained += 1


def test_where_the_kernel_tells_nothing_is_asked_before() -> None:
    kernel = Kernel(tells=True)
    watch = OomWatch(kernel)
    watch.begin(100.0)
    kernel.kills = 1
    assert watch.due() is None
    assert watch.look(200.0) is None
    watch.on_news(200.0)
    assert kernel.drained == 1
    assert watch.look(200.0) == Excess(MEMORY, 1000)


def test_news_may_come_before_the_count() -> None:
    kernel = Kernel(tells=True)
    watch = OomWatch(kernel)
    watch.begin(100.0)
    watch.on_news(200.0)
    assert watch.look(200.0) is None
    due = watch.due()
    assert due is not None
    assert 200.0 < due < 200.1
    kernel.kills = 1
    assert watch.look(due) == Excess(MEMORY, 1000)


def test_news_of_nothing_are_forgotten() -> None:
    watch = OomWatch(Kernel(tells=True))
    watch.on_news(200.0)
    now, looks = 200.0, 0
    while (due := watch.due()) is not None:
        now = max(now, due)
        assert watch.look(now) is None
        looks += 1
        assert looks < 1000
    assert now >= 201.0


def test_where_it_does_not_tell_it_is_asked_again_and_again() -> None:
    kernel = Kernel(tells=False)
    watch = OomWatch(kernel)
    assert watch.due() is None
    watch.begin(100.0)
    for _ in range(5):
        due = watch.due()
        assert due is not None
        assert watch.look(due) is None
    kernel.kills = 1
    assert watch.look((watch.due() or 0) - 0.001) is None, "not before it is due"
    assert watch.look(watch.due() or 0) == Excess(MEMORY, 1000)


def test_nothing_is_asked_without_a_limit() -> None:
    kernel = Kernel(tells=False)
    kernel.enforced = frozenset()
    watch = OomWatch(kernel)
    watch.begin(100.0)
    assert watch.due() is None
