"""One job and what belongs to it."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from iris.controller.state.queue import JobClass
from iris.controller.state.ready import NONE_READY, Ready
from iris.controller.state.records import JobRecord
from iris.controller.state.tasks import Tasks
from iris.model.ids import AttemptUid, JobId
from iris.model.states import TaskState
from iris.scheduler.snapshot import PendingJob, Request

_NOBODY: frozenset[int] = frozenset()


@dataclass(slots=True, eq=False)
class Job:
    """A job and what belongs to it. Many wait untouched, so what has not happened takes no room.

    Attributes:
        job_class: What it waits with.
        tasks: By index.
        ready: Indices of the PENDING tasks that wait for nothing but a place, in the order in which
            they are served.
        queued: How many of them the scheduler is shown; 0: the job is not startable.
        pending_view: What the scheduler was shown last; None after a change of `ready`.
    """

    record: JobRecord
    job_class: JobClass
    tasks: Tasks
    ready: Ready = NONE_READY
    queued: int = 0
    pending_view: PendingJob | None = None
    _attempts: dict[int, tuple[AttemptUid, ...]] | None = None
    _counts: dict[TaskState, int] | None = None
    _held: set[int] | None = None

    @property
    def job_id(self) -> JobId:
        """Its id."""
        return self.record.job_id

    @property
    def request(self) -> Request:
        """What its tasks ask for; the same object for all that ask for the same."""
        return self.job_class.request

    @property
    def is_gang(self) -> bool:
        """Whether its tasks start, and end, together."""
        return self.record.spec.gang is not None

    @property
    def is_startable(self) -> bool:
        """Whether the scheduler should look at it."""
        if self.is_gang:
            return len(self.ready) == len(self.tasks)
        return bool(self.ready)

    @property
    def is_ending(self) -> bool:
        """Whether it has ended, or is certain to: nothing of it is placed any more."""
        return bool(self.record.error) or self.record.state.is_terminal

    @property
    def counts(self) -> Mapping[TaskState, int]:
        """How many tasks are in each state."""
        if self._counts is None:
            return {TaskState.PENDING: len(self.tasks)}
        return self._counts

    @property
    def never_placed(self) -> int:
        """How many tasks have had no attempt."""
        return len(self.tasks) - (0 if self._attempts is None else len(self._attempts))

    @property
    def held(self) -> AbstractSet[int]:
        """Members of a gang whose attempts succeeded while others still run. A gang ends as one:
        until then they may have to run again.
        """
        return _NOBODY if self._held is None else self._held

    def hold(self, index: int) -> None:
        """A member has succeeded before the others."""
        if self._held is None:
            self._held = set()
        self._held.add(index)

    def let_go(self, index: int) -> None:
        """The member is no longer held, if it was."""
        if self._held is not None:
            self._held.discard(index)

    def attempt_uids(self, index: int) -> Sequence[AttemptUid]:
        """A task's attempts, oldest first."""
        return () if self._attempts is None else self._attempts.get(index, ())

    def all_attempt_uids(self) -> Iterator[AttemptUid]:
        """Those of all tasks."""
        for uids in (self._attempts or {}).values():
            yield from uids

    def add_attempt(self, index: int, uid: AttemptUid) -> None:
        """A task has one more."""
        if self._attempts is None:
            self._attempts = {}
        self._attempts[index] = (*self._attempts.get(index, ()), uid)

    def count(self, from_: TaskState, to: TaskState) -> None:
        """A task has gone from one state to another."""
        counts = self._counts
        if counts is None:
            counts = self._counts = {TaskState.PENDING: len(self.tasks)}
        if counts[from_] == 1:
            del counts[from_]
        else:
            counts[from_] -= 1
        counts[to] = counts.get(to, 0) + 1
