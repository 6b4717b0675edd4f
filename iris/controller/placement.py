"""Asks the scheduler, and turns its answers into events."""

from dataclasses import dataclass
from datetime import datetime

from iris.autoscaler.demand import FleetView
from iris.controller.state.events import Assignment, Preempted, TasksAssigned, TasksPreempted
from iris.controller.state.machine import ControllerState
from iris.controller.state.views import occupancy, snapshot, unmet_demand
from iris.host.ids import IdSource
from iris.model.ids import AttemptUid
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.schedule import Scheduler
from iris.scheduler.snapshot import Placement as Place
from iris.scheduler.snapshot import Preemption, Schedule


@dataclass(frozen=True, slots=True)
class Placed:
    """The answer of one pass.

    Attributes:
        events: What the caller has to apply, in this order.
        schedule: The scheduler's answer itself.
    """

    events: tuple[TasksPreempted | TasksAssigned, ...]
    schedule: Schedule


class Placement:
    """For one state. Remembers what one pass has to know of the last one."""

    def __init__(self, state: ControllerState, policy: SchedulingPolicy, *, ids: IdSource) -> None:
        self.policy = policy
        self._state = state
        self._ids = ids
        self._scheduler = Scheduler()
        self._last = Schedule()

    @property
    def last(self) -> Schedule:
        """The scheduler's answer of the last pass."""
        return self._last

    def place(self, now: datetime) -> Placed:
        """What should start and stop now."""
        jobs = self._state.jobs
        still_wait = tuple(
            one
            for one in self._last.reservations
            if (job := jobs.get(one.job_id)) is not None and job.is_startable
        )
        shown = snapshot(self._state, now, self.policy, still_wait)
        self._last = answer = self._scheduler.schedule(shown)
        events: list[TasksPreempted | TasksAssigned] = []
        if answer.preemptions:
            events.append(TasksPreempted(now, tuple(_preempted(one) for one in answer.preemptions)))
        if answer.placements:
            events.append(TasksAssigned(now, tuple(map(self._assignment, answer.placements))))
        return Placed(tuple(events), answer)

    def fleet_view(self) -> FleetView:
        """The demand that the last pass left over, and the slices as they are now."""
        demands = unmet_demand(self._state, self._last)
        return FleetView(demands, occupancy(self._state.fleet))

    def _assignment(self, place: Place) -> Assignment:
        uid = AttemptUid(self._ids.fresh("attempt"))
        return Assignment(place.task_id, place.worker_id, uid)


def _preempted(one: Preemption) -> Preempted:
    return Preempted(one.attempt_uid, one.for_job)
