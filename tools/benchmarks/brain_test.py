"""The program measures every figure it promises. How fast this machine is, no test says."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from absl import flags

from tools.benchmarks.figures import FIGURES, Figure, Measured, document

flags.DEFINE_list("brain", [sys.executable, "-m", "tools.benchmarks.brain"], "The program.")

KEYS = {
    *("name", "unit", "about", "bar", "more_is_better"),
    *("median", "min", "max", "runs", "count", "met"),
}


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [*flags.FLAGS.brain, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What one quick run of everything says."""
    done = run("--quick")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_figure_is_measured_once(told: dict[str, Any]) -> None:
    names = [one["name"] for one in told["figures"]]
    assert sorted(names) == sorted(figure.name for figure in FIGURES)


def test_each_was_really_measured(told: dict[str, Any]) -> None:
    """Placements, tasks and turns are counted only after the part that counts them has checked
    them; a part that finds anything wrong ends the program.
    """
    for one in told["figures"]:
        assert one.keys() == KEYS, one["name"]
        assert one["count"] > 0, one["name"]
        assert len(one["runs"]) == 1, one["name"]
        assert one["runs"][0] > 0, one["name"]
        assert math.isfinite(one["runs"][0]), one["name"]
        assert one["min"] <= one["median"] <= one["max"], one["name"]


def test_a_quick_run_meets_no_bar(told: dict[str, Any]) -> None:
    assert told["quick"]
    assert {one["met"] for one in told["figures"]} == {None}


def test_the_machine_is_named(told: dict[str, Any]) -> None:
    machine = told["machine"]
    assert machine["cpus"] >= 1
    assert machine["memory_bytes"] > 0
    assert machine["python"].count(".") == 2
    assert machine["garbage_collector"]


def test_one_figure_alone_by_another_clock() -> None:
    done = run("--quick", "--only=^gangs_1000$", "--clock=cpu")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["clock"] == "cpu"
    assert [one["name"] for one in told["figures"]] == ["gangs_1000"]


@pytest.mark.parametrize("argument", ["--runs=0", "--no_such_flag", "gangs"])
def test_flags_that_are_wrong(argument: str) -> None:
    done = run(argument)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("brain: ")


@pytest.mark.parametrize(
    ("runs", "more_is_better", "met"),
    [
        ((9, 10, 11), True, True),
        ((9, 9.9, 11), True, False),
        ((9, 10, 11), False, True),
        ((9, 10.1, 11), False, False),
    ],
)
def test_the_median_meets_the_bar(runs: tuple[float, ...], more_is_better: bool, met: bool) -> None:
    figure = Figure("x", "s", "it", 10, more_is_better)
    assert Measured("x", runs, 1).meets(figure) is met
    assert Measured("x", runs, 1).meets(Figure("x", "s", "it")) is None


def test_the_document_of_a_whole_run_says_what_is_met() -> None:
    measured = [
        Measured("gangs_1000", (1_000.0, 3_000.0, 2_500.0), 7),
        Measured("turn_nothing_to_do", (1.5,), 7),
    ]
    made = document(FIGURES, measured, quick=False, seed=1)
    gangs, turn = made["figures"]
    assert (gangs["median"], gangs["min"], gangs["max"]) == (2_500.0, 1_000.0, 3_000.0)
    assert (gangs["met"], turn["met"]) == (True, False)
