"""Bugs in what is bought and given back."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from unittest.mock import patch

from iris.autoscaler import plan as plan_module
from iris.autoscaler import slices as slices_module
from iris.autoscaler.demand import Demand, FleetView, ScalingAction, ScalingReason
from iris.autoscaler.groups import Backoff, GroupState
from iris.autoscaler.plan import Plan
from iris.autoscaler.settings import AutoscalerSettings
from iris.controller import placement
from iris.controller.brain import Brain
from iris.controller.state.machine import ControllerState
from iris.model.fleet import ScaleGroup
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.scheduler.snapshot import Schedule
from iris.simulation import autoscaling
from iris.simulation.mutants.mutant import Mutant
from iris.simulation.scenario import Behaviour, Fault, FaultKind, JobPlan, Scenario

_Patch = AbstractContextManager[object]


def _one_at_a_time() -> _Patch:
    make = plan_module.plan
    last: list[datetime] = []

    def stingy(
        view: FleetView,
        groups: object,
        settings: AutoscalerSettings,
        now: datetime,
        packing: object,
    ) -> Plan:
        made: Plan = make(view, groups, settings, now, packing)  # type: ignore[arg-type]
        kept = []
        for one in made.decisions:
            if one.action is ScalingAction.SCALE_DOWN and one.reason is ScalingReason.IDLE:
                if last and now < last[-1] + timedelta(minutes=5):
                    continue
                last.append(now)
            kept.append(one)
        return replace(made, decisions=tuple(kept), wake_at=now + timedelta(seconds=30))

    return patch.object(autoscaling, "plan", stingy)


@contextmanager
def _rest_never_grows() -> Iterator[None]:
    def short(
        backoff: Backoff, problem: str, now: datetime, settings: AutoscalerSettings
    ) -> Backoff:
        if backoff.is_resting(now):
            return backoff
        return Backoff(1, now + settings.backoff_min, problem)

    with ExitStack() as patches:
        for module in (plan_module, slices_module):
            patches.enter_context(patch.object(module, "after_failed_boot", short))
        yield


def _short_queue() -> _Patch:
    unmet = placement.unmet_demand

    def first_only(state: ControllerState, schedule: Schedule) -> tuple[Demand, ...]:
        return unmet(state, schedule)[:1]

    return patch.object(placement, "unmet_demand", first_only)


def _two_moments() -> _Patch:
    fleet_view = Brain.fleet_view
    demands: dict[int, tuple[Demand, ...]] = {}

    def stale(self: Brain) -> FleetView:
        view = fleet_view(self)
        before = demands.get(id(self), view.demands)
        demands[id(self)] = view.demands
        return replace(view, demands=before)

    return patch.object(Brain, "fleet_view", stale)


def _booting_does_not_count() -> _Patch:
    state = autoscaling.ManagedGroup.state

    def blind(self: autoscaling.ManagedGroup) -> GroupState:
        seen = state(self)
        return replace(seen, slices=tuple(one for one in seen.slices if one.booted), creating=0)

    return patch.object(autoscaling.ManagedGroup, "state", blind)


def _job(name: str, at: float, seconds: float, cores: int) -> JobPlan:
    spec = JobSpec(Entrypoint((name,)), Resources(cores * 1_000))
    return JobPlan(JobId(f"/ada/{name}"), at, spec, Behaviour(seconds, build=0.2))


def _group(name: str, cores: int, most: int) -> ScaleGroup:
    return ScaleGroup(name, "simulated", Resources(cores * 1_000), max_slices=most)


def _nothing_boots() -> Iterable[Scenario]:
    fault = Fault("boots", FaultKind.FAIL_BOOTS, 0.0, 600.0, 1.0)
    yield Scenario(0, (_group("cpu", 4, 4),), (_job("waits", 1, 10, 2),), (fault,))


def _a_queue_behind_what_cannot_be_served() -> Iterable[Scenario]:
    groups = (_group("large", 64, 1), _group("small", 4, 4))
    jobs = (_job("first", 1, 800, 64), _job("second", 2, 10, 64), _job("third", 3, 10, 4))
    yield Scenario(0, groups, jobs)


OVER = "the autoscaler buys no more than is missing"
UNDER = "the autoscaler asks for all that is missing"
BACK = "idle slices go back"
RESTS = "groups rest after failed boots"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "idle slices go back one by one",
        "Dozens of slices are idle, and one is given back every five minutes.",
        _one_at_a_time,
        frozenset({BACK}),
    ),
    Mutant(
        "the rest after failed boots never grows",
        "A platform that accepts requests and never brings anything up is asked again and again "
        "after the shortest rest.",
        _rest_never_grows,
        frozenset({RESTS}),
        _nothing_boots,
    ),
    Mutant(
        "a long queue is counted short",
        "Only the head of the queue is seen by the autoscaler, whatever waits behind it.",
        _short_queue,
        frozenset({UNDER}),
        _a_queue_behind_what_cannot_be_served,
    ),
    Mutant(
        "demand and fleet of two moments",
        "What waits is read at another moment than what runs: what has been served is bought for "
        "again.",
        _two_moments,
        frozenset({OVER}),
    ),
    Mutant(
        "what is booting does not count",
        "Slices that have been asked for and are not up yet are asked for again.",
        _booting_does_not_count,
        frozenset({OVER}),
    ),
)
