"""In which order one band is served: fair shares between users, first come first served within one
user's work, and no user beyond the budget.

The measure of a share is that of dominant resource fairness: the largest of the fractions that a
user holds of the fleet's cores, memory, disk, ports and accelerators
(https://www.usenix.org/legacy/event/nsdi11/tech/full_papers/Ghodsi.pdf), divided by the user's
weight. Users with equal shares are served in the order of their oldest waiting jobs.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping

from iris.model.ids import TaskId, WorkerId
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.scheduler.gangs import Shortfall
from iris.scheduler.policy import SchedulingPolicy, UserPolicy
from iris.scheduler.snapshot import PendingClass, PendingJob, Placement, ReadyTask

_NOTHING = Resources()
_NO_LIMIT = 1 << 60
# By so much of the fleet a user may be ahead of others in the middle of a pass. To take turns task by
# task in a large fleet would be to search a place for each alone; in a small one this is less than
# a task.
_GRAIN = 0.001


class Cursor:
    """Walks through the tasks of one class, job by job. Looks at a job only when it gets to it.

    Attributes:
        of: The class.
        placed: How many of its tasks were placed.
        first_unplaced: The first job that was passed over.
        waits_for_stop: How many of its tasks have room coming.
        is_stuck: One of its gangs found no group with room, so none of the others would.
        shortfall: What the first of its gangs that found no place was short of.
    """

    def __init__(self, of: PendingClass) -> None:
        self.of = of
        self.placed = 0
        self.first_unplaced: PendingJob | None = None
        self.waits_for_stop = 0
        self.is_stuck = False
        self.shortfall: Shortfall | None = None
        self._jobs: Iterator[PendingJob] = iter(of.jobs)
        self._at = 0
        self._job = self._next_job()

    @property
    def job(self) -> PendingJob | None:
        """The job whose turn it is; None: that was all."""
        return self._job

    @property
    def number(self) -> int:
        """Of that job."""
        assert self._job is not None, "the class has been walked through"
        return self._job.number

    @property
    def task(self) -> ReadyTask:
        """The task whose turn it is."""
        assert self._job is not None, "the class has been walked through"
        return self._job.tasks[self._at]

    @property
    def left(self) -> int:
        """Tasks of the class that were not placed."""
        return self.of.tasks - self.placed

    def place_run(
        self, worker_id: WorkerId, limit: int, below: int, placements: list[Placement]
    ) -> int:
        """Gives a worker this task and those that follow, `limit` at most, as long as they avoid
        the same workers and belong to jobs with a number below that; how many.
        """
        avoid, before = self.task.avoid, self.placed
        while limit > 0 and self._job is not None and self._job.number < below:
            tasks = self._job.tasks
            run = tasks[self._at : self._at + limit]
            for count, task in enumerate(run):
                if task.avoid is not avoid and task.avoid != avoid:
                    run = run[:count]
                    break
            placements += [Placement(task.task_id, worker_id) for task in run]
            self._advance(len(run))
            limit -= len(run)
            if self._job is not None and self._job.tasks[self._at].avoid != avoid:
                break
        return self.placed - before

    def place_gang(self, workers: Iterable[WorkerId], placements: list[Placement]) -> None:
        """Gives all tasks of the gang whose turn it is a worker each."""
        assert self._job is not None, "the class has been walked through"
        ids: list[TaskId] = [task.task_id for task in self._job.tasks]
        placements += [Placement(*pair) for pair in zip(ids, workers, strict=True)]
        self._advance(len(ids))

    def pass_over(self) -> None:
        """The job whose turn it is finds no place, or not for all of its tasks."""
        if self.first_unplaced is None:
            self.first_unplaced = self._job
        self._at = 0
        self._job = self._next_job()

    def _advance(self, count: int) -> None:
        assert self._job is not None, "the class has been walked through"
        self.placed += count
        self._at += count
        if self._at >= len(self._job.tasks):
            self._at = 0
            self._job = self._next_job()

    def _next_job(self) -> PendingJob | None:
        return next((job for job in self._jobs if job.tasks), None)


class Accounts:
    """What users hold, as a pass gives more to them."""

    def __init__(
        self,
        usage: Mapping[tuple[str, PriorityBand], Resources],
        total: Resources,
        policy: SchedulingPolicy,
    ) -> None:
        self._policy = policy
        # By band, then by user: a band's own table is looked into for every placement.
        self._usage: dict[PriorityBand, dict[str, Resources]] = {band: {} for band in PriorityBand}
        # What the fleet lacks counts for nothing.
        self._per_unit = {name: 1 / amount for name, amount in total.amounts() if amount}
        names = ("cpu", "memory", "disk", "ports")
        self._plain = tuple(self._per_unit.get(name, 0.0) for name in names)
        self._held: dict[str, Resources] = {}
        self._promised: dict[str, Resources] = {}
        for (user, band), amount in usage.items():
            self._usage[band][user] = amount
            self._held[user] = self._held.get(user, _NOTHING) + amount

    def policy_of(self, user: str) -> UserPolicy:
        """What holds for a user."""
        return self._policy.of_user(user)

    def held_by(self, user: str) -> Resources:
        """In all bands."""
        return self._held.get(user, _NOTHING)

    def within_budget(self, user: str, need: Resources, limit: int) -> int:
        """How many tasks that need so much the user's budget has room for, `limit` at most."""
        policy = self._policy.of_user(user)
        if not policy.budget:
            return limit
        return policy.copies_within(need, self.held_by(user), limit)

    def not_promised(self, user: str, need: Resources, limit: int) -> int:
        """The same, besides the work that room is coming for."""
        policy = self._policy.of_user(user)
        if not policy.budget:
            return limit
        taken = self.held_by(user) + self._promised.get(user, _NOTHING)
        return policy.copies_within(need, taken, limit)

    def promise(self, user: str, amount: Resources) -> None:
        """Room is coming for so much work of the user: nobody is stopped for more than the budget
        lets the user have.
        """
        if self._policy.of_user(user).budget:
            self._promised[user] = self._promised.get(user, _NOTHING) + amount

    def add(self, user: str, band: PriorityBand, amount: Resources) -> None:
        """The user got this much more."""
        held = self._usage[band]
        held[user] = held[user] + amount if user in held else amount
        if self._policy.of_user(user).budget:
            self._held[user] = self.held_by(user) + amount

    def fraction(self, amount: Resources) -> float:
        """The largest fraction of the fleet that it is."""
        cpu, memory, disk, ports = self._plain
        largest = max(
            amount.cpu_millis * cpu,
            amount.memory_bytes * memory,
            amount.disk_bytes * disk,
            amount.ports * ports,
        )
        for kind, count in amount.accelerators:
            largest = max(largest, count * self._per_unit.get(kind, 0.0))
        return largest

    def share(self, user: str, band: PriorityBand) -> float:
        """What the user has in a band, by the measure above."""
        held = self._usage[band].get(user)
        return 0.0 if held is None else self.fraction(held) / self._policy.of_user(user).weight

    def tasks_until(self, user: str, band: PriorityBand, need: Resources, share: float) -> int:
        """How many tasks the user may get before the share is above that; at least 1."""
        each = self.fraction(need) / self._policy.of_user(user).weight
        if each <= 0:
            return _NO_LIMIT
        return max(1, int((share + _GRAIN - self.share(user, band)) / each))


class UserQueue:
    """One user's classes in one band, merged in order of their jobs' numbers."""

    def __init__(self, user: str) -> None:
        self.user = user
        self._heap: list[tuple[int, int, Cursor]] = []
        self._pushed = 0

    def push(self, cursor: Cursor) -> None:
        """A class has a turn coming, if anything of it is left."""
        if cursor.job is not None:
            self._pushed += 1
            heapq.heappush(self._heap, (cursor.number, self._pushed, cursor))

    def pop(self) -> Cursor:
        """The class whose job came first."""
        return heapq.heappop(self._heap)[2]

    def __bool__(self) -> bool:
        return bool(self._heap)

    @property
    def first(self) -> int:
        """The number of the job whose turn is next; beyond all if there is none."""
        return self._heap[0][0] if self._heap else _NO_LIMIT


class BandQueue:
    """All users of one band. Each is served as long as no other has a smaller share."""

    def __init__(
        self, band: PriorityBand, classes: Iterable[PendingClass], accounts: Accounts
    ) -> None:
        self._band = band
        self._accounts = accounts
        self._users: dict[str, UserQueue] = {}
        for one in sorted(classes, key=lambda one: (one.first, one.user)):
            queue = self._users.setdefault(one.user, UserQueue(one.user))
            queue.push(Cursor(one))
        self._heap: list[tuple[float, int, str]] = []
        for queue in self._users.values():
            self._push(queue)

    def __bool__(self) -> bool:
        return bool(self._heap)

    def pop(self) -> tuple[UserQueue, Cursor, int]:
        """Whose turn it is, with what, and how many tasks of that may be placed before somebody
        else's turn comes. The caller hands both back with `push`.
        """
        _, _, user = heapq.heappop(self._heap)
        queue = self._users[user]
        cursor = queue.pop()
        limit = _NO_LIMIT
        if self._heap:
            need = cursor.of.request.resources
            limit = self._accounts.tasks_until(user, self._band, need, self._heap[0][0])
        return queue, cursor, limit

    def push(self, queue: UserQueue, cursor: Cursor | None) -> None:
        """A user's turn is over; `cursor` None: nothing more of that class can be placed."""
        if cursor is not None:
            queue.push(cursor)
        self._push(queue)

    def drain(self) -> Iterator[Cursor]:
        """What is left when nothing more is served."""
        for queue in self._users.values():
            while queue:
                yield queue.pop()

    def _push(self, queue: UserQueue) -> None:
        if queue:
            # Alone, a user has no share to be compared with.
            alone = len(self._users) == 1
            share = 0.0 if alone else self._accounts.share(queue.user, self._band)
            heapq.heappush(self._heap, (share, queue.first, queue.user))
