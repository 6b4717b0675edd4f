"""Jobs accepted, queued and committed durably, as a controller does it: how long that takes, how
much memory, and how long it takes to come back from the file.
"""

import tempfile
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from iris.controller.brain import Brain
from iris.controller.state import events
from iris.controller.state.machine import ControllerState
from iris.controller.store import Database
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.priority import PriorityBand
from iris.model.resources import GIB, Resources
from iris.model.states import TaskState
from iris.scheduler.policy import SchedulingPolicy
from tools.benchmarks.brains import new_brain
from tools.benchmarks.cluster import START, mixed_fleet
from tools.benchmarks.fresh_process import peak_memory_bytes, run_part
from tools.benchmarks.workload import CHIP

_WORKERS = 100
_JOBS_PER_TURN = 100
_WARM_UP_JOBS = 500


def measure(*, jobs: int, tasks: int, recover: bool, folder: str = "") -> dict[str, float]:
    """One run, in this process: `seconds`, `memory_bytes`, `file_bytes`, and if wanted
    `recovery_seconds`, in another process.

    With a folder, what is there is recovered, and nothing else.
    """
    if folder:
        return _recover(Path(folder), jobs, tasks)
    with tempfile.TemporaryDirectory(prefix="iris-benchmark-") as temporary:
        _queue(Path(temporary) / "warm-up", min(jobs, _WARM_UP_JOBS), tasks)
        store = Path(temporary) / "store"
        seconds = _queue(store, jobs, tasks)
        answer = {
            "seconds": seconds,
            "memory_bytes": peak_memory_bytes(),
            "file_bytes": sum(file.stat().st_size for file in store.iterdir()),
        }
        if recover:
            options = {"jobs": jobs, "tasks": tasks, "recover": False, "folder": str(store)}
            answer |= run_part("queueing", **options)
        return answer


def _queue(folder: Path, jobs: int, tasks: int) -> float:
    """Seconds. The file stays as it is when the controller is killed."""
    folder.mkdir()
    database = Database.open(folder / "controller.db", durable=True)
    brain = new_brain(ControllerState(), SchedulingPolicy(), 0)
    _turn(brain, database, list(mixed_fleet(_WORKERS)))
    began = perf_counter()
    for first in range(0, jobs, _JOBS_PER_TURN):
        numbers = range(first, min(first + _JOBS_PER_TURN, jobs))
        _turn(brain, database, [_submitted(number, tasks) for number in numbers])
    seconds = perf_counter() - began
    if brain.state.jobs.counts[TaskState.PENDING] != jobs * tasks:
        raise AssertionError(f"not all of it is queued: {brain.state.jobs.counts}")
    database.crash()
    return seconds


def _turn(brain: Brain, database: Database, arrived: list[events.Event]) -> None:
    for event in arrived:
        brain.apply(event)
    turn = brain.finish()
    database.commit(turn.events, turn.changes)


def _submitted(number: int, tasks: int) -> events.JobSubmitted:
    """Chips that there are none of: it stays queued. Made anew for each job, as from a request."""
    user = f"user{number % 10}"
    spec = JobSpec(
        entrypoint=Entrypoint(("python", "train.py", "--shard", str(number))),
        resources=Resources(4000, 8 * GIB, 0, ((CHIP, 8),)),
        replicas=tasks,
        env=(("SHARD", str(number)), ("DATA", "gs://bucket/data")),
        priority=PriorityBand.BATCH,
    )
    at = START + timedelta(milliseconds=number)
    return events.JobSubmitted(at, JobId(f"/{user}/job-{number}"), spec, f"request-{number:016x}")


def _recover(folder: Path, jobs: int, tasks: int) -> dict[str, float]:
    began = perf_counter()
    database = Database.open(folder / "controller.db")
    found = database.load()
    state = ControllerState()
    state.restore(
        found.jobs,
        {job_id: list(of_job) for job_id, of_job in found.tasks.items()},
        found.attempts,
        found.workers,
        START,
        found.next_number,
    )
    seconds = perf_counter() - began
    database.close()
    if state.jobs.counts[TaskState.PENDING] != jobs * tasks:
        raise AssertionError(f"not all of it is back: {state.jobs.counts}")
    return {"recovery_seconds": seconds, "recovery_memory_bytes": peak_memory_bytes()}
