"""What an attempt asks for and what its worker allows become its limits."""

from datetime import timedelta
from pathlib import Path

from iris.model.ids import JobId, TaskId
from iris.model.job import Entrypoint
from iris.model.resources import GIB, MIB, Resources
from iris.worker.attempts.limits import WorkerLimits, limits_of
from iris.worker.attempts.model import AttemptSpec
from iris.worker.protocols import Limits

FOLDER = Path("/attempts/a")


def spec(resources: Resources, task_timeout: timedelta | None = None) -> AttemptSpec:
    return AttemptSpec(
        TaskId("/u/job/0"),
        JobId("/u/job"),
        task_index=0,
        num_tasks=1,
        number=0,
        entrypoint=Entrypoint(("prog",)),
        resources=resources,
        task_timeout=task_timeout,
    )


def test_each_limit_comes_from_where_it_is_said() -> None:
    asked = spec(Resources(1500, 256 * MIB, GIB), timedelta(minutes=1))
    assert limits_of(asked, FOLDER, WorkerLimits(100, 200)) == Limits(
        memory_bytes=256 * MIB,
        cpu_millis=1500,
        processes=100,
        open_files=200,
        disk_bytes=GIB,
        disk_path=FOLDER,
        wall=timedelta(minutes=1),
    )


def test_what_is_not_asked_for_is_not_limited() -> None:
    assert limits_of(spec(Resources()), FOLDER, WorkerLimits(0, 0)) == Limits(disk_path=FOLDER)
