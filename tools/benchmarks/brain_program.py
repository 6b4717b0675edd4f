"""What `//tools/benchmarks:brain` does; see brain.py."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from tools.benchmarks.figures import FIGURES, Figure, Measured, document
from tools.benchmarks.fresh_process import PartFailed, run_part
from tools.benchmarks.timing import Timing

_RUNS = flags.DEFINE_integer("runs", 5, "How often everything is measured.", lower_bound=1)
_QUICK = flags.DEFINE_bool(
    "quick",
    False,
    "Everything small and once, in seconds: shows that it can be measured; the numbers say nothing.",
)
_ONLY = flags.DEFINE_string("only", "", "Measures only what has a name in which this is found.")
_SEED = flags.DEFINE_integer("seed", 1, "Of workloads.", lower_bound=0)
_TIMING = flags.DEFINE_enum_class(
    "clock",
    Timing.WALL,
    Timing,
    "What counts as time. cpu: what the process itself used, for machines on which others are at "
    "work; it leaves out what waits for the disk.",
)
_REQUIRE_MET = flags.DEFINE_bool("require_met", False, "Ends with 1 if a bar is not met.")

Part = Callable[[], Sequence[Measured]]
_MIB = 1 << 20
_JOBS_PER_TURN = 100
# What takes a millisecond is done so often in each run.
_TIMES = 9


def main(argv: Sequence[str]) -> int:
    """Measures, tells, and returns the program's exit code."""
    if len(argv) > 1:
        sys.stderr.write(f"brain: what is {argv[1]!r}? It takes flags only.\n")
        return 2
    measured: list[Measured] = []
    console = Console(stderr=True, width=120)
    try:
        for names, part in _parts():
            if any(re.search(_ONLY.value, name) for name in names):
                console.print(f"measuring {', '.join(names)}", highlight=False)
                measured += part()
    except PartFailed as error:
        sys.stderr.write(f"brain: {error}\n")
        return 1
    about = {"clock": _TIMING.value.value, "seed": _SEED.value}
    told = document(FIGURES, measured, quick=_QUICK.value, **about)
    console.print(_table(measured))
    print(json.dumps(told, indent=2))
    missed = [one["name"] for one in told["figures"] if one["met"] is False]
    return 1 if missed and _REQUIRE_MET.value else 0


def _parts() -> Iterator[tuple[tuple[str, ...], Part]]:
    """What is measured together: its names, and how."""
    small, large = (100, 200) if _QUICK.value else (1_000, 10_000)
    for flow in ("", "_behind", "_passes_of_100", "_one_shape", "_own_shapes", "_full"):
        yield from _placements("placements_1000", flow, small, 2_000)
        if flow in ("", "_behind", "_passes_of_100"):
            yield from _placements("placements_10000", flow, large, 4_000)
    for name, behind in (("gangs_1000", 0), ("gangs_1000_behind", 500)):
        yield (name,), _gangs(name, small, behind)
    yield _TURNS, lambda: _turns(large)
    yield _LIFECYCLE, lambda: _lifecycle(small, stored=False)
    yield _STORED, lambda: _lifecycle(small, stored=True)
    for name, jobs, tasks in (
        ("queue_1000x1000", 1_000, 1_000),
        ("queue_10x100000", 10, 100_000),
        ("queue_1000000x1", 1_000_000, 1),
    ):
        yield _queue_names(name), _queue(name, jobs, tasks)


_FLOWS = {
    "": "mixed",
    "_behind": "behind",
    "_passes_of_100": "mixed",
    "_one_shape": "one shape",
    "_own_shapes": "own shapes",
    "_full": "full",
}
_TURNS = tuple(
    f"turn_{name}" for name in ("nothing_to_do", "empty", "nothing_placed", "one_worker_changed")
)
_LIFECYCLE = ("lifecycle_tasks", "lifecycle_events")
_STORED = ("lifecycle_stored", "store_rows")


def _measure(part: str, **options: Any) -> Any:
    return run_part(part, _TIMING.value, **options)


def _runs() -> int:
    return 1 if _QUICK.value else _RUNS.value


def _placements(
    name: str, flow: str, workers: int, per_pass: int
) -> Iterator[tuple[tuple[str, ...], Part]]:
    name += flow
    if flow == "_passes_of_100" or _QUICK.value:
        per_pass = 100

    def measure() -> Sequence[Measured]:
        got = _measure(
            "placements",
            flow=_FLOWS[flow],
            workers=workers,
            per_pass=per_pass,
            runs=_runs(),
            seed=_SEED.value,
        )
        return [Measured(name, tuple(got["runs"]), got["count"])]

    yield (name,), measure


def _gangs(name: str, workers: int, behind: int) -> Part:
    def measure() -> Sequence[Measured]:
        got = _measure("gangs", workers=workers, behind=behind, runs=_runs(), seed=_SEED.value)
        return [Measured(name, tuple(got["runs"]), got["count"])]

    return measure


def _turns(workers: int) -> Sequence[Measured]:
    got = _measure(
        "turns",
        workers=workers,
        running=workers * 6,
        pending=workers * 4,
        runs=_runs(),
        seed=_SEED.value,
    )
    times = got["milliseconds"]
    return [
        Measured(name, tuple(times[name.removeprefix("turn_")]), got["count"]) for name in _TURNS
    ]


def _lifecycle(workers: int, *, stored: bool) -> Sequence[Measured]:
    got = _measure(
        "lifecycle",
        workers=workers,
        turns=2 if _QUICK.value else 20,
        stored=stored,
        runs=_runs(),
        seed=_SEED.value,
    )
    names, keys = (_STORED, ("tasks", "rows")) if stored else (_LIFECYCLE, ("tasks", "events"))
    return [
        Measured(name, tuple(got[key]), got["count"]) for name, key in zip(names, keys, strict=True)
    ]


def _queue_names(name: str) -> tuple[str, ...]:
    return tuple(figure.name for figure in FIGURES if figure.name.startswith(name))


def _queue(name: str, jobs: int, tasks: int) -> Part:
    """A million tasks; and, for the ratio, a hundredth of the jobs."""
    if _QUICK.value:
        jobs, tasks = max(1, jobs // 1000), max(1, tasks // 10)

    def measure() -> Sequence[Measured]:
        total, few = jobs * tasks, max(1, jobs // 100)
        shape = {"per_turn": min(few, _JOBS_PER_TURN), "tasks": tasks}
        runs = range(_runs())
        large = [_measure("queueing", jobs=jobs, recover=True, **shape) for _ in runs]
        small = [_measure("queueing", jobs=few, times=_TIMES, **shape) for _ in runs]

        def of(key: str, by: float = 1) -> list[float]:
            return [one[key] / by for one in large]

        ratios = [
            (one["seconds"] / total) / (other["seconds"] / (few * tasks))
            for one, other in zip(large, small, strict=True)
        ]
        found = {
            name: of("seconds"),
            f"{name}_memory": of("memory_bytes", _MIB),
            f"{name}_ratio": ratios,
            f"{name}_recovery": of("recovery_seconds"),
            f"{name}_bytes": of("file_bytes", total),
        }
        wanted = _queue_names(name)
        return [
            Measured(one, tuple(runs), total * _runs())
            for one, runs in found.items()
            if one in wanted
        ]

    return measure


def _table(measured: Sequence[Measured]) -> Table:
    by_name = {figure.name: figure for figure in FIGURES}
    table = Table("figure", "bar", "median", "min", "max", "unit", "met")
    for column in table.columns[1:5]:
        column.justify = "right"
    for one in measured:
        figure = by_name[one.name]
        numbers = (figure.bar, one.median, min(one.runs), max(one.runs))
        meets = None if _QUICK.value else one.meets(figure)
        met = {None: "", True: "yes", False: "NO"}[meets]
        table.add_row(one.name, *map(_number, numbers), _unit(figure), met)
    return table


def _unit(figure: Figure) -> str:
    return figure.unit if figure.more_is_better else f"{figure.unit} (less is better)"


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
