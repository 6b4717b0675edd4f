"""A slice comes, fails and goes as a whole, whatever its VMs do."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from iris.model.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from iris.model.faults import Fault, FaultKind
from iris.model.fleet import ScaleGroup, VmState
from iris.model.resources import GIB, Resources
from iris.platforms.local.budget import MachineBudget
from iris.platforms.local.local_vm import VmIdentity
from iris.platforms.local.machine import LocalMachine, LocalMachineOptions
from iris.platforms.local.vm_group import LocalVmGroup
from iris.platforms.local.vm_manager import LocalVmManager
from iris.testing.clock import FakeClock
from iris.testing.ids import CountedIds

POD = ScaleGroup(
    "pod",
    "local",
    Resources(100, GIB, ports=20),
    vms_per_slice=4,
    accelerator_type="tpu",
    accelerator_variant="v5litepod-16",
    attributes=(("taint/noisy", "very"),),
)


class FakeVm:
    """A VM that boots, breaks and hangs as its test says."""

    def __init__(self, identity: VmIdentity, root: Path) -> None:
        self.identity = identity
        self.folder = root / str(identity.index)
        self.up = asyncio.Event()
        self.up.set()
        self.booted = asyncio.Event()
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.boot_error: Exception | None = None
        self.end_error: Exception | None = None
        self.ends = 0
        self.kills = 0

    async def boot(self) -> None:
        self.folder.mkdir()
        await self.up.wait()

    async def registered(self) -> None:
        await self.booted.wait()
        if self.boot_error is not None:
            raise self.boot_error

    async def ended(self) -> str:
        return await self.broken

    async def kill(self) -> None:
        self.kills += 1
        if not self.broken.done():
            self.broken.set_result("killed")

    async def end(self) -> None:
        self.ends += 1
        if self.end_error is not None:
            raise self.end_error

    @property
    def can_run_on(self) -> bool:
        return False

    def let_go(self) -> None:
        return None


class Manager(LocalVmManager):
    """A manager whose VMs are fakes."""

    def __init__(self, group: ScaleGroup, machine: LocalMachine, root: Path) -> None:
        super().__init__(group, machine)
        self._root = root
        self.vms: list[FakeVm] = []

    def _make_vm(self, identity: VmIdentity) -> FakeVm:
        vm = FakeVm(identity, self._root)
        self.vms.append(vm)
        return vm

    def boot_all(self) -> None:
        for vm in self.vms:
            vm.booted.set()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def machine(tmp_path: Path, clock: FakeClock) -> LocalMachine:
    options = LocalMachineOptions(
        controller_address=lambda: "127.0.0.1:1",
        token="secret",
        cache_dir=tmp_path / "cache",
        vm_dir=tmp_path / "cache" / "vms",
        lease_dir=tmp_path / "leases",
        inherit_env={},
        stop_grace=timedelta(seconds=1),
        bundle_cache_bytes=GIB,
    )
    budget = MachineBudget(Resources(600, 8 * GIB))
    return LocalMachine(options, budget, clock=clock, ids=CountedIds())


@pytest.fixture
def manager(tmp_path: Path, machine: LocalMachine) -> Manager:
    return Manager(POD, machine, tmp_path)


async def until_status(group: LocalVmGroup, wanted: VmState) -> None:
    async with asyncio.timeout(30):
        while group.status() is not wanted:
            await group.wait_changed()


async def test_it_is_ready_once_all_its_vms_are(manager: Manager) -> None:
    group = await manager.create_vm_group({})
    for vm in manager.vms:
        vm.up.clear()
    await until_status(group, VmState.BOOTING)
    for vm in manager.vms[1:]:
        vm.up.set()
    for vm in manager.vms[1:3]:
        vm.booted.set()
    async with asyncio.timeout(30):
        while [vm.state for vm in group.vms()].count(VmState.READY) < 2:
            await group.wait_changed()
    assert group.vms()[3].state is VmState.INITIALIZING
    assert group.status() is VmState.BOOTING
    manager.vms[0].up.set()
    await until_status(group, VmState.INITIALIZING)
    manager.vms[0].booted.set()
    async with asyncio.timeout(30):
        while [vm.state for vm in group.vms()].count(VmState.READY) < 3:
            await group.wait_changed()
    assert group.status() is VmState.INITIALIZING
    manager.vms[3].booted.set()
    await until_status(group, VmState.READY)
    assert [phase.state for phase in group.vms()[3].phases] == [
        VmState.REQUESTING,
        VmState.BOOTING,
        VmState.INITIALIZING,
        VmState.READY,
    ]
    await group.terminate()


async def test_it_is_unhealthy_while_a_worker_says_so(manager: Manager) -> None:
    group = await manager.create_vm_group({})
    manager.boot_all()
    await until_status(group, VmState.READY)
    sick = group.vms()[2].worker_id
    group.note_health({sick: "disk: 120 MiB free, needs 1 GiB"})
    assert group.status() is VmState.UNHEALTHY
    assert group.problem() == f"{sick}: disk: 120 MiB free, needs 1 GiB"
    group.note_health({})
    assert (group.status(), group.problem()) == (VmState.READY, "")
    await group.terminate()


async def test_its_vms_have_what_those_of_a_pod_have(manager: Manager) -> None:
    group = await manager.create_vm_group({})
    environments = [vm.identity.environment() for vm in manager.vms]
    assert {environment.attributes["tpu-name"] for environment in environments} == {group.slice_id}
    assert [environment.attributes["tpu-worker-id"] for environment in environments] == [
        "0",
        "1",
        "2",
        "3",
    ]
    assert {environment.attributes["tpu-topology"] for environment in environments} == {"4x4"}
    assert {environment.attributes["taint/noisy"] for environment in environments} == {"very"}
    assert {(await environment.probe()).total for environment in environments} == {POD.vm}
    assert [vm.worker_id for vm in group.vms()] == [
        f"{group.slice_id}/{index}" for index in range(4)
    ]
    await group.terminate()


async def test_one_vm_that_fails_fails_the_slice_and_names_itself(manager: Manager) -> None:
    group = await manager.create_vm_group({})
    manager.boot_all()
    await until_status(group, VmState.READY)
    manager.vms[2].broken.set_result("its process was killed by signal 9")
    await until_status(group, VmState.FAILED)
    assert group.problem() == "pod-1/2: its process was killed by signal 9"
    assert group.to_proto().problem == group.problem()
    await group.terminate()
    assert [vm.ends for vm in manager.vms] == [1, 1, 1, 1]


@pytest.mark.parametrize("error", [Unavailable("no memory"), ZeroDivisionError("a bug")])
async def test_one_that_does_not_boot_fails_the_slice(manager: Manager, error: Exception) -> None:
    group = await manager.create_vm_group({})
    manager.vms[0].boot_error = error
    manager.boot_all()
    await until_status(group, VmState.FAILED)
    assert str(error) in group.problem()
    await group.terminate()


async def terminate_twice(group: LocalVmGroup) -> None:
    await asyncio.gather(group.terminate(), group.terminate())
    await group.terminate()


async def terminate_while_cancelled(group: LocalVmGroup) -> None:
    first = asyncio.create_task(group.terminate())
    await asyncio.sleep(0)
    first.cancel()
    await group.terminate()


@pytest.mark.parametrize("end", [terminate_twice, terminate_while_cancelled])
async def test_its_end_leaves_nothing_and_frees_the_budget(
    manager: Manager, end: Callable[[LocalVmGroup], Awaitable[None]]
) -> None:
    group = await manager.create_vm_group({})
    with pytest.raises(ResourceExhausted):
        await manager.create_vm_group({})
    await end(group)
    assert group.status() is VmState.TERMINATED
    assert [vm.ends for vm in manager.vms] == [1, 1, 1, 1]
    assert not any(vm.folder.exists() for vm in manager.vms)
    assert await manager.discover_vm_groups() == ()
    await (await manager.create_vm_group({})).terminate()


async def test_what_a_worker_wrote_outlives_its_folder(
    manager: Manager, machine: LocalMachine
) -> None:
    group = await ready(manager)
    log = machine.init_logs.of(f"{group.slice_id}/1")
    log.follow(manager.vms[1].folder / "worker.log")
    (manager.vms[1].folder / "worker.log").write_text("no space left\n")
    await group.terminate()
    said = (await machine.init_logs.text(f"{group.slice_id}/1", 0)).splitlines()
    assert said[-2] == "no space left"
    assert said[-1].endswith(" terminated")


async def test_a_vm_that_cannot_be_ended_is_told_and_does_not_keep_the_others(
    manager: Manager,
) -> None:
    group = await manager.create_vm_group({})
    manager.vms[1].end_error = OSError("stuck")
    await group.terminate()
    assert "could not be ended: stuck" in group.problem()
    assert [vm.ends for vm in manager.vms] == [1, 1, 1, 1]


async def test_stopping_the_manager_ends_all_slices(manager: Manager) -> None:
    group = await manager.create_vm_group({})
    assert await manager.discover_vm_groups() == (group,)
    await manager.stop()
    await manager.stop()
    assert group.status() is VmState.TERMINATED


async def ready(manager: Manager) -> LocalVmGroup:
    group = await manager.create_vm_group({})
    manager.boot_all()
    await until_status(group, VmState.READY)
    return group


class TestFaults:
    """What LocalVmManager does when it is told to break something."""

    async def test_a_vm_that_is_killed_takes_its_slice_with_it(self, manager: Manager) -> None:
        group = await ready(manager)
        done = await manager.inject(Fault(FaultKind.KILL, f"{group.slice_id}/2"))
        assert done == f"{group.slice_id}/2 was killed"
        await until_status(group, VmState.FAILED)
        assert group.problem() == f"{group.slice_id}/2: killed"
        assert [vm.kills for vm in manager.vms] == [0, 0, 1, 0]
        with pytest.raises(FailedPrecondition, match="is failed: there is nothing to be killed"):
            await manager.inject(Fault(FaultKind.KILL, f"{group.slice_id}/2"))
        await group.terminate()

    async def test_a_slice_is_taken_back_whole_in_whatever_state(self, manager: Manager) -> None:
        group = await manager.create_vm_group({})
        manager.vms[0].booted.set()
        async with asyncio.timeout(30):
            while group.vms()[0].state is not VmState.READY:
                await group.wait_changed()
        await manager.inject(Fault(FaultKind.PREEMPT, group.slice_id))
        assert {vm.state for vm in group.vms()} == {VmState.PREEMPTED}
        assert group.status() is VmState.PREEMPTED
        assert [vm.kills for vm in manager.vms] == [1, 1, 1, 1]
        assert "taken back on purpose" in group.problem()
        with pytest.raises(FailedPrecondition, match="too late"):
            await manager.inject(Fault(FaultKind.PREEMPT, group.slice_id))
        await group.terminate()
        assert group.status() is VmState.PREEMPTED
        assert [vm.ends for vm in manager.vms] == [1, 1, 1, 1]
        assert await manager.discover_vm_groups() == ()

    async def test_the_next_slices_do_not_come_up(self, manager: Manager) -> None:
        await manager.inject(Fault(FaultKind.FAIL, "pod", count=2))
        for _ in range(2):
            group = await manager.create_vm_group({})
            await until_status(group, VmState.FAILED)
            assert group.problem() == f"{group.slice_id}/0: It does not come up, on purpose."
            await group.terminate()
        await (await ready(manager)).terminate()

    async def test_the_next_slice_comes_up_later(self, manager: Manager, clock: FakeClock) -> None:
        await manager.inject(Fault(FaultKind.DELAY, "pod", delay=timedelta(minutes=5)))
        group = await manager.create_vm_group({})
        manager.boot_all()
        await until_status(group, VmState.BOOTING)
        assert {vm.step for vm in group.vms()} <= {"", "held up on purpose for 300 s"}
        await clock.advance(299)
        assert group.status() is VmState.BOOTING
        assert {vm.step for vm in group.vms()} == {"held up on purpose for 300 s"}
        await clock.advance(1)
        await until_status(group, VmState.READY)
        await group.terminate()

    async def test_the_next_slice_is_refused(self, manager: Manager) -> None:
        await manager.inject(Fault(FaultKind.REFUSE, "pod"))
        with pytest.raises(ResourceExhausted, match="a fault was injected"):
            await manager.create_vm_group({})
        await (await ready(manager)).terminate()

    @pytest.mark.parametrize(
        ("kind", "target"),
        [
            (FaultKind.PREEMPT, "pod-9"),
            (FaultKind.PREEMPT, "pod-1/0"),
            (FaultKind.KILL, "pod-1"),
            (FaultKind.KILL, "pod-1/4"),
        ],
    )
    async def test_what_is_not_there_is_named(
        self, manager: Manager, kind: FaultKind, target: str
    ) -> None:
        group = await ready(manager)
        with pytest.raises(NotFound, match=f"{target!r}"):
            await manager.inject(Fault(kind, target))
        assert group.status() is VmState.READY
        await group.terminate()
