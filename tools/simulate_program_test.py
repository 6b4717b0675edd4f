"""What `//tools:simulate` prints, and the codes that it ends with."""

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from absl import flags
from absl.testing import flagsaver

from iris.simulation.checkers.checker import Broken
from iris.simulation.scenario import Scenario
from iris.simulation.workload import Size, scenario_of
from iris.simulation.world import Result, simulate
from tools import simulate_program

# With a seed of its own: the default is the number of the run where tests run many times (TEST_RANDOM_SEED).
SMALL = {"jobs": 10, "workers": 12, "seed": 0}


@pytest.fixture(autouse=True)
def parsed_flags() -> Iterator[None]:
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["simulate"])
    with flagsaver.flagsaver():
        yield


def run(*arguments: str, **values: object) -> int:
    with flagsaver.flagsaver(**{**SMALL, **values}):
        return simulate_program.main(["simulate", *arguments])


def test_a_report_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(seeds=2) == 0
    text = capsys.readouterr().out
    assert "seed 0: 10 jobs" in text and "seed 1: 10 jobs" in text
    assert "utilisation" in text and "waited" in text


def test_a_report_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(json=True, faults=["none"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    facts = json.loads(line)
    assert facts["seed"] == 0 and facts["broken"] is None
    assert {"makespan_s", "waits_s", "utilisation", "slices_bought", "retries"} <= set(facts)
    assert facts["controller_crashes"] == 0


def test_a_scenario_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scenario.json"
    path.write_bytes(scenario_of(5, Size(jobs=3, workers=12)).to_json())
    assert run(scenario=str(path)) == 0
    assert "seed 5: 3 jobs" in capsys.readouterr().out


def test_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("submit_s,job,duration_s\n0,/a/one,5\n1,/a/two,5\n", encoding="utf-8")
    assert run(trace=str(path), faults=["none"]) == 0
    assert "2 jobs, 2 attempts" in capsys.readouterr().out


def test_what_breaks_is_told_with_the_command_that_repeats_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(scenario: Scenario) -> Result:
        result = simulate(scenario)
        result.broken = Broken("an invariant", "something", 3.0)
        return result

    with patch("iris.simulation.batch.simulate", broken):
        assert run(seed=4, shrink=False) == 1
    text = capsys.readouterr().err
    assert "BROKEN with seed 4: an invariant: something" in text
    assert "./bazelw run //tools:simulate -- --seed=4 --jobs=10 --workers=12" in text
    assert "--scenario=" in text


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"faults": ["weather"]}, "'weather' is no fault"),
        ({"scenario": "/nowhere.json"}, "nowhere"),
        ({"scenario": "a", "trace": "b"}, "exclude"),
    ],
)
def test_what_is_wrong_is_refused(
    values: dict[str, object], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(**values) == 2
    assert problem in capsys.readouterr().err


def test_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("more") == 2
    assert "'more' is no flag" in capsys.readouterr().err
