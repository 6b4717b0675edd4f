"""What `//tools/benchmarks:logs` does; see logs.py."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from absl import flags

from iris.client import Client, LogStream
from iris.config import parse_config
from iris.lifecycle.cluster_manager import ClusterManager
from iris.model.errors import IrisError
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.model.states import JobState
from tools.benchmarks.figures import Figure, Measured, document

_RUNS = flags.DEFINE_integer("runs", 5, "How often everything is measured.", lower_bound=1)
_LINES = flags.DEFINE_integer("lines", 1_000_000, "Written in each flood.", lower_bound=1000)
_QUICK = flags.DEFINE_bool("quick", False, "Everything small and once.")
_KEEP_STATE = flags.DEFINE_string("keep_state", None, "Folder in which the cluster's state stays.")
_REQUIRE_MET = flags.DEFINE_bool("require_met", False, "Ends with 1 if a bar is not met.")

LINE_BYTES = 60
_STAMPS_PER_SECOND = 50

FIGURES: Sequence[Figure] = (
    Figure(
        "flood",
        "lines/s",
        f"one task writes lines of {LINE_BYTES} bytes as fast as it can; from its first line until "
        "its end is known, for which all lines have to be in the controller's store",
        100_000,
    ),
    Figure(
        "flood_followed",
        "lines/s",
        "the same, while another process follows the job and looks at every line",
    ),
    Figure(
        "latency_p50",
        "ms",
        "from a task's write until the line is with a follower; the task writes 50 a second",
        None,
        more_is_better=False,
    ),
    Figure("latency_p99", "ms", "the same", 200, more_is_better=False),
    Figure(
        "latency_in_a_flood_p99",
        "ms",
        "the same, while another task of the same worker floods",
        None,
        more_is_better=False,
    ),
)

# Its first line says when it began; then lines with their number, so many bytes each.
_FLOOD = """
import os, sys, time
lines, size = int(sys.argv[1]), int(sys.argv[2])
rest = b"x" * (size - 12) + b"\\n"
os.write(1, b"began %d\\n" % time.time_ns())
for first in range(0, lines, 1000):
    block = memoryview(b"".join([b"%011d" % n + rest for n in range(first, min(first + 1000, lines))]))
    while block:
        block = block[os.write(1, block):]
"""
# Lines that say when they were written, until it has written so many.
_STAMPS = """
import os, sys, time
for _ in range(int(sys.argv[1])):
    os.write(1, b"%d\\n" % time.time_ns())
    time.sleep(1 / float(sys.argv[2]))
"""
_CONFIG = """
name: benchmark-logs
controller_vm: {local: {state_dir: "%s"}}
scale_groups:
  cpu:
    provider: {local: {}}
    vm: {cpu: 200m, memory: 256MiB, disk: 0}
    min_slices: 1
"""


class CountedWrong(Exception):
    """What arrived is not what was written."""


class _Bench:
    """One cluster and its client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._jobs = 0

    async def flood(self, lines: int) -> float:
        """Lines per second."""
        job_id = await self._launch(_FLOOD, str(lines), str(LINE_BYTES))
        seconds = await self._until_the_end(job_id)
        began = await self._check(job_id, lines, follow=False)
        return lines / (seconds - began)

    async def flood_followed(self, lines: int) -> float:
        """Likewise."""
        job_id = await self._launch(_FLOOD, str(lines), str(LINE_BYTES))
        began = await self._check(job_id, lines, follow=True)
        return lines / (time.time() - began)

    async def latencies(self, stamps: int) -> list[float]:
        """Milliseconds, in ascending order."""
        job_id = await self._launch(_STAMPS, str(stamps), str(_STAMPS_PER_SECOND))
        found = []
        async with aclosing(self._client.tail_logs(job_id, follow=True)) as lines:
            async for line in lines:
                if line.stream is LogStream.STDOUT:
                    found.append((time.time_ns() - int(line.data)) / 1e6)
        if len(found) != stamps:
            raise CountedWrong(f"{stamps} lines were written, {len(found)} came")
        return sorted(found)

    async def latencies_in_a_flood(self, stamps: int) -> list[float]:
        """Likewise; the flood lasts longer, and is ended then."""
        flood = await self._launch(_FLOOD, str(1 << 30), str(LINE_BYTES))
        async with aclosing(self._client.tail_logs(flood, follow=True)) as lines:
            await anext(lines)
        try:
            return await self.latencies(stamps)
        finally:
            await self._client.terminate(flood, "measured")
            await self._client.wait(flood)

    async def _launch(self, program: str, *arguments: str) -> JobId:
        self._jobs += 1
        spec = JobSpec(
            Entrypoint((sys.executable, "-I", "-c", program, *arguments)),
            Resources(cpu_millis=50, memory_bytes=64 << 20),
        )
        return (await self._client.launch(JobId(f"/benchmark/log-{self._jobs}"), spec)).job.job_id

    async def _until_the_end(self, job_id: JobId) -> float:
        """When the job had ended, in Unix time."""
        job = await self._client.wait(job_id)
        now = time.time()
        if job.state is not JobState.SUCCEEDED:
            raise CountedWrong(f"{job_id} is {job.state.value}: {job.error}")
        return now

    async def _check(self, job_id: JobId, lines: int, *, follow: bool) -> float:
        """Reads a flood; returns when it began, in Unix time."""
        began, number = 0.0, 0
        async with aclosing(self._client.tail_logs(job_id, follow=follow)) as log:
            async for line in log:
                if line.stream is not LogStream.STDOUT:
                    continue
                if not began:
                    began = int(line.data.removeprefix(b"began ")) / 1e9
                elif int(line.data[:11]) != number or len(line.data) != LINE_BYTES - 1:
                    raise CountedWrong(f"{line.data!r} came in place of line {number}")
                else:
                    number += 1
        if number != lines:
            raise CountedWrong(f"{lines} lines were written, {number} came")
        return began


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[_Bench]:
    manager = ClusterManager(parse_config(_CONFIG % folder, "logs.yaml"))
    await asyncio.to_thread(manager.start)
    try:
        with manager.connect() as at:
            async with Client.connect(at.address, at.token) as client:
                yield _Bench(client)
    finally:
        await asyncio.to_thread(manager.stop)


async def _measure(folder: Path) -> list[Measured]:
    runs, lines, stamps = (1, 20_000, 20) if _QUICK.value else (_RUNS.value, _LINES.value, 250)
    found: dict[str, list[float]] = {figure.name: [] for figure in FIGURES}
    counts = dict.fromkeys(found, 0)
    async with _running(folder) as bench:
        await bench.flood(10_000)  # once for nothing: everything is loaded then
        for run in range(runs):
            sys.stderr.write(f"run {run + 1} of {runs}\n")
            found["flood"].append(await bench.flood(lines))
            found["flood_followed"].append(await bench.flood_followed(lines))
            quiet = await bench.latencies(stamps)
            found["latency_p50"].append(_percentile(quiet, 50))
            found["latency_p99"].append(_percentile(quiet, 99))
            loaded = await bench.latencies_in_a_flood(stamps)
            found["latency_in_a_flood_p99"].append(_percentile(loaded, 99))
            for name in found:
                counts[name] += lines if name.startswith("flood") else stamps
    return [Measured(name, tuple(values), counts[name]) for name, values in found.items()]


def _percentile(ascending: Sequence[float], percent: int) -> float:
    return ascending[min(len(ascending) - 1, len(ascending) * percent // 100)]


def main(argv: Sequence[str]) -> int:
    """Measures, tells, and returns the program's exit code."""
    if len(argv) > 1:
        sys.stderr.write(f"logs: what is {argv[1]!r}? It takes flags only.\n")
        return 2
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(_KEEP_STATE.value or temporary).absolute()
            told = document(FIGURES, asyncio.run(_measure(folder / "state")), quick=_QUICK.value)
    except (CountedWrong, IrisError) as error:
        sys.stderr.write(f"logs: {error}\n")
        return 1
    print(json.dumps(told, indent=2))
    missed = [one["name"] for one in told["figures"] if one["met"] is False]
    for name in missed:
        sys.stderr.write(f"logs: {name} does not meet its bar\n")
    return 1 if missed and _REQUIRE_MET.value else 0
