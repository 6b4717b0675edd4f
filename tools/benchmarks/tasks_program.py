"""What `//tools/benchmarks:tasks` does; see tasks.py."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from absl import flags

from iris.client import Client, JobView
from iris.config import parse_config
from iris.lifecycle.cluster_manager import ClusterManager
from iris.model.errors import IrisError
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState
from tools.benchmarks.figures import Figure, Measured, document

_RUNS = flags.DEFINE_integer("runs", 5, "How often everything is measured.", lower_bound=1)
_TASKS = flags.DEFINE_integer("tasks", 3_000, "Of the job in each run.", lower_bound=10)
_QUICK = flags.DEFINE_bool("quick", False, "Everything small and once.")
_REQUIRE_MET = flags.DEFINE_bool("require_met", False, "Ends with 1 if a bar is not met.")

# Processes at once, on both sides.
_AT_ONCE = 32
_LATENCIES = 200

FIGURES: Sequence[Figure] = (
    Figure(
        "bare",
        "processes/s",
        f"a loop that starts `true` with asyncio.create_subprocess_exec, {_AT_ONCE} at once, and waits "
        "for it: just before and just after each run of the job, the mean of both",
    ),
    Figure(
        "tasks",
        "tasks/s",
        f"one job of `true`, {_AT_ONCE} tasks at once on one worker: from the call that submits it "
        "until its end is known",
    ),
    Figure("tasks_of_bare", "times", "the second as a share of the first, run by run", 0.5),
    Figure(
        "latency_p50",
        "ms",
        f"{_LATENCIES} jobs of one task, one after the other, on an idle cluster: from the call that "
        "submits it until its end is known",
        10,
        more_is_better=False,
    ),
    Figure("latency_p99", "ms", "the same", 30, more_is_better=False),
)

_CONFIG = """
name: benchmark-tasks
controller_vm:
  local:
    state_dir: "%s"
    workers: SUBPROCESS
    # Each task may use a whole core, as the loop's processes may.
    machine: {cpu: 32, memory: 2GiB, disk: 1GiB, oversubscribe: true}
scale_groups:
  cpu:
    provider: {local: {}}
    vm: {cpu: 32, memory: 1GiB, disk: 0}
    min_slices: 1
"""


class WentWrong(Exception):
    """Something else happened than what was to be measured."""


class _Bench:
    """One cluster and its client."""

    def __init__(self, client: Client, program: str) -> None:
        self._client = client
        self._program = program
        self._jobs = 0

    async def job(self, tasks: int) -> float:
        """How long one of so many tasks takes, in seconds."""
        self._jobs += 1
        spec = JobSpec(
            Entrypoint((self._program,)),
            Resources(1000, 16 << 20),
            replicas=tasks,
        )
        began = time.perf_counter()
        job_id = (await self._client.launch(JobId(f"/benchmark/job-{self._jobs}"), spec)).job.job_id
        job = await self._client.wait(job_id)
        seconds = time.perf_counter() - began
        _check(job, tasks)
        return seconds

    async def bare(self, processes: int) -> float:
        """Processes a second."""
        free = asyncio.Semaphore(_AT_ONCE)

        async def one() -> None:
            async with free:
                process = await asyncio.create_subprocess_exec(self._program)
                if await process.wait():
                    raise WentWrong(f"{self._program} failed")

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(processes)))
        return processes / (time.perf_counter() - began)


def _check(job: JobView, tasks: int) -> None:
    if job.state is not JobState.SUCCEEDED or dict(job.counts) != {TaskState.SUCCEEDED: tasks}:
        raise WentWrong(f"{job.job_id} is {job.state.value}, {job.counts}: {job.error}")


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[_Bench]:
    program = shutil.which("true")
    if program is None:
        raise WentWrong("there is no program `true` on the PATH")
    manager = ClusterManager(parse_config(_CONFIG % folder, "tasks.yaml"))
    await asyncio.to_thread(manager.start)
    try:
        with manager.connect() as at:
            async with Client.connect(at.address, at.token) as client:
                yield _Bench(client, program)
    finally:
        await asyncio.to_thread(manager.stop)


async def _measure(folder: Path) -> list[Measured]:
    runs, tasks, latencies = (
        (1, 40, 10) if _QUICK.value else (_RUNS.value, _TASKS.value, _LATENCIES)
    )
    found: dict[str, list[float]] = {figure.name: [] for figure in FIGURES}
    async with _running(folder) as bench:
        await bench.job(2 * _AT_ONCE)  # once for nothing: everything is loaded then
        for run in range(runs):
            sys.stderr.write(f"run {run + 1} of {runs}\n")
            before = await bench.bare(tasks)
            rate = tasks / await bench.job(tasks)
            bare = (before + await bench.bare(tasks)) / 2
            found["bare"].append(bare)
            found["tasks"].append(rate)
            found["tasks_of_bare"].append(rate / bare)
            taken = sorted([await bench.job(1) * 1000 for _ in range(latencies)])
            found["latency_p50"].append(taken[len(taken) // 2])
            found["latency_p99"].append(taken[len(taken) * 99 // 100])
    counts = {"bare": 2 * tasks * runs} | {
        name: (latencies if name.startswith("latency") else tasks) * runs
        for name in found
        if name != "bare"
    }
    return [Measured(name, tuple(values), counts[name]) for name, values in found.items()]


def main(argv: Sequence[str]) -> int:
    """Measures, tells, and returns the program's exit code."""
    if len(argv) > 1:
        sys.stderr.write(f"tasks: what is {argv[1]!r}? It takes flags only.\n")
        return 2
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        with tempfile.TemporaryDirectory() as temporary:
            told = document(
                FIGURES, asyncio.run(_measure(Path(temporary) / "state")), quick=_QUICK.value
            )
    except (WentWrong, IrisError) as error:
        sys.stderr.write(f"tasks: {error}\n")
        return 1
    print(json.dumps(told, indent=2))
    missed = [one["name"] for one in told["figures"] if one["met"] is False]
    for name in missed:
        sys.stderr.write(f"tasks: {name} does not meet its bar\n")
    return 1 if missed and _REQUIRE_MET.value else 0
