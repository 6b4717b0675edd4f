"""What a VM in a process of its own is told is what it reads."""

from datetime import timedelta
from pathlib import Path

from iris.model.ids import SliceId, WorkerId
from iris.model.resources import GIB, Resources
from iris.platforms.local.worker_process import WorkerProcessOptions
from iris.worker.environment import LocalEnvironmentProvider
from iris.worker.health.options import HealthOptions
from iris.worker.host import WorkerHostOptions
from iris.worker.worker import WorkerOptions


def test_everything_arrives() -> None:
    told = WorkerProcessOptions(
        WorkerOptions(
            worker_id=WorkerId("pod-1/0"),
            controller_address="127.0.0.1:1",
            token="secret",
            slice_id=SliceId("pod-1"),
            scale_group="pod",
            work_dir=Path("/tmp/work"),
            inherit_env={"LANG": "C"},
            stop_grace=timedelta(seconds=1.5),
            secret_env=("*KEY*", "DB_URL"),
            max_processes=10,
            max_open_files=20,
            health=HealthOptions(1, 2, timedelta(seconds=3.5), timedelta(seconds=4)),
        ),
        WorkerHostOptions("127.0.0.1:1", "secret", Path("/tmp/bundles"), GIB, 2 * GIB),
        LocalEnvironmentProvider(
            Resources(1500, 2 * GIB, 3 * GIB, (("gpu/h100", 8), ("tpu/v5litepod-16", 4)), ports=7),
            {"zone": "z", "taint/noisy": "very"},
            "127.0.0.2",
        ),
        Path("/tmp/leases"),
    )
    line = told.to_json()
    assert "\n" not in line
    assert WorkerProcessOptions.from_json(line) == told
