"""Asks the scheduler, in a turn of the loop, and keeps what it said of what found no place."""

from dataclasses import dataclass

from iris.autoscaler.demand import Demand, FleetView
from iris.controller.pending_reasons import PendingReasons
from iris.controller.state.events import Assignment, TasksAssigned
from iris.controller.state.machine import ControllerState
from iris.controller.state.views import TASKS_IN_VIEW, occupancy, snapshot, unmet_demand
from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.model.ids import AttemptUid, JobId
from iris.scheduler.schedule import schedule


@dataclass(frozen=True, slots=True)
class Placed:
    """The answer for one turn.

    Attributes:
        event: None when nothing was placed.
        reasons_changed: Jobs that now wait for another reason than before.
        again: A job has more ready tasks than the scheduler was shown, and those it was shown found
            places: the next turn should go on.
    """

    event: TasksAssigned | None
    reasons_changed: set[JobId]
    again: bool


class Placement:
    """For one state."""

    def __init__(self, state: ControllerState, *, clock: Clock, ids: IdSource) -> None:
        self.reasons = PendingReasons()
        self._state = state
        self._clock = clock
        self._ids = ids
        self._unplaced: tuple[JobId, ...] = ()

    def place(self) -> Placed:
        """What should start now. The caller applies the event."""
        shown = snapshot(self._state.jobs, self._state.fleet)
        answer = schedule(shown)
        changed = self.reasons.scheduled({one.job_id: one.reason for one in answer.unplaced})
        self._unplaced = tuple(one.job_id for one in answer.unplaced)
        waits = set(self._unplaced)
        again = any(
            len(job.tasks) == TASKS_IN_VIEW and job.gang is None and job.job_id not in waits
            for job in shown.jobs
        )
        if not answer.placements:
            return Placed(None, changed, again)
        assignments = tuple(
            Assignment(place.task_id, place.worker_id, AttemptUid(self._ids.fresh("attempt")))
            for place in answer.placements
        )
        return Placed(TasksAssigned(self._clock.now(), assignments), changed, again)

    def fleet_view(self) -> FleetView:
        """The demand that the last `place` left over, and the slices as they are now."""
        demands: tuple[Demand, ...] = unmet_demand(self._state.jobs, self._unplaced)
        return FleetView(demands, occupancy(self._state.fleet))
