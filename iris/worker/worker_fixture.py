"""What the worker's own tests stand on: a scripted controller, a real runtime, real tasks."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

from iris_proto import job_pb2, worker_pb2

from iris.host.clock import SystemClock
from iris.host.ids import RandomIds
from iris.host.ports import PortAllocator
from iris.host.processes import ProcessIdentity, all_processes, process_strings
from iris.model.ids import SliceId, WorkerId
from iris.model.resources import Resources
from iris.testing.eventually import assert_eventually
from iris.testing.worker_fakes import FakeBundles, FakePythonEnvironments
from iris.worker.environment import LocalEnvironmentProvider
from iris.worker.images import MachineImageProvider
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.scripted_controller import TOKEN, ScriptedController, Stream
from iris.worker.worker import Worker, WorkerOptions


class Bench:
    """A controller, and everything that workers need. At the end no process is left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.controller = ScriptedController()
        self.runtime = ProcessRuntime()
        self.ports = PortAllocator()
        self.workers: list[Worker] = []

    def worker(self, name: str = "w", token: str = TOKEN, **options_more: Any) -> Worker:
        options = WorkerOptions(
            worker_id=WorkerId(name),
            controller_address=self.controller.address,
            token=token,
            slice_id=SliceId("slice-1"),
            scale_group="cpu",
            work_dir=self.root / name,
            inherit_env={"PATH": "/usr/bin:/bin"},
            stop_grace=timedelta(seconds=60),
            shutdown_grace=timedelta(seconds=0.2),
            welcome_timeout=timedelta(seconds=0.5),
            **options_more,
        )
        worker = Worker(
            options,
            environment=LocalEnvironmentProvider(Resources(2000, 1 << 30), {"zone": "z"}),
            bundles=FakeBundles(self.root),
            images=MachineImageProvider(),
            python_environments=FakePythonEnvironments(self.root),
            runtime=self.runtime,
            ports=self.ports,
            clock=SystemClock(),
            ids=RandomIds(),
            rng=random.Random(0),
        )
        self.workers.append(worker)
        return worker

    async def attached(self, **options_more: Any) -> tuple[Worker, Stream]:
        worker = self.worker(**options_more)
        await worker.start()
        await worker.registered()
        return worker, await self.controller.stream()

    async def close(self) -> None:
        await self.controller.stop()
        for worker in self.workers:
            await worker.stop("the test is over")
        await self.runtime.close()
        assert self.ports.leased() == frozenset()
        for worker in self.workers:
            assert not (worker._options.work_dir / "attempts").exists()


def shell(script: str, *, ports: tuple[str, ...] = (), grace: float = 60) -> worker_pb2.AttemptSpec:
    spec = worker_pb2.AttemptSpec(
        task_id="/u/job/0",
        job_id="/u/job",
        num_tasks=1,
        entrypoint=job_pb2.Entrypoint(argv=["sh", "-c", script]),
        port_names=ports,
    )
    spec.stop_grace.FromTimedelta(timedelta(seconds=grace))
    return spec


def forever(announce: str = "echo $$") -> worker_pb2.AttemptSpec:
    """Says a pid and stays."""
    return shell(f"{announce}; exec sleep 600")


async def pid_of(stream: Stream, uid: str) -> ProcessIdentity:
    """Of an attempt made by `forever`."""
    (identity,) = await tree_of(stream, uid)
    return identity


async def tree_of(stream: Stream, uid: str) -> list[ProcessIdentity]:
    """The processes of an attempt that has said their pids, as it sees them itself: it may be in a
    PID namespace, where they are others.
    """
    lines = await assert_eventually(lambda: stream.lines(uid), "its pids")
    marks = {f"IRIS_ATTEMPT_ID={uid}", f"IRIS_WORKER_ID={stream.hello.worker_id}"}
    tree = [one for one in all_processes() if marks <= {*process_strings(one, "environ")}]
    assert len(tree) == len(lines[0].split())
    return tree


def ends(stream: Stream, uid: str) -> list[worker_pb2.Observation]:
    return [seen for seen in stream.observations(uid) if seen.HasField("finished_at")]
