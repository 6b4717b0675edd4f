"""What `//tools:simulate` does; see simulate.py."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from iris.model.errors import IrisError
from iris.simulation.batch import SHRINK_RUNS, BrokenSeed, Options, failure, run_seeds
from iris.simulation.report import describe, summary
from iris.simulation.scenario import FaultKind, Scenario, read_scenario
from iris.simulation.traces import read_trace
from iris.simulation.traffic import TooLittleTraffic
from iris.simulation.workload import Size, fleet, scenario_of, with_jobs
from iris.simulation.world import Result, simulate

_SEED = flags.DEFINE_integer(
    "seed", int(os.environ.get("TEST_RANDOM_SEED", "0")), "The first seed.", lower_bound=0
)
_SEEDS = flags.DEFINE_integer("seeds", 1, "How many seeds, one after the other.", lower_bound=1)
_JOBS = flags.DEFINE_integer("jobs", Size().jobs, "Jobs of a generated scenario.", lower_bound=1)
_WORKERS = flags.DEFINE_integer(
    "workers", Size().workers, "About how many workers the fleet has at most.", lower_bound=10
)
_FAULTS = flags.DEFINE_list(
    "faults",
    ["all"],
    "`all`, `none`, or kinds: " + ", ".join(kind.name.lower() for kind in FaultKind) + ".",
)
_SCENARIO = flags.DEFINE_string("scenario", None, "A scenario from a file, instead of a seed.")
_TRACE = flags.DEFINE_string("trace", None, "A CSV file with jobs, instead of generated ones.")
_SHRINK = flags.DEFINE_bool("shrink", True, "Look for a shorter scenario that breaks the same.")
_JSON = flags.DEFINE_bool("json", False, "One JSON object for each run instead of text.")


def main(arguments: Sequence[str]) -> int:
    """Runs what the flags say; the exit code."""
    if len(arguments) > 1:
        return _refuse(f"{arguments[1]!r} is no flag.")
    if _SCENARIO.value and _TRACE.value:
        return _refuse("--scenario and --trace exclude each other.")
    try:
        size = Size(_JOBS.value, _WORKERS.value, _fault_kinds(_FAULTS.value))
        scenario = _given_scenario(size)
    except (IrisError, OSError, ValueError) as error:
        return _refuse(str(error))
    options = Options(
        size,
        shrink_runs=SHRINK_RUNS if _SHRINK.value else 0,
        save_to=Path(tempfile.gettempdir()),
    )
    try:
        if scenario is None:
            run_seeds(range(_SEED.value, _SEED.value + _SEEDS.value), options, each=_show)
        else:
            _run(scenario, options)
    except BrokenSeed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except TooLittleTraffic as error:
        sys.stderr.write(f"simulate: {error}\n")
        return 3
    return 0


def _run(scenario: Scenario, options: Options) -> None:
    result = simulate(scenario)
    if result.broken is not None:
        raise failure(result, options)
    _show(result)


def _given_scenario(size: Size) -> Scenario | None:
    """Of --scenario or --trace, if there is one."""
    if _SCENARIO.value:
        return read_scenario(_path(_SCENARIO.value))
    if not _TRACE.value:
        return None
    generated = scenario_of(_SEED.value, size)
    return with_jobs(generated, read_trace(_path(_TRACE.value)), fleet(size.workers))


def _path(text: str) -> Path:
    """Relative to where `bazel run` was called."""
    return Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / text


def _fault_kinds(names: Sequence[str]) -> frozenset[FaultKind]:
    if list(names) == ["all"]:
        return frozenset(FaultKind)
    if list(names) in (["none"], []):
        return frozenset()
    known = {kind.name.lower(): kind for kind in FaultKind}
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is no fault; there are {', '.join(known)}.")
    return frozenset(known[name] for name in names)


def _show(result: Result) -> None:
    print(json.dumps(summary(result)) if _JSON.value else describe(result), flush=True)


def _refuse(problem: str) -> int:
    sys.stderr.write(f"simulate: {problem}\n")
    return 2
