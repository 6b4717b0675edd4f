"""The shortest scenario that still breaks is found, and breaks the same."""

from collections.abc import Callable
from dataclasses import replace

from iris.simulation.checkers.checker import Broken
from iris.simulation.mutants import of_the_state
from iris.simulation.report import describe_failure
from iris.simulation.scenario import Scenario
from iris.simulation.shrink import Shrinker
from iris.simulation.workload import Size, scenario_of
from iris.simulation.world import Result, simulate


def breaking(is_broken: Callable[[Scenario], bool]) -> Callable[[Scenario], Result]:
    """A simulation that breaks when the scenario is so."""
    blank = simulate(Scenario(0, (), ()))

    def run(scenario: Scenario) -> Result:
        broken = Broken("it", "is so", 1.0) if is_broken(scenario) else None
        return replace(blank, scenario=scenario, broken=broken)

    return run


def test_all_that_does_not_matter_goes() -> None:
    scenario = scenario_of(1)
    culprits = {scenario.jobs[17].job_id, scenario.jobs[150].job_id}
    fault = scenario.faults[9].name

    def is_broken(one: Scenario) -> bool:
        there = {job.job_id for job in one.jobs}
        return culprits <= there and any(other.name == fault for other in one.faults)

    run = breaking(is_broken)
    shortest = Shrinker(run(scenario), run).shrink().scenario
    assert {job.job_id for job in shortest.jobs} == culprits
    assert [other.name for other in shortest.faults] == [fault]


def test_the_search_has_a_bound() -> None:
    runs = 0

    def is_broken(one: Scenario) -> bool:
        nonlocal runs
        runs += 1
        return len(one.jobs) > 3

    run = breaking(is_broken)
    failed = run(scenario_of(1))
    runs = 0
    shortest = Shrinker(failed, run, most_runs=10).shrink()
    assert runs <= 10
    assert shortest.broken is not None


def test_what_breaks_otherwise_is_not_taken_for_the_same() -> None:
    usual = breaking(lambda one: True)

    def run(one: Scenario) -> Result:
        result = usual(one)
        if len(one.jobs) < 100:
            return replace(result, broken=Broken("something else", "is so", 1.0))
        return result

    shortest = Shrinker(run(scenario_of(1)), run).shrink()
    assert len(shortest.scenario.jobs) >= 100


def test_a_run_that_broke_nothing_stays_as_it_is() -> None:
    run = breaking(lambda one: False)
    result = run(scenario_of(1, Size(jobs=3)))
    assert Shrinker(result, run).shrink() is result


def test_a_real_bug_shrinks_to_a_story_that_can_be_read() -> None:
    mutant = next(one for one in of_the_state.MUTANTS if one.name == "retries without a pause")
    scenario = next(iter(mutant.scenarios()))
    with mutant.put_back():
        failed = simulate(scenario)
        assert failed.broken is not None
        shortest = Shrinker(failed, simulate, most_runs=60).shrink()
    assert len(shortest.scenario.jobs) <= 5
    text = describe_failure(failed, shortest, "the command")
    assert "retries are delayed and capped" in text
    assert shortest.scenario.jobs[0].job_id in text
    assert text.endswith("Repeat it with: the command")
