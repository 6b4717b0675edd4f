"""Which tasks wait for nothing but a place, kept from the records that were committed.

Those that ask for the same are kept together: what one of them finds, all would find.
"""

import heapq
from dataclasses import dataclass, field
from datetime import datetime

from iris.controller.brain import Turn
from iris.controller.state.records import JobRecord, TaskRecord
from iris.model.constraints import required
from iris.model.ids import JobId, user_of
from iris.model.job import JobSpec
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.model.taints import taints_of, untolerated
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.checkers.holdings import Holder
from iris.simulation.controller import ControllerProcess

Task = tuple[JobId, int]
_Key = tuple[object, ...]


@dataclass(slots=True, eq=False)
class Alike:
    """Tasks of one user and band that ask for the same.

    Attributes:
        tasks: Those that are ready. Of gangs: of those that are ready as a whole.
    """

    user: str
    band: PriorityBand
    spec: JobSpec
    need: Resources
    tasks: dict[Task, None] = field(default_factory=dict)
    _fits: dict[tuple[tuple[str, str], ...], bool] = field(default_factory=dict)

    @property
    def is_gang(self) -> bool:
        """Whether each job of them is placed whole."""
        return self.spec.gang is not None

    @property
    def name(self) -> str:
        """One of them, for people."""
        job_id, index = next(iter(self.tasks))
        return f"{job_id}/{index}"

    def may_run_on(self, holder: Holder) -> bool:
        """Whether that worker, were it empty and large enough, would do."""
        key = holder.record.attributes
        known = self._fits.get(key)
        if known is None:
            attributes = holder.attributes
            known = self._fits[key] = (
                all(rule.holds(attributes) for rule in required(self.spec.constraints))
                and untolerated(taints_of(attributes), self.spec.tolerations) is None
            )
        return known


class Waiting(Checker):
    """Keeps account; complains of nothing.

    Attributes:
        dirty: Those of which there are more since whoever looks has looked.
    """

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self.dirty: set[Alike] = set()
        self._alike: dict[_Key, Alike] = {}
        self._known: dict[int, JobRecord] = {}
        self._pending: dict[JobId, dict[int, bool]] = {}  # by index: whether it is ready
        self._delayed: list[tuple[datetime, JobId, int]] = []

    def alike(self) -> list[Alike]:
        """All that have tasks."""
        return [one for one in self._alike.values() if one.tasks]

    def recovered(self, process: ControllerProcess) -> None:
        """A delay that was over may begin again, if the clock was set back meanwhile."""
        for job_id in list(self._pending):
            for index in list(self._pending[job_id]):
                self._put(job_id, self.evidence.ledger.task(job_id, index))
        self.dirty |= {one for one in self._alike.values() if one.tasks}

    def committed(self, turn: Turn) -> None:
        """Takes the turn in."""
        ledger = self.evidence.ledger
        for job_id in turn.changes.pruned:
            for index in list(self._pending.pop(job_id, {})):
                self._drop(job_id, index)
        for job in turn.changes.jobs:
            if job.number not in self._known:
                self._known[job.number] = job
                for index in range(job.spec.replicas):
                    self._put(job.job_id, ledger.task(job.job_id, index))
        for job_id, task in turn.changes.tasks:
            if job_id in ledger.jobs:
                self._put(job_id, task)
        now = self.evidence.clock.now()
        while self._delayed and self._delayed[0][0] <= now:
            # From then on it is ready, even if the clock is set back.
            _, job_id, index = heapq.heappop(self._delayed)
            if self._pending.get(job_id, {}).get(index) is False:
                self._put(job_id, ledger.task(job_id, index))

    def _put(self, job_id: JobId, task: TaskRecord) -> None:
        pending = self._pending.setdefault(job_id, {})
        if task.state is not TaskState.PENDING:
            pending.pop(task.index, None)
            self._update(job_id, task.index)
            return
        ready = task.not_before is None or task.not_before <= self.evidence.clock.now()
        pending[task.index] = ready
        if task.not_before is not None and not ready:
            heapq.heappush(self._delayed, (task.not_before, job_id, task.index))
        self._update(job_id, task.index)

    def _update(self, job_id: JobId, index: int) -> None:
        alike = self.alike_of(job_id)
        pending = self._pending[job_id]
        if alike.is_gang:
            whole = len(pending) == alike.spec.replicas and all(pending.values())
            if whole and (job_id, 0) not in alike.tasks:
                alike.tasks[job_id, 0] = None
                self.dirty.add(alike)
            elif not whole:
                alike.tasks.pop((job_id, 0), None)
        elif not pending.get(index, False):
            alike.tasks.pop((job_id, index), None)
        elif (job_id, index) not in alike.tasks:
            alike.tasks[job_id, index] = None
            self.dirty.add(alike)

    def _drop(self, job_id: JobId, index: int) -> None:
        for alike in self._alike.values():
            alike.tasks.pop((job_id, index), None)

    def alike_of(self, job_id: JobId) -> Alike:
        """What a job's tasks are like."""
        spec = self.evidence.ledger.jobs[job_id].spec
        user = user_of(job_id)
        size = spec.replicas if spec.gang is not None else 0
        key = (
            user,
            spec.priority,
            spec.resources,
            spec.constraints,
            spec.tolerations,
            spec.gang,
            size,
        )
        found = self._alike.get(key)
        if found is None:
            found = self._alike[key] = Alike(user, spec.priority, spec, spec.resources)
        return found
