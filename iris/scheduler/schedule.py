"""One scheduling pass: a pure function from a snapshot of workers and pending jobs to placements
and reasons.

Jobs are served in the order given. A job's tasks all ask for the same, so what can be found out
once per job is not found out per task: the workers that satisfy its constraints (`pool`), the
groups a gang may use (`gangs`), and why nothing fits (`explain`). The cost of a placement depends
neither on how many tasks wait nor, among machines of few kinds, on how many workers there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from iris.model.constraints import Constraint
from iris.model.ids import WorkerId
from iris.model.resources import Resources
from iris.scheduler.explain import Explainer
from iris.scheduler.gangs import MAX_HOLDS, GangIndex, Shortfall
from iris.scheduler.pool import Pool
from iris.scheduler.snapshot import (
    PendingJob,
    Placement,
    ReadyTask,
    Schedule,
    Snapshot,
    Unplaced,
)
from iris.scheduler.workers import WorkerTable


def schedule(snapshot: Snapshot) -> Schedule:
    """Places what fits, and explains what does not. The same snapshot always gives the same answer.

    Single tasks go where they fit best (see `pool`) and are placed as long as any worker has room
    that no gang holds. A gang is placed whole, on workers that share one value of its `group_by`,
    or not at all; one that has to wait holds room (see `gangs`).
    """
    return _Pass(snapshot).run()


@dataclass(slots=True)
class _Waiting:
    job: PendingJob
    tasks: Sequence[ReadyTask]
    shortfall: Shortfall | None = None


@dataclass(slots=True)
class _Pass:
    snapshot: Snapshot
    table: WorkerTable = field(init=False)
    placements: list[Placement] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)
    pools: dict[tuple[Constraint, ...], Pool] = field(default_factory=dict)
    gangs: dict[tuple[tuple[Constraint, ...], str, Resources], GangIndex] = field(
        default_factory=dict
    )
    holding: int = 0

    def __post_init__(self) -> None:
        self.table = WorkerTable(self.snapshot.workers)

    def run(self) -> Schedule:
        for job in self.snapshot.jobs:
            if not job.tasks:
                continue
            if job.gang is None:
                self._place_singles(job)
            else:
                self._place_gang(job, job.gang.group_by)
        explainer = Explainer(self.table)
        unplaced = (
            Unplaced(
                one.job.job_id,
                tuple(task.task_id for task in one.tasks),
                explainer.explain(one.job, one.shortfall),
            )
            for one in self.waiting
        )
        return Schedule(tuple(self.placements), tuple(unplaced))

    def _place_singles(self, job: PendingJob) -> None:
        pool = self._pool(job.constraints)
        tasks, at = job.tasks, 0
        while at < len(tasks):
            position = pool.best(job.resources, tasks[at].avoid)
            if position is None:
                # The others ask for the same, and a worker to be avoided would have been taken.
                self.waiting.append(_Waiting(job, tasks[at:]))
                return
            placed = self._fill(job, position, at)
            self.table.take(position, job.resources * placed)
            at += placed

    def _fill(self, job: PendingJob, position: int, first: int) -> int:
        """Gives the worker this task and those that follow, while they fit and a search would give
        the same; how many.
        """
        worker_id, avoid = self.table.views[position].worker_id, job.tasks[first].avoid
        limit = len(job.tasks) - first
        copies = job.resources.copies_in(self.table.free[position], limit)
        for count, task in enumerate(job.tasks[first : first + copies]):
            if task.avoid != avoid:
                return count
            self.placements.append(Placement(task.task_id, worker_id))
        return copies

    def _place_gang(self, job: PendingJob, group_by: str) -> None:
        key = (job.constraints, group_by, job.resources)
        index = self.gangs.get(key)
        if index is None:
            pool = self._pool(job.constraints)
            index = self.gangs[key] = GangIndex(self.table, pool, group_by, job.resources)
        avoid: frozenset[WorkerId] = frozenset().union(*(task.avoid for task in job.tasks))
        positions = index.place(len(job.tasks), avoid)
        if positions is None:
            self._wait_for_room(job, index)
            return
        for task, position in zip(job.tasks, positions, strict=True):
            self.placements.append(Placement(task.task_id, self.table.views[position].worker_id))
            self.table.take(position, job.resources)

    def _wait_for_room(self, job: PendingJob, index: GangIndex) -> None:
        shortfall = index.nearest(len(job.tasks))
        self.waiting.append(_Waiting(job, job.tasks, shortfall))
        if (
            shortfall is not None
            and shortfall.group.capacity >= len(job.tasks)
            and self.holding < MAX_HOLDS
        ):
            index.hold(job.job_id, len(job.tasks), shortfall.group)
            self.holding += 1

    def _pool(self, constraints: tuple[Constraint, ...]) -> Pool:
        pool = self.pools.get(constraints)
        if pool is None:
            pool = self.pools[constraints] = Pool(self.table, self.table.eligible(constraints))
        return pool
