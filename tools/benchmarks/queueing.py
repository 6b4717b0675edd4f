"""Jobs accepted, queued and committed durably, as a controller does it: how long that takes, how
much memory, and how long it takes to come back from the file.
"""

import tempfile
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

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
from tools.benchmarks.timing import seconds_now
from tools.benchmarks.workload import CHIP

_WORKERS = 100
_WARM_UP_JOBS = 500


def measure(
    *, jobs: int, per_turn: int, tasks: int, times: int = 1, recover: bool = False, folder: str = ""
) -> dict[str, float]:
    """One run, in this process: `seconds` (the median if it is done several times, each time from
    nothing), `memory_bytes`, `file_bytes`, and if wanted `recovery_seconds`, in another process.

    With a folder, what is there is recovered, and nothing else.
    """
    if folder:
        return _recover(Path(folder), jobs, tasks)
    with tempfile.TemporaryDirectory(prefix="iris-benchmark-") as temporary:
        _queue(Path(temporary) / "warm-up", min(jobs, _WARM_UP_JOBS), per_turn, tasks)
        stores = [Path(temporary) / f"store-{number}" for number in range(times)]
        seconds = [_queue(store, jobs, per_turn, tasks) for store in stores]
        store = stores[-1]
        answer = {
            "seconds": median(seconds),
            "memory_bytes": peak_memory_bytes(),
            "file_bytes": sum(file.stat().st_size for file in store.iterdir()),
        }
        if recover:
            options: dict[str, Any] = {"jobs": jobs, "per_turn": per_turn, "tasks": tasks}
            answer |= run_part("queueing", **options, folder=str(store))
        return answer


def _queue(folder: Path, jobs: int, per_turn: int, tasks: int) -> float:
    """Seconds. The file stays as it is when the controller is killed."""
    folder.mkdir()
    database = Database.open(folder / "controller.db", durable=True)
    brain = new_brain(ControllerState(), SchedulingPolicy(), 0)
    _turn(brain, database, list(mixed_fleet(_WORKERS)))
    began = seconds_now()
    for first in range(0, jobs, per_turn):
        numbers = range(first, min(first + per_turn, jobs))
        _turn(brain, database, [_submitted(number, tasks) for number in numbers])
    seconds = seconds_now() - began
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
    began = seconds_now()
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
    seconds = seconds_now() - began
    database.close()
    if state.jobs.counts[TaskState.PENDING] != jobs * tasks:
        raise AssertionError(f"not all of it is back: {state.jobs.counts}")
    return {"recovery_seconds": seconds, "recovery_memory_bytes": peak_memory_bytes()}
