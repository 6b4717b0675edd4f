"""What users see of a cluster's VMs: their states, why they are in them, and their logs."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from iris_proto import cluster_pb2, config_pb2, controller_pb2, controller_pb2_grpc

from iris.lifecycle.local import LocalController
from iris.lifecycle.sample_cluster import sample_config
from iris.model.errors import NotFound
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.testing.eventually import assert_eventually

HOSTINGS = pytest.mark.parametrize("hosting", [config_pb2.IN_PROCESS, config_pb2.SUBPROCESS])


@asynccontextmanager
async def running(config: config_pb2.ClusterConfig) -> AsyncIterator[Any]:
    """Calls to a cluster that has one slice of one VM."""
    config.scale_groups["cpu"].min_slices = 1
    controller = LocalController(config, attached=True)
    controller.start()
    try:
        channel = open_channel(controller.status().address, controller.state_folder.read_token())
        try:
            yield controller_pb2_grpc.ControllerServiceStub(channel)
        finally:
            await channel.close()
    finally:
        controller.stop()


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
