"""Whatever messages come, how often and in which order: the two sets become equal, once."""

import random
from collections.abc import Iterable

import pytest

from iris.model.errors import Internal
from iris.model.ids import AttemptUid
from iris.worker.reconcile import Actions, Reconciler, Standing, Wanted

A, B, C = AttemptUid("a"), AttemptUid("b"), AttemptUid("c")


class Worker:
    """Does what it is told, and counts it."""

    def __init__(self) -> None:
        self.reconciler: Reconciler[str] = Reconciler()
        self.started: list[AttemptUid] = []
        self.stopped: list[AttemptUid] = []

    def hear(
        self,
        *run: AttemptUid,
        stop: Iterable[AttemptUid] = (),
        complete: bool = False,
        specs: bool = True,
    ) -> Actions[str]:
        wanted = [Wanted(uid, f"spec of {uid}" if specs else None) for uid in run]
        actions = self.reconciler.desired(complete=complete, run=wanted, stop=stop)
        self.started += [uid for uid, _ in actions.start]
        self.stopped += [stop.uid for stop in actions.stop]
        return actions


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_what_is_wanted_is_started_once(worker: Worker) -> None:
    assert worker.hear(A, B).start == ((A, "spec of a"), (B, "spec of b"))
    worker.hear(A)
    worker.hear(A, B, complete=True)
    worker.hear(A, A, C)
    assert worker.started == [A, B, C]
    assert worker.stopped == []


def test_what_is_not_wanted_is_stopped_once(worker: Worker) -> None:
    worker.hear(A, B)
    worker.hear(stop=[A])
    worker.hear(stop=[A, C])
    worker.hear(B, complete=True)
    assert worker.stopped == [A]
    assert worker.reconciler.standing(A) is Standing.STOPPING


def test_a_complete_set_stops_strangers_and_says_why(worker: Worker) -> None:
    worker.hear(A, B)
    (stop,) = worker.hear(B, C, complete=True).stop
    assert (stop.uid, stop.reason) == (A, "the controller does not want it here")
    assert worker.started == [A, B, C]


def test_a_change_leaves_the_others_alone(worker: Worker) -> None:
    worker.hear(A)
    worker.hear(B)
    assert worker.stopped == []


def test_an_end_is_kept_until_it_is_acknowledged(worker: Worker) -> None:
    worker.hear(A)
    worker.reconciler.finished(A)
    worker.hear(complete=True)
    worker.hear(A, complete=True, specs=False)
    assert worker.reconciler.standing(A) is Standing.FINISHED
    assert worker.reconciler.acknowledged([A, A, B]) == (A,)
    assert worker.reconciler.standing(A) is None
    assert worker.stopped == []


def test_what_still_runs_is_not_forgotten_whatever_is_acknowledged(worker: Worker) -> None:
    worker.hear(A)
    assert worker.reconciler.acknowledged([A]) == ()
    assert worker.reconciler.standing(A) is Standing.ACTIVE


def test_what_was_forgotten_is_not_run_again(worker: Worker) -> None:
    worker.hear(A)
    worker.reconciler.finished(A)
    worker.reconciler.acknowledged([A])
    worker.hear(A)
    worker.hear(A, complete=True, specs=False)
    assert worker.started == [A]


def test_an_attempt_that_is_not_here_needs_a_spec_and_nothing_else_is_done(worker: Worker) -> None:
    worker.hear(A)
    with pytest.raises(Internal, match="b to run"):
        worker.reconciler.desired(complete=True, run=[Wanted(C, "spec"), Wanted(B, None)], stop=[A])
    assert worker.reconciler.standing(A) is Standing.ACTIVE
    assert worker.reconciler.standing(C) is None


def test_what_is_remembered_is_bounded(worker: Worker) -> None:
    for number in range(20_000):
        uid = AttemptUid(str(number))
        worker.reconciler.finished(uid)
        worker.reconciler.acknowledged([uid])
    assert len(worker.reconciler._forgotten) == 10_000
    worker.hear(AttemptUid("19999"), AttemptUid("0"))
    assert worker.started == ["0"]


def test_random_histories_end_with_equal_sets(test_seed: str) -> None:
    rng = random.Random(test_seed)
    for _ in range(100):
        worker, wanted, running = Worker(), set[AttemptUid](), set[AttemptUid]()
        for number in range(60):
            if wanted and rng.random() < 0.4:
                gone = rng.choice(sorted(wanted))
                wanted.remove(gone)
                worker.hear(stop=[gone] * rng.randint(1, 2))
            elif rng.random() < 0.2:
                worker.hear(*wanted, complete=True)
            else:
                wanted.add(AttemptUid(str(number)))
                worker.hear(AttemptUid(str(number)))
            running = set(worker.started) - set(worker.stopped)
            for uid in rng.sample(sorted(running), len(running) // 4):
                worker.reconciler.finished(uid)
        worker.hear(*wanted, complete=True)
        left = set(worker.started) - set(worker.stopped)
        ended = {u for u in left if worker.reconciler.standing(u) is Standing.FINISHED}
        assert left - ended <= wanted <= left | ended, f"seed {test_seed}"
        assert len(set(worker.started)) == len(worker.started), f"seed {test_seed}"
        assert len(set(worker.stopped)) == len(worker.stopped), f"seed {test_seed}"
