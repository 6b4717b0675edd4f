"""1,000 seeds of 200 jobs, 50 workers and all faults, dealt to shards; more where it is asked for.

IRIS_SIMULATION_SEEDS says how many (10,000 in --config=soak), TEST_RANDOM_SEED where they begin.
"""

import os
from pathlib import Path

import pytest

from iris.simulation.batch import Options, run_seeds
from iris.simulation.workload import Size, scenario_of
from iris.simulation.world import simulate

SEED = int(os.environ.get("TEST_RANDOM_SEED", "0"))
SEEDS = int(os.environ.get("IRIS_SIMULATION_SEEDS", "1000"))
# As many tests as shards can be used; each has every so many-th seed.
PARTS = 20


@pytest.mark.parametrize("part", range(PARTS))
def test_all_holds(part: int, undeclared_outputs_dir: Path) -> None:
    first = SEED * 1_000_000
    seeds = range(first + part, first + SEEDS, PARTS)
    print(f"{len(seeds)} seeds from {seeds.start} in steps of {PARTS} (TEST_RANDOM_SEED={SEED})")
    totals = run_seeds(seeds, Options(save_to=undeclared_outputs_dir))
    print(dict(totals))


def test_all_holds_without_faults(undeclared_outputs_dir: Path) -> None:
    run_seeds(range(10), Options(size=Size(faults=frozenset()), save_to=undeclared_outputs_dir))


def test_the_same_scenario_of_full_size_happens_the_same_way() -> None:
    first = simulate(scenario_of(SEED), with_history=True)
    again = simulate(scenario_of(SEED), with_history=True)
    assert first.history and first.history == again.history
    assert first.counts == again.counts
