"""Bugs in how slices are asked for, and in what of it outlives a restart."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from unittest.mock import patch

from iris.autoscaler import plan as plan_module
from iris.autoscaler import slices as slices_module
from iris.autoscaler.demand import FleetView
from iris.autoscaler.groups import NO_BACKOFF, Backoff
from iris.autoscaler.health import Health
from iris.autoscaler.pace import Pace
from iris.autoscaler.slices import ManagedGroup
from iris.autoscaler.supply import Supply
from iris.model.fleet import ScaleGroup
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.simulation.autoscaling import SimulatedAutoscaler
from iris.simulation.mutants.mutant import Mutant
from iris.simulation.scenario import (
    DEFAULT_AUTOSCALING,
    Behaviour,
    CrashPoint,
    Fault,
    FaultKind,
    JobPlan,
    Scenario,
)

_Patch = AbstractContextManager[object]


def _nothing_is_spare_enough() -> _Patch:
    return patch.object(plan_module._Planning, "_fill_buffer", lambda self, supply: None)


def _nothing_is_kept() -> _Patch:
    spare = Supply.spare
    return patch.object(Supply, "spare", lambda self: spare(self) + self.state.group.buffer_slices)


def _all_at_once() -> _Patch:
    return patch.object(Pace, "allowed", lambda self, now, settings: 1 << 30)


def _everything_again() -> _Patch:
    look = ManagedGroup.look

    def forgetful(self: ManagedGroup, view: FleetView, now: datetime) -> None:
        look(self, view, now)
        if self.exhausted is not None and self.exhausted.retry_at <= now:
            self.exhausted = None

    return patch.object(ManagedGroup, "look", forgetful)


def _losses_teach_nothing() -> _Patch:
    return patch.object(Health, "churn", lambda self, now, settings: "")


def _one_success_ends_the_row() -> _Patch:
    def over(backoff: Backoff) -> Backoff:
        return NO_BACKOFF

    return patch.object(slices_module, "after_boot", over)


def _a_restart_begins_anew() -> _Patch:
    def nothing(self: SimulatedAutoscaler) -> None:
        self._saved = {name: group.signature() for name, group in self._groups.items()}

    return patch.object(SimulatedAutoscaler, "_recall", nothing)


def _job(name: str, at: float, seconds: float, replicas: int = 1) -> JobPlan:
    spec = JobSpec(Entrypoint((name,)), Resources(4_000), replicas=replicas)
    return JobPlan(JobId(f"/ada/{name}"), at, spec, Behaviour(seconds, build=0.2))


def _group(name: str = "cpu", most: int = 20, priority: int = 100, spare: int = 0) -> ScaleGroup:
    return ScaleGroup(
        name,
        "simulated",
        Resources(4_000),
        max_slices=most,
        priority=priority,
        buffer_slices=spare,
    )


def _work_for_a_while() -> Iterable[Scenario]:
    yield Scenario(0, (_group(spare=2),), (_job("long", 1, 600),))


def _a_queue_at_a_low_rate() -> Iterable[Scenario]:
    slow = replace(DEFAULT_AUTOSCALING, launches_per_minute=6, launch_batch=2)
    yield Scenario(0, (_group(),), (_job("wide", 1, 60, replicas=20),), autoscaling=slow)


def _nothing_to_be_had() -> Iterable[Scenario]:
    fault = Fault("quota", FaultKind.REFUSE_SLICES, 0.0, 100.0, 1.0)
    yield Scenario(0, (_group(),), (_job("wide", 1, 30, replicas=20),), (fault,))


def _one_after_the_other_is_taken_back() -> Iterable[Scenario]:
    groups = (_group("spot", 4, 1), _group("cpu", 4, 2))
    faults = tuple(
        Fault(f"back {at}", FaultKind.PREEMPT_SLICES, float(at), amount=1.0, target="spot")
        for at in range(40, 300, 40)
    )
    yield Scenario(0, groups, (_job("long", 1, 100, replicas=2),), faults)


def _one_success_between_failures() -> Iterable[Scenario]:
    faults = (
        Fault("first", FaultKind.FAIL_BOOTS, 0.0, 300.0, 1.0),
        Fault("then", FaultKind.FAIL_BOOTS, 500.0, 300.0, 1.0),
    )
    jobs = (_job("first", 1, 900), _job("second", 520, 10))
    yield Scenario(0, (_group(),), jobs, faults)


def _restarts_while_nothing_boots() -> Iterable[Scenario]:
    boots = Fault("boots", FaultKind.FAIL_BOOTS, 0.0, 500.0, 1.0)
    crashes = tuple(
        Fault(f"crash {at}", FaultKind.CRASH_CONTROLLER, float(at), 0.5, target=point.value)
        for at, point in zip(range(60, 500, 20), 20 * tuple(CrashPoint), strict=False)
    )
    yield Scenario(0, (_group(),), (_job("waits", 1, 10),), (boots, *crashes))


SPARE = "spare slices are kept"
RATE = "the launch rate is kept"
REFUSED = "who is refused asks for one slice at a time"
CHURN = "groups that churn are passed over"
RESTS = "groups rest after failed boots"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "spare slices are not bought",
        "buffer_slices is read and nothing follows from it.",
        _nothing_is_spare_enough,
        frozenset({SPARE}),
        _work_for_a_while,
    ),
    Mutant(
        "spare slices are thought to be there",
        "What is in use, or not there, counts as spare.",
        _nothing_is_kept,
        frozenset({SPARE}),
        _work_for_a_while,
    ),
    Mutant(
        "all is asked for at once",
        "A platform that takes so many requests in a minute is sent a whole queue of them.",
        _all_at_once,
        frozenset({RATE}),
        _a_queue_at_a_low_rate,
    ),
    Mutant(
        "after a refusal everything is asked for again",
        "At every interval all that waits is asked for, though one request would find out.",
        _everything_again,
        frozenset({REFUSED}),
        _nothing_to_be_had,
    ),
    Mutant(
        "losses teach nothing",
        "A cheap group is bought from for ever though it loses every slice within a minute.",
        _losses_teach_nothing,
        frozenset({CHURN}),
        _one_after_the_other_is_taken_back,
    ),
    Mutant(
        "one slice that comes up ends the row",
        "Most boots fail, and after each that does not all begins with the shortest rest: the back-off "
        "is a saw.",
        _one_success_ends_the_row,
        frozenset({RESTS}),
        _one_success_between_failures,
    ),
    Mutant(
        "a restart forgets the back-off",
        "The controller is restarted, and the platform that fails is asked as if nothing had been.",
        _a_restart_begins_anew,
        frozenset({RESTS}),
        _restarts_while_nothing_boots,
    ),
)
