"""What workers are made of, and the one place where they are put together."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.clock import SystemClock
from iris.host.ids import RandomIds
from iris.host.ports import PortAllocator
from iris.model.errors import FailedPrecondition
from iris.model.ids import SliceId, WorkerId
from iris.model.resources import Resources
from iris.worker.environment import LocalEnvironmentProvider, MachineEnvironmentProvider
from iris.worker.host import WorkerHost, WorkerHostOptions
from iris.worker.images import MachineImageProvider
from iris.worker.options import WorkerOptions
from iris.worker.protocols import Image, WorkerEnvironment
from iris.worker.scripted_controller import TOKEN, ScriptedController

TOTAL = Resources(2000, 1 << 30, 1 << 30, (("tpu/v5litepod-4", 4),), ports=3)


async def test_the_machine_is_an_image_and_no_other_is_to_be_had() -> None:
    images = MachineImageProvider()
    assert await images.prepare(Image(), print) == Image()
    with pytest.raises(FailedPrecondition, match="'debian'"):
        await images.prepare(Image("debian"), print)


async def test_a_share_of_a_machine_has_what_it_was_given() -> None:
    provider = LocalEnvironmentProvider(TOTAL, {"zone": "z"})
    assert await provider.probe() == WorkerEnvironment(TOTAL, {"zone": "z"}, "127.0.0.1")


async def test_a_share_of_nothing_cannot_be_a_worker() -> None:
    with pytest.raises(FailedPrecondition, match="processor and memory"):
        await LocalEnvironmentProvider(Resources(memory_bytes=1), {}).probe()


async def test_a_machine_has_what_is_measured_and_its_known_accelerators() -> None:
    provider = MachineEnvironmentProvider(
        lambda: Resources(4000, 1 << 30, 5),
        {"zone": "z"},
        "10.0.0.1",
        (("gpu/h100", 8),),
        probes=(),
    )
    assert await provider.probe() == WorkerEnvironment(
        Resources(4000, 1 << 30, 5, (("gpu/h100", 8),), ports=1000), {"zone": "z"}, "10.0.0.1"
    )


async def test_a_machine_lends_as_many_ports_as_it_is_told() -> None:
    provider = MachineEnvironmentProvider(
        lambda: Resources(4000, 1 << 30), {}, "h", ports=5, probes=()
    )
    assert (await provider.probe()).total.ports == 5


async def test_a_machine_that_may_use_nothing_cannot_be_a_worker() -> None:
    with pytest.raises(FailedPrecondition, match="nothing to offer"):
        await MachineEnvironmentProvider(Resources, {}, "h").probe()


async def test_a_host_makes_workers_that_work(tmp_path: Path) -> None:
    controller = ScriptedController()
    await controller.start()
    ports = PortAllocator()
    host = WorkerHost(
        WorkerHostOptions(controller.address, TOKEN, tmp_path / "bundles", 1 << 30),
        ports=ports,
        clock=SystemClock(),
        ids=RandomIds(),
        rng=random.Random(0),
    )
    await host.start()
    await host.start()
    assert "disk by watchdog" in host.isolation
    worker = host.worker(
        WorkerOptions(
            worker_id=WorkerId("slice-1/0"),
            controller_address=controller.address,
            token=TOKEN,
            slice_id=SliceId("slice-1"),
            scale_group="cpu",
            work_dir=tmp_path / "work",
            inherit_env={},
            stop_grace=timedelta(seconds=1),
        ),
        LocalEnvironmentProvider(TOTAL, {}),
    )
    await worker.start()
    await worker.registered()
    (stream,) = controller.streams
    assert stream.hello.total.accelerators[0].count == 4
    assert stream.hello.total.ports == 3
    await worker.stop("done")
    await host.close()
    await host.close()
    await controller.stop()
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == []


async def test_two_hosts_do_not_share_a_cache(tmp_path: Path) -> None:
    options = WorkerHostOptions("127.0.0.1:1", "", tmp_path / "bundles", 1 << 30)
    first, second = (
        WorkerHost(options, ports=PortAllocator(), clock=SystemClock(), ids=RandomIds())
        for _ in range(2)
    )
    await first.start()
    with pytest.raises(FailedPrecondition, match="in use by another process"):
        await second.start()
    await first.close()
    await second.start()
    await second.close()
