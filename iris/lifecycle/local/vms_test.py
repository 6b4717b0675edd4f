"""What users see of a cluster's VMs: their states, why they are in them, and their logs."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from iris_proto import cluster_pb2, config_pb2, controller_pb2, controller_pb2_grpc

from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.local.sample_cluster import sample_config
from iris.model.errors import FailedPrecondition, InvalidArgument, NotFound
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.testing.eventually import assert_eventually

HOSTINGS = pytest.mark.parametrize("hosting", [config_pb2.IN_PROCESS, config_pb2.SUBPROCESS])


@asynccontextmanager
async def started(config: config_pb2.ClusterConfig) -> AsyncIterator[LocalController]:
    """A cluster that has one slice of one VM."""
    config.scale_groups["cpu"].min_slices = 1
    controller = LocalController(config, attached=True)
    controller.start()
    try:
        yield controller
    finally:
        controller.stop()


@asynccontextmanager
async def calls_to(controller: LocalController) -> AsyncIterator[Any]:
    """As it is reached now."""
    channel = open_channel(controller.status().address, controller.state_folder.read_token())
    try:
        yield controller_pb2_grpc.ControllerServiceStub(channel)
    finally:
        await channel.close()


@asynccontextmanager
async def running(config: config_pb2.ClusterConfig) -> AsyncIterator[Any]:
    """Calls to such a cluster."""
    async with started(config) as controller, calls_to(controller) as calls:
        yield calls


async def vm_once(
    calls: Any, good: Callable[[cluster_pb2.VmStatus], bool], what: str
) -> cluster_pb2.VmStatus:
    """The first VM that there is of which this is true, at some time."""
    found: list[cluster_pb2.VmStatus] = []

    async def seen() -> bool:
        status = await calls.GetClusterStatus(controller_pb2.GetClusterStatusRequest())
        vms = [vm for group in status.groups for one in group.slices for vm in one.vms]
        found[:] = [vm for vm in vms if good(vm)]
        return bool(found)

    await assert_eventually(seen, what)
    return found[0]


async def log_of(calls: Any, vm_id: str, tail: int = 0) -> str:
    with rpc_errors("FetchVmLog"):
        answer = await calls.FetchVmLog(controller_pb2.FetchVmLogRequest(vm_id=vm_id, tail=tail))
    return str(answer.text)


@HOSTINGS
async def test_a_vm_s_phases_and_its_log_tell_how_it_came_up(
    state_dir: Path, hosting: config_pb2.WorkerHosting
) -> None:
    async with running(sample_config(state_dir, hosting=hosting)) as calls:
        vm = await vm_once(calls, lambda vm: vm.state == cluster_pb2.VM_READY, "a VM is ready")
        assert [phase.state for phase in vm.phases] == [
            cluster_pb2.VM_REQUESTING,
            cluster_pb2.VM_BOOTING,
            cluster_pb2.VM_INITIALIZING,
            cluster_pb2.VM_READY,
        ]
        times = [phase.began_at.ToNanoseconds() for phase in vm.phases]
        assert times == sorted(times)
        log = await log_of(calls, vm.vm_id)
        places = [log.index(f" {step}\n") for step in ("booting", "initializing", "ready")]
        assert places == sorted(places)
        worker_says = f"worker {vm.worker_id} attached to controller"
        assert (worker_says in log) == (hosting == config_pb2.SUBPROCESS)
        assert await log_of(calls, vm.vm_id, tail=1) == log.splitlines(keepends=True)[-1]
        with pytest.raises(NotFound, match="no VM 'cpu/9'"):
            await log_of(calls, "cpu/9")


@HOSTINGS
async def test_a_vm_whose_worker_is_not_well_is_unhealthy_and_says_why(
    state_dir: Path, hosting: config_pb2.WorkerHosting
) -> None:
    config = sample_config(state_dir, hosting=hosting)
    config.worker.health.min_disk = 1 << 60
    async with running(config) as calls:
        unhealthy = cluster_pb2.VM_UNHEALTHY
        vm = await vm_once(calls, lambda vm: vm.state == unhealthy, "a VM is unhealthy")
        assert vm.problem.startswith("disk: ")
        assert vm.phases[-1].problem == vm.problem
        assert f" unhealthy: {vm.problem}\n" in await log_of(calls, vm.vm_id)


async def test_a_vm_that_is_handed_over_goes_on_with_its_log(state_dir: Path) -> None:
    def is_ready(vm: cluster_pb2.VmStatus) -> bool:
        return vm.state == cluster_pb2.VM_READY

    async with started(sample_config(state_dir, hosting=config_pb2.SUBPROCESS)) as controller:
        async with calls_to(controller) as calls:
            before = await vm_once(calls, is_ready, "a VM is ready")
        controller.reload()
        async with calls_to(controller) as calls:
            after = await vm_once(calls, is_ready, "a VM is ready")
            assert after.vm_id == before.vm_id
            assert [phase.state for phase in after.phases] == [
                cluster_pb2.VM_UNHEALTHY,
                cluster_pb2.VM_READY,
            ]
            assert f"worker {after.worker_id} attached" in await log_of(calls, after.vm_id)


async def inject(calls: Any, kind: int, target: str, **more: Any) -> str:
    with rpc_errors("InjectFault"):
        request = controller_pb2.InjectFaultRequest(kind=kind, target=target, **more)
        return str((await calls.InjectFault(request)).done)


def breakable(state_dir: Path, hosting: config_pb2.WorkerHosting) -> config_pb2.ClusterConfig:
    config = sample_config(state_dir, hosting=hosting)
    config.controller_vm.local.fault_injection = True
    config.autoscaler.backoff_min.FromMilliseconds(100)
    config.autoscaler.backoff_max.FromMilliseconds(200)
    return config


async def test_nothing_is_broken_where_that_is_not_allowed(state_dir: Path) -> None:
    async with running(sample_config(state_dir)) as calls:
        vm = await vm_once(calls, lambda vm: vm.state == cluster_pb2.VM_READY, "a VM is ready")
        with pytest.raises(FailedPrecondition, match="fault_injection"):
            await inject(calls, controller_pb2.FAULT_KILL, vm.vm_id)
        status = await calls.GetClusterStatus(controller_pb2.GetClusterStatusRequest())
        assert not status.fault_injection


@HOSTINGS
@pytest.mark.parametrize("kind", [controller_pb2.FAULT_KILL, controller_pb2.FAULT_PREEMPT])
async def test_what_is_lost_is_replaced_and_its_log_stays(
    state_dir: Path, hosting: config_pb2.WorkerHosting, kind: int
) -> None:
    async with running(breakable(state_dir, hosting)) as calls:
        vm = await vm_once(calls, lambda vm: vm.state == cluster_pb2.VM_READY, "a VM is ready")
        is_kill = kind == controller_pb2.FAULT_KILL
        target = vm.vm_id if is_kill else vm.vm_id.rpartition("/")[0]
        assert target in await inject(calls, kind, target)
        await vm_once(
            calls,
            lambda other: other.state == cluster_pb2.VM_READY and other.vm_id != vm.vm_id,
            "another VM is ready",
        )
        log = await log_of(calls, vm.vm_id)
        assert (" failed: its " if is_kill else " preempted: taken back on purpose") in log
        assert " ready\n" in log
        status = await calls.GetClusterStatus(controller_pb2.GetClusterStatusRequest())
        assert status.fault_injection
        assert "slice lost" in [
            cluster_pb2.ScalingReason.Name(one.reason).lower().replace("_", " ")
            for one in status.decisions
        ]


async def test_one_that_does_not_come_up_says_so_and_the_next_one_does(state_dir: Path) -> None:
    config = breakable(state_dir, config_pb2.IN_PROCESS)
    config.scale_groups["cpu"].max_slices = 1
    async with running(config) as calls:
        vm = await vm_once(calls, lambda vm: vm.state == cluster_pb2.VM_READY, "a VM is ready")
        await inject(calls, controller_pb2.FAULT_FAIL, "cpu")
        await inject(calls, controller_pb2.FAULT_PREEMPT, vm.vm_id.rpartition("/")[0])
        again = await vm_once(
            calls,
            lambda other: other.state == cluster_pb2.VM_READY and other.vm_id != vm.vm_id,
            "another VM is ready",
        )
        status = await calls.GetClusterStatus(controller_pb2.GetClusterStatusRequest())
        failed = {
            f"{one.slice_id}/0"
            for one in status.decisions
            if one.reason == cluster_pb2.BOOT_FAILED and one.slice_id
        }
        assert len(failed) == 1
        assert not failed & {vm.vm_id, again.vm_id}
        assert "It does not come up, on purpose." in await log_of(calls, failed.pop())
        with pytest.raises(NotFound, match="no scale group 'gpu'"):
            await inject(calls, controller_pb2.FAULT_FAIL, "gpu")
        with pytest.raises(InvalidArgument):
            await inject(calls, controller_pb2.FAULT_KILL, again.vm_id, count=2)
