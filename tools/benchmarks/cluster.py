"""A controller's state with workers that do as they are told, driven without a controller: for what
is measured of the scheduler alone.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Protocol

from iris.controller.state import events
from iris.controller.state.machine import ControllerState
from iris.controller.state.views import snapshot
from iris.model.ids import AttemptUid, JobId, SliceId, TaskId, WorkerId, job_of
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.model.taints import taints_of, untolerated
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.schedule import Scheduler
from iris.scheduler.snapshot import Reservation, Schedule, Snapshot
from tools.benchmarks.timing import seconds_now
from tools.benchmarks.workload import LARGE, STANDARD, TPU, WORKERS_PER_SLICE, ZONES, Ask

START = datetime(2026, 1, 1, tzinfo=UTC)
INCARNATION = "one"


class SchedulerLike(Protocol):
    """What is measured."""

    def schedule(self, snapshot: Snapshot) -> Schedule:
        """See iris.scheduler.schedule.Scheduler."""


class WrongPlacement(Exception):
    """The scheduler placed something where it must not be: what was measured is worth nothing."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One look of the scheduler: how long it took, and what it placed and preempted, all of it
    checked.
    """

    seconds: float
    placed: int
    preempted: int


def worker_attached(
    number: int, total: Resources, kind: str, at: datetime
) -> events.WorkerAttached:
    """One worker dials in; four of them, with numbers next to each other, are a slice."""
    slice_id = f"slice-{number // WORKERS_PER_SLICE}"
    attributes = {"slice-id": slice_id, "zone": ZONES[number // WORKERS_PER_SLICE % len(ZONES)]}
    if kind == "tpu":
        attributes |= {"tpu-name": slice_id, "taint/tpu": "true"}
    if kind == "large":
        attributes["memory-class"] = "high"
    return events.WorkerAttached(
        at=at,
        worker_id=WorkerId(f"worker-{number}"),
        incarnation_id=INCARNATION,
        slice_id=SliceId(slice_id),
        scale_group=kind,
        total=total,
        attributes=tuple(sorted(attributes.items())),
        host="10.0.0.1",
        isolation="none",
        version="1",
        running=(),
        ended=(),
        jitter=0.5,
    )


def mixed_fleet(workers: int, at: datetime = START) -> Iterable[events.WorkerAttached]:
    """Seven in ten standard, two with more memory, one with chips; slice by slice."""
    for number in range(workers):
        place = number // WORKERS_PER_SLICE % 10
        kind, total = ("standard", STANDARD)
        if place >= 7:
            kind, total = ("large", LARGE) if place < 9 else ("tpu", TPU)
        yield worker_attached(number, total, kind, at)


class Cluster:
    """See the module.

    Attributes:
        running: The attempts that run, and what each of them is.
        size: What all workers have, and `used` what attempts hold.
    """

    def __init__(
        self,
        random: Random,
        policy: SchedulingPolicy | None = None,
        scheduler: SchedulerLike | None = None,
    ) -> None:
        self.state = ControllerState()
        self.random = random
        self.now = START
        self.running: dict[AttemptUid, Ask] = {}
        self._policy = policy or SchedulingPolicy()
        self._scheduler = scheduler or Scheduler()
        self._reservations: tuple[Reservation, ...] = ()
        self._asks: dict[JobId, Ask] = {}
        self._order: list[AttemptUid] = []
        self._new: list[JobId] = []
        self._number = 0

    def attach(self, workers: Iterable[events.WorkerAttached]) -> None:
        """Workers dial in."""
        for event in workers:
            self.state.apply(event)

    def submit(self, ask: Ask, tasks: int, *, may_wait: bool = False) -> None:
        """A job; `may_wait`: `give_up_waiting` leaves it alone."""
        self._number += 1
        job_id = JobId(f"/{ask.user}/job-{self._number}")
        self._asks[job_id] = ask
        if not may_wait:
            self._new.append(job_id)
        self.state.apply(events.JobSubmitted(self.now, job_id, ask.job(tasks)))

    def place(self) -> Pass:
        """Lets the scheduler look, checks its answer, and carries it out. Only making the snapshot
        and looking is timed. Raises WrongPlacement.
        """
        still_wait = tuple(
            one
            for one in self._reservations
            if (job := self.state.jobs.get(one.job_id)) is not None and job.is_startable
        )
        began = seconds_now()
        shown = snapshot(self.state, self.now, self._policy, still_wait)
        answer = self._scheduler.schedule(shown)
        seconds = seconds_now() - began
        self._reservations = answer.reservations
        self._check(shown, answer)
        self._preempt(answer)
        self._start(answer)
        return Pass(seconds, len(answer.placements), len(answer.preemptions))

    def place_all(self) -> int:
        """Lets the scheduler look until it places nothing more; how many it placed."""
        total = 0
        while placed := self.place().placed:
            total += placed
        return total

    def give_up_waiting(self) -> None:
        """What was submitted since the last time and has found no place whole is ended, so that it
        is not in the way of what is measured.
        """
        for job_id in self._new:
            job = self.state.jobs.get(job_id)
            if job is not None and job.is_startable:
                self.state.apply(events.TerminateRequested(self.now, job_id, "no room"))
        self._new.clear()

    def end_some(self, count: int) -> list[Ask]:
        """So many attempts, chosen at random, succeed; what they were. Time passes."""
        self.pass_time(60)
        ended: list[Ask] = []
        while len(ended) < count and self._order:
            at = self.random.randrange(len(self._order))
            self._order[at], self._order[-1] = self._order[-1], self._order[at]
            uid = self._order.pop()
            if uid in self.running:
                ended.append(self.running[uid])
                self._end(uid, TaskState.SUCCEEDED)
        return ended

    def end_gangs(self, count: int) -> list[Ask]:
        """So many gangs, chosen at random, succeed."""
        self.pass_time(60)
        alive = list(dict.fromkeys(self._attempt_job(uid) for uid in self.running))
        gone = self.random.sample(alive, min(count, len(alive)))
        for job_id in gone:
            job = self.state.jobs.get(job_id)
            assert job is not None
            for uid in [task.attempt_uid for task in job.tasks]:
                assert uid is not None
                self._end(uid, TaskState.SUCCEEDED)
        return [self._asks[job_id] for job_id in gone]

    def pass_time(self, seconds: float) -> None:
        """Moves the clock; what is due happens."""
        self.now += timedelta(seconds=seconds)
        due = self.state.next_due()
        if due is not None and due <= self.now:
            self.state.apply(events.TimePassed(self.now))

    def used(self) -> Resources:
        """What attempts hold."""
        return sum(self.state.fleet.usage.values(), Resources())

    def total(self) -> Resources:
        """What all workers have."""
        return sum((worker.record.total for worker in self.state.fleet), Resources())

    # --- carrying out -----------------------------------------------------------------------------

    def _start(self, answer: Schedule) -> None:
        assignments = []
        for place in answer.placements:
            self._number += 1
            uid = AttemptUid(f"attempt-{self._number}")
            assignments.append(events.Assignment(place.task_id, place.worker_id, uid))
            self.running[uid] = self._asks[job_of(place.task_id)]
            self._order.append(uid)
        if assignments:
            self.state.apply(events.TasksAssigned(self.now, tuple(assignments)))

    def _preempt(self, answer: Schedule) -> None:
        if not answer.preemptions:
            return
        told = tuple(events.Preempted(one.attempt_uid, one.for_job) for one in answer.preemptions)
        self.state.apply(events.TasksPreempted(self.now, told))
        for one in told:
            self._end(one.attempt_uid, TaskState.KILLED)

    def _end(self, uid: AttemptUid, state: TaskState) -> None:
        attempt = self.state.jobs.attempt(uid)
        assert attempt is not None
        del self.running[uid]
        seen = events.Observation(uid, state, started_at=self.now)
        self.state.apply(
            events.AttemptObserved(self.now, attempt.worker_id, INCARNATION, seen, 0.5)
        )

    def _attempt_job(self, uid: AttemptUid) -> JobId:
        attempt = self.state.jobs.attempt(uid)
        assert attempt is not None
        return attempt.job_id

    # --- checking ---------------------------------------------------------------------------------

    def _check(self, shown: Snapshot, answer: Schedule) -> None:
        """Everything that a placement must not get wrong, worked out anew from the state."""
        free = {one.worker_id: one.free for one in shown.workers}
        accepting = {one.worker_id: one for one in shown.workers if one.accepting}
        holds: dict[tuple[Ask, WorkerId], bool] = {}
        tasks: set[TaskId] = set()
        for place in answer.placements:
            ask = self._asks[job_of(place.task_id)]
            worker = accepting.get(place.worker_id)
            if worker is None or place.task_id in tasks:
                raise WrongPlacement(f"{place}: twice, or on a worker that takes no work")
            tasks.add(place.task_id)
            need = ask.shape.resources
            if not need.fits_in(free[place.worker_id]):
                raise WrongPlacement(f"{place}: {need} in {free[place.worker_id]}")
            free[place.worker_id] -= need
            key = (ask, place.worker_id)
            if key not in holds:
                required = (rule for rule in ask.shape.constraints if rule.required)
                holds[key] = all(rule.holds(worker.attributes) for rule in required)
                taint = untolerated(taints_of(worker.attributes), ask.shape.tolerations)
                holds[key] = holds[key] and taint is None
            if not holds[key]:
                raise WrongPlacement(f"{place}: a constraint or a taint speaks against it")
        self._check_gangs(answer)

    def _check_gangs(self, answer: Schedule) -> None:
        """A gang is placed whole, on workers of one group."""
        placed: Counter[JobId] = Counter()
        groups: dict[JobId, set[str]] = {}
        for place in answer.placements:
            job_id = job_of(place.task_id)
            gang = self._asks[job_id].shape.gang
            if gang is None:
                continue
            worker = self.state.fleet.get(place.worker_id)
            assert worker is not None
            placed[job_id] += 1
            groups.setdefault(job_id, set()).add(worker.attributes[gang.group_by])
        for job_id, count in placed.items():
            job = self.state.jobs.get(job_id)
            assert job is not None
            if count != job.record.spec.replicas or len(groups[job_id]) != 1:
                raise WrongPlacement(f"{job_id}: {count} of it, in groups {groups[job_id]}")
