"""Runs all that is in `cases` on one worker, and looks at what is left. Ends with 0 if everything
ended as it has to.

Usage: python -m tests.torture.torture_program FOLDER, in a PID namespace: see in_namespace.py.
"""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from iris.client.client import Client
from iris.client.views import AttemptView
from iris.model.ids import task_id
from iris.model.resources import GIB, Resources
from iris.model.states import TaskState
from iris.worker.runtime import process_tree
from tests.pair.pair_fixture import Pair, pair
from tests.torture.cases import Case, cases

# Eight tasks at once, whatever the machine has.
_TOTAL = Resources(8_000, 4 * GIB, 4 * GIB)
_MAX_PROCESSES = 100
_MAX_WORKER_BYTES = 150 << 20
_PATIENCE = timedelta(minutes=8)


async def main(folder: Path) -> None:
    """Raises AssertionError for the first thing that is not as it should be."""
    async with pair(folder, _TOTAL, max_processes=_MAX_PROCESSES) as both:
        client = both.client
        for case in cases():
            await client.launch(case.job_id, case.spec())
        for case in cases():
            await _check(client, case)
            print(f"{case.tasks:3} x {case.name}: as it has to be", flush=True)
        await _check_worker(both, folder)


async def _check(client: Client, case: Case) -> None:
    job = await client.wait(case.job_id, timeout=_PATIENCE)
    assert len(job.tasks) == case.tasks
    for task in job.tasks:
        (attempt,) = task.attempts
        _check_end(case, attempt)
        lines = [
            line.data
            async for line in client.tail_logs(task_id(case.job_id, task.index))
            if line.stream.value == "stdout"
        ]
        if case.text is not None:
            assert b"\n".join(lines) == case.text, (case.name, lines)
        if case.lines is not None:
            assert len(lines) == case.lines, (case.name, len(lines))
            assert len(set(lines)) <= 1, (case.name, "a line is not as the others")


def _check_end(case: Case, attempt: AttemptView) -> None:
    about = (case.name, attempt)
    succeeded = case.exit_code == 0
    assert attempt.state is (TaskState.SUCCEEDED if succeeded else TaskState.FAILED), about
    assert attempt.logs_complete, about
    assert case.error in attempt.error, about
    if case.exit_code is not None or case.signal is not None:
        assert (attempt.exit_code, attempt.signal) == (case.exit_code, case.signal), about


async def _check_worker(both: Pair, folder: Path) -> None:
    """It is as good as new."""
    process = both.worker.process
    assert process is not None
    assert process.returncode is None
    (spawner,) = process_tree.children_of(process.pid)
    # Supervisors that were of use wait some seconds for more, and one for whoever comes.
    waiting = process_tree.descendants(spawner)
    names = {process_tree.read_file(f"/proc/{pid}/comm").strip() for pid in waiting}
    assert names <= {b"iris-supervisor", b""}, names
    assert list((folder / "worker" / "attempts").iterdir()) == []
    status = await both.client.cluster_status()
    (worker,) = status.workers
    assert (worker.state, worker.problems) == ("connected", ()), worker
    peak = _peak_bytes(process.pid)
    print(f"the worker's peak was {peak >> 20} MiB; isolation: {worker.isolation}", flush=True)
    assert peak < _MAX_WORKER_BYTES
    # In this namespace there are init, this program, the controller, the worker, its spawner and
    # those who wait.
    others = {int(name) for name in os.listdir("/proc") if name.isdecimal()} - waiting
    assert both.controller.process is not None
    assert others == {1, os.getpid(), both.controller.process.pid, process.pid, spawner}, others


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"/proc/{pid}/status has no VmHWM")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
