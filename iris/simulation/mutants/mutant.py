"""What a mutant is, and how one is hunted."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from iris.simulation.checkers.checker import Broken, Checker, Evidence
from iris.simulation.checkers.everything import all_checkers
from iris.simulation.scenario import Scenario
from iris.simulation.workload import Size, scenario_of
from iris.simulation.world import Result, simulate

# Small enough to be fast, large enough for everything to happen within a few seeds.
_SIZE = Size(jobs=80, workers=24)
_SEEDS = range(1, 16)


def usual_scenarios() -> Iterable[Scenario]:
    """A bounded number of generated ones with all faults, made as they are asked for.

    What hangs is not waited for as long as in a test of the real code.
    """
    for seed in _SEEDS:
        scenario = scenario_of(seed, _SIZE)
        yield replace(scenario, timing=replace(scenario.timing, calm_bound=900.0))


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug.

    Attributes:
        story: What goes wrong with it, in the words of whoever suffers from it.
        put_back: Has the bug while it is entered, by patching the code under test.
        invariants: A complaint about one of these has found it; any other has not.
        scenarios: In which it is looked for, one after the other.
        checkers: That look at it.
    """

    name: str
    story: str
    put_back: Callable[[], AbstractContextManager[object]]
    invariants: frozenset[str]
    scenarios: Callable[[], Iterable[Scenario]] = field(default=usual_scenarios)
    checkers: Callable[[Evidence], list[Checker]] = field(default=all_checkers)


class Escaped(Exception):
    """A mutant was not caught."""


def hunt(mutant: Mutant) -> tuple[Broken, int]:
    """What caught it, and in how many runs. Raises Escaped if nothing did."""
    runs, others = 0, []
    for scenario in mutant.scenarios():
        runs += 1
        with mutant.put_back():
            result: Result = simulate(scenario, checkers=mutant.checkers)
        if result.broken is None:
            continue
        if result.broken.invariant in mutant.invariants:
            return result.broken, runs
        others.append(str(result.broken))
    raise Escaped(
        f"{mutant.name} ({mutant.story}) survived {runs} runs. What broke otherwise: {others or 'nothing'}"
    )
