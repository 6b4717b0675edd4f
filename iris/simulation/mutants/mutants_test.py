"""Every bug that is put back is caught; without it, all passes."""

from pathlib import Path

import pytest

from iris.simulation.checkers.checker import Checker
from iris.simulation.mutants import of_health, of_placement, of_scaling, of_supply, of_the_state
from iris.simulation.mutants.directed_fixture import DIRECTED, DirectedMutant
from iris.simulation.mutants.mutant import Mutant, hunt, usual_scenarios
from iris.simulation.world import simulate

MUTANTS = (
    *of_the_state.MUTANTS,
    *of_placement.MUTANTS,
    *of_scaling.MUTANTS,
    *of_supply.MUTANTS,
    *of_health.MUTANTS,
)
OWN_SCENARIOS = [one for one in MUTANTS if one.scenarios is not usual_scenarios]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name.replace(" ", "-"))
def test_a_mutant_is_caught(mutant: Mutant) -> None:
    broken, runs = hunt(mutant)
    print(f"{mutant.name}: caught in run {runs} by {broken}")


@pytest.mark.parametrize("mutant", DIRECTED, ids=lambda one: one.name.replace(" ", "-"))
def test_a_directed_mutant_is_caught(mutant: DirectedMutant, tmp_path: Path) -> None:
    with mutant.put_back(), pytest.raises(AssertionError):
        mutant.check(tmp_path)


@pytest.mark.parametrize("mutant", DIRECTED, ids=lambda one: one.name.replace(" ", "-"))
def test_without_it_a_directed_check_passes(mutant: DirectedMutant, tmp_path: Path) -> None:
    mutant.check(tmp_path)


@pytest.mark.parametrize("mutant", OWN_SCENARIOS, ids=lambda one: one.name.replace(" ", "-"))
def test_without_it_its_scenario_passes(mutant: Mutant) -> None:
    for scenario in mutant.scenarios():
        assert simulate(scenario, checkers=mutant.checkers).broken is None


@pytest.mark.parametrize("number", range(len(list(usual_scenarios()))))
def test_without_mutants_the_usual_scenarios_pass(number: int) -> None:
    scenario = list(usual_scenarios())[number]
    assert simulate(scenario).broken is None


def test_every_invariant_has_a_mutant_that_breaks_it() -> None:
    kinds, invariants = [Checker], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        invariants.add(kind.invariant)
    missed = invariants - {""} - {name for one in MUTANTS for name in one.invariants}
    assert not missed, f"no mutant shows that these can fail: {sorted(missed)}"


def test_names_are_unique() -> None:
    names = [one.name for one in MUTANTS] + [one.name for one in DIRECTED]
    assert len(set(names)) == len(names)
