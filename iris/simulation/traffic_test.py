"""Too little traffic is neither green nor red."""

from collections import Counter
from dataclasses import replace

import pytest

from iris.simulation.scenario import Scenario
from iris.simulation.traffic import _PER_RUN, _RARE, TooLittleTraffic, check_batch, check_run
from iris.simulation.workload import Size, scenario_of
from iris.simulation.world import Result, simulate

RUNS = 50
EXPECTED = {**_PER_RUN, **_RARE}


def enough() -> Counter[str]:
    return Counter({name: int(each * RUNS) + 1 for name, each in EXPECTED.items()})


def run(**counts: int) -> Result:
    blank = simulate(Scenario(0, (), ()))
    named = {name.replace("_", " "): count for name, count in counts.items()}
    return replace(blank, scenario=scenario_of(0, Size(jobs=10)), counts=Counter(named))


def test_enough_is_enough() -> None:
    check_batch(enough(), RUNS, 200)
    check_run(run(attempts_started=100, turns=100, TasksAssigned=100))


@pytest.mark.parametrize("name", EXPECTED)
def test_too_little_of_anything_is_invalid(name: str) -> None:
    with pytest.raises(TooLittleTraffic, match=name):
        check_batch(Counter({**enough(), name: 0}), RUNS, 200)


def test_a_single_run_needs_some_too() -> None:
    with pytest.raises(TooLittleTraffic, match="seed 0: 1 attempts started"):
        check_run(run(attempts_started=1, turns=100, TasksAssigned=100))


def test_what_is_rare_is_not_expected_of_a_few_dozen_runs() -> None:
    check_batch(Counter({**enough(), "boots failed": 0}), RUNS - 1, 200)


def test_a_few_runs_have_no_average() -> None:
    check_batch(Counter(), 3, 200)
