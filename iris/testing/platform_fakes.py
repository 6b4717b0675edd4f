"""A platform that does what its test says: slices boot, fail and hang on command."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from iris_proto import cluster_pb2

from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.model.fleet import ManagedVm, ScaleGroup, Slice, VmState
from iris.model.ids import SliceId, WorkerId
from iris.rpc.convert_fleet import slice_to_proto


class FakeVmGroup:
    """One slice. `set_state` is the only thing that changes it, and `terminate` once it is let
    through.

    Attributes:
        terminate_gate: Clear it to make `terminate` hang.
        terminate_errors: Raised by the next calls of `terminate`, one each.
        terminations: How often `terminate` was called.
        health: What it was told of its workers, each time.
    """

    def __init__(self, group: ScaleGroup, slice_id: SliceId, created_at: datetime) -> None:
        self._group = group
        self._slice_id = slice_id
        self._created_at = created_at
        self._state = VmState.REQUESTING
        self._problem = ""
        self._changed = asyncio.Event()
        self.terminate_gate = asyncio.Event()
        self.terminate_gate.set()
        self.terminate_errors: list[Exception] = []
        self.terminations = 0
        self.health: list[Mapping[WorkerId, str]] = []
        self.on_end: Callable[[], None] = lambda: None

    @property
    def group_id(self) -> str:
        """See VmGroupProtocol."""
        return f"fake/{self._slice_id}"

    @property
    def slice_id(self) -> SliceId:
        """See VmGroupProtocol."""
        return self._slice_id

    @property
    def scale_group(self) -> str:
        """See VmGroupProtocol."""
        return self._group.name

    @property
    def created_at(self) -> datetime:
        """See VmGroupProtocol."""
        return self._created_at

    def set_state(self, state: VmState, problem: str = "") -> None:
        """All VMs at once; wakes those who wait."""
        self._state, self._problem = state, problem
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def status(self) -> VmState:
        """See VmGroupProtocol."""
        return self._state

    def problem(self) -> str:
        """See VmGroupProtocol."""
        return self._problem

    def vms(self) -> tuple[ManagedVm, ...]:
        """See VmGroupProtocol."""
        return tuple(
            ManagedVm(name, self._state, WorkerId(name), "127.0.0.1", self._problem)
            for name in (f"{self._slice_id}/{vm}" for vm in range(self._group.vms_per_slice))
        )

    def note_health(self, problems: Mapping[WorkerId, str]) -> None:
        """See VmGroupProtocol."""
        self.health.append(problems)

    async def wait_changed(self) -> None:
        """See VmGroupProtocol."""
        await self._changed.wait()

    async def terminate(self) -> None:
        """See VmGroupProtocol."""
        self.terminations += 1
        if self.terminate_errors:
            raise self.terminate_errors.pop(0)
        await self.terminate_gate.wait()
        if not self._state.is_gone:
            self.set_state(VmState.TERMINATED)
        self.on_end()

    def to_proto(self) -> cluster_pb2.VmGroupStatus:
        """See VmGroupProtocol."""
        now = Slice(
            self._slice_id,
            self._group.name,
            self._state,
            self._created_at,
            self.vms(),
            self._problem,
        )
        return slice_to_proto(now, self.group_id)


class FakeVmManager:
    """Sells slices of one scale group.

    Attributes:
        slices: Those that exist. bought: All that were ever bought, in order. tags: Of each call of
        `create_vm_group`. create_gate: Clear it to make `create_vm_group` hang before it does
        anything. create_errors: Raised by the next calls of `create_vm_group`, one each; None lets
        that call through. hang_after_create: Whether `create_vm_group` buys, and then never
        answers. discover_errors: Raised by the next calls of `discover_vm_groups`, one each.
        most_creating: The largest number of calls of `create_vm_group` there were at once.
    """

    def __init__(self, group: ScaleGroup, *, clock: Clock, ids: IdSource) -> None:
        self._group = group
        self._clock = clock
        self._ids = ids
        self._creating = 0
        self.slices: dict[SliceId, FakeVmGroup] = {}
        self.bought: list[FakeVmGroup] = []
        self.tags: list[Mapping[str, str]] = []
        self.create_gate = asyncio.Event()
        self.create_gate.set()
        self.create_errors: list[Exception | None] = []
        self.hang_after_create = False
        self.discover_errors: list[Exception] = []
        self.most_creating = 0

    @property
    def scale_group(self) -> ScaleGroup:
        """See VmManagerProtocol."""
        return self._group

    def add_slice(self) -> FakeVmGroup:
        """A slice that exists from now on, as if it had been bought."""
        slice_id = SliceId(self._ids.fresh(self._group.name))
        made = FakeVmGroup(self._group, slice_id, self._clock.now())
        made.on_end = lambda: self._forget(slice_id)
        self.slices[slice_id] = made
        self.bought.append(made)
        return made

    async def create_vm_group(self, tags: Mapping[str, str]) -> FakeVmGroup:
        """See VmManagerProtocol."""
        self.tags.append(tags)
        self._creating += 1
        self.most_creating = max(self.most_creating, self._creating)
        try:
            await self.create_gate.wait()
            error = self.create_errors.pop(0) if self.create_errors else None
            if error is not None:
                raise error
            made = self.add_slice()
            if self.hang_after_create:
                await asyncio.Event().wait()
            return made
        finally:
            self._creating -= 1

    async def discover_vm_groups(self) -> tuple[FakeVmGroup, ...]:
        """See VmManagerProtocol."""
        if self.discover_errors:
            raise self.discover_errors.pop(0)
        return tuple(self.slices.values())

    async def stop(self) -> None:
        """See VmManagerProtocol."""
        for one in tuple(self.slices.values()):
            await one.terminate()

    def _forget(self, slice_id: SliceId) -> None:
        self.slices.pop(slice_id, None)
