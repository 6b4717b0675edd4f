"""A wave of preemptions takes a thousand slices at once: as soon as there is capacity again, all are
replaced within two evaluation intervals.
"""

from dataclasses import dataclass, replace

import pytest

from iris.autoscaler.demand import FleetView, ScalingDecision
from iris.model.fleet import ScaleGroup
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.checkers.holdings import Holdings
from iris.simulation.checkers.scaling import IdleGoesBack, Market, NoOverLaunch
from iris.simulation.checkers.waiting import Waiting
from iris.simulation.scenario import (
    DEFAULT_AUTOSCALING,
    Behaviour,
    Fault,
    FaultKind,
    JobPlan,
    Scenario,
)
from iris.simulation.world import simulate

SLICES = 1_000
# So that the rate does not hold up a second thousand within the same minute.
EAGER = replace(DEFAULT_AUTOSCALING, launches_per_minute=10_000)


@dataclass(frozen=True)
class Wave:
    """When it comes, and for how long there is no capacity afterwards: virtual seconds."""

    at: float = 300.0
    dry: float = 0.0


def scenario(wave: Wave) -> Scenario:
    """A thousand tasks, each of which fills a slice, are there when the wave comes; a minute after
    there is capacity again, their user has enough of it.
    """
    spec = JobSpec(Entrypoint(("train",)), Resources(4_000), replicas=SLICES)
    job = JobPlan(
        JobId("/ada/train"),
        1.0,
        spec,
        Behaviour(10_000.0, build=0.2),
        cancel_at=wave.at + wave.dry + 60.0,
    )
    taken = Fault("wave", FaultKind.PREEMPT_SLICES, wave.at, amount=1.0)
    # It is dry before the wave, so that nothing slips through.
    drought = Fault("dry", FaultKind.REFUSE_SLICES, wave.at - 1.0, wave.dry + 1.0, 1.0)
    group = ScaleGroup("spot", "simulated", Resources(4_000), max_slices=SLICES, preemptible=True)
    return Scenario(7, (group,), (job,), (taken, drought) if wave.dry else (taken,))


class Census(Checker):
    """Counts the slices whenever a plan is made.

    Attributes:
        least: The fewest that there were since the wave.
        replaced_at: When there were as many again as before.
    """

    def __init__(self, evidence: Evidence, wave: Wave) -> None:
        super().__init__(evidence)
        self._wave = wave
        self.least = SLICES
        self.replaced_at = 0.0

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """See Checker."""
        if self.evidence.now < self._wave.at or self.replaced_at:
            return
        alive = sum(not one.state.is_gone for one in self.evidence.cloud.slices.values())
        self.least = min(self.least, alive)
        if alive == SLICES:
            self.replaced_at = self.evidence.now


def seconds_until_replaced(wave: Wave) -> float:
    """From when there is capacity until as many slices are there as before."""
    found: list[Census] = []

    def checkers(evidence: Evidence) -> list[Checker]:
        """With one that sees whether anything is bought twice on the way."""
        waiting = Waiting(evidence)
        found.append(Census(evidence, wave))
        over = NoOverLaunch(evidence, waiting, Market(evidence))
        return [Holdings(evidence), waiting, over, IdleGoesBack(evidence), *found]

    told = replace(scenario(wave), autoscaling=EAGER)
    result = simulate(told, checkers=checkers)
    assert result.broken is None
    assert result.counts["slices bought"] == 2 * SLICES
    assert found[0].least == 0
    return found[0].replaced_at - wave.at - wave.dry


def intervals() -> float:
    """Two of them, in seconds."""
    return 2 * DEFAULT_AUTOSCALING.interval.total_seconds()


WAVES = {
    "capacity-is-there": Wave(),
    "capacity-comes-later": Wave(dry=95.0),
    "most-slices-still-boot": Wave(at=16.0),
}


@pytest.mark.parametrize("wave", WAVES.values(), ids=WAVES)
def test_a_wave_is_replaced_within_two_intervals(wave: Wave) -> None:
    seconds = seconds_until_replaced(wave)
    print(f"{SLICES} slices were replaced after {seconds:.1f} s")
    assert 0.0 < seconds <= intervals()
