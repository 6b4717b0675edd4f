"""A local slice: boots its VMs at once, is READY when all are, fails as soon as one does, and ends as a whole."""

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from iris_proto import cluster_pb2

from iris.model.errors import FailedPrecondition, IrisError, Unavailable
from iris.model.fleet import ManagedVm, ScaleGroup, Slice, VmState
from iris.model.ids import SliceId, WorkerId
from iris.platforms.local.faults import NO_FAULT, BootFault
from iris.platforms.local.handed_over import HandedOverSlice, shape_of
from iris.platforms.local.local_vm import LocalVm, VmIdentity
from iris.platforms.local.machine import LocalMachine
from iris.platforms.vm_lives import VmLives
from iris.rpc.convert_fleet import slice_to_proto

_LOG = logging.getLogger(__name__)


class LocalVmGroup:
    """See VmGroupProtocol. Belongs to one event loop.

    Args:
        make_vm: Makes one VM; it does not boot yet.
        on_end: Called once, when nothing of the slice is left and its budget is free again.
        found_from: Since when it exists, if an earlier controller made it: its VMs are up.
    """

    def __init__(
        self,
        group: ScaleGroup,
        slice_id: SliceId,
        machine: LocalMachine,
        *,
        make_vm: Callable[[VmIdentity], LocalVm],
        on_end: Callable[["LocalVmGroup"], None],
        found_from: datetime | None = None,
    ) -> None:
        self._group = group
        self._slice_id = slice_id
        self._machine = machine
        self._on_end = on_end
        self._created_at = found_from or machine.clock.now()
        self._is_found = found_from is not None
        identities = [VmIdentity(group, slice_id, index) for index in range(group.vms_per_slice)]
        self._identities: Sequence[VmIdentity] = identities
        self._vms = [make_vm(identity) for identity in identities]
        self._states = VmLives(
            [identity.vm_id for identity in identities],
            machine.clock.now,
            machine.init_logs,
            found=self._is_found,
        )
        self._lives: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None

    @property
    def group_id(self) -> str:
        """See VmGroupProtocol. The platform is this machine: it needs no other name than Iris's."""
        return self._slice_id

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

    def begin(self, fault: BootFault = NO_FAULT) -> None:
        """Begins to boot all VMs at once. A fault delays all of them; it is the first that fails."""
        self._lives = [
            asyncio.create_task(
                self._live(index, replace(fault, fails=fault.fails and index == 0)),
                name=f"vm {identity.vm_id}",
            )
            for index, identity in enumerate(self._identities)
        ]

    async def kill(self, vm_id: str) -> None:
        """Fault injection: a VM dies, as a machine that loses its power. Raises FailedPrecondition for one that has
        not been started, or is gone.
        """
        index = self._states.vm_ids.index(vm_id)
        state = self._states.states[index]
        if state not in (VmState.INITIALIZING, VmState.READY, VmState.UNHEALTHY):
            raise FailedPrecondition(f"{vm_id} is {state.value}: there is nothing to be killed.")
        self._states.log(index).add("killed on purpose")
        await self._vms[index].kill()

    async def preempt(self) -> None:
        """Fault injection: it is taken back, all VMs at once and without a word, in whatever state they are. Raises
        FailedPrecondition for one that is being given back, or lost.
        """
        if self._ending is not None or self.status().is_gone:
            raise FailedPrecondition(
                f"{self._slice_id} is {self.status().value}: it is too late to take it back."
            )
        await self._end_lives()
        await asyncio.gather(*(vm.kill() for vm in self._vms))
        for index, state in enumerate(self._states.states):
            # One may have been faster, or somebody may have begun to end all of them meanwhile.
            if not state.is_gone:
                self._states.set(index, VmState.PREEMPTED, "taken back on purpose")

    def status(self) -> VmState:
        """See VmGroupProtocol."""
        return self._states.status()

    def problem(self) -> str:
        """See VmGroupProtocol."""
        return self._states.problem()

    def vms(self) -> tuple[ManagedVm, ...]:
        """See VmGroupProtocol."""
        return self._states.vms([identity.environment().host for identity in self._identities])

    def note_health(self, problems: Mapping[WorkerId, str]) -> None:
        """See VmGroupProtocol."""
        self._states.note_health(problems)

    async def wait_changed(self) -> None:
        """See VmGroupProtocol."""
        await self._states.wait_changed()

    async def terminate(self) -> None:
        """See VmGroupProtocol. A caller that is cancelled does not end the ending."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), name=f"end {self._slice_id}")
        await asyncio.shield(self._ending)

    async def hand_over(self) -> HandedOverSlice | None:
        """Leaves the workers of all its VMs to run, for the next controller; ends it, and returns None, if that cannot
        be: they are not all up, or they run in this process. It is of no more use.
        """
        if self._ending is None and self.status() in (VmState.READY, VmState.UNHEALTHY):
            await self._end_lives()
            # One may have ended this moment: then the slice is lost, and no worker of it is left alone.
            if all(vm.can_run_on for vm in self._vms):
                workers = tuple(links for vm in self._vms if (links := vm.let_go()) is not None)
                self._on_end(self)
                shape = shape_of(self._group)
                return HandedOverSlice(
                    self._slice_id, self._group.name, self._created_at, shape, workers
                )
        await self.terminate()
        return None

    def to_proto(self) -> cluster_pb2.VmGroupStatus:
        """See VmGroupProtocol."""
        now = Slice(
            self._slice_id,
            self._group.name,
            self.status(),
            self._created_at,
            self.vms(),
            self.problem(),
        )
        return slice_to_proto(now, self.group_id)

    async def _live(self, index: int, fault: BootFault) -> None:
        """One VM's life, until it fails or the slice is ended."""
        vm = self._vms[index]
        try:
            if not self._is_found:
                self._states.set(index, VmState.BOOTING)
                await self._suffer(index, fault)
                await vm.boot()
                self._states.set(index, VmState.INITIALIZING)
                await vm.registered()
            # The worker of one that was found has registered once, and will do so again with whoever
            # has the address now.
            self._states.set(index, VmState.READY)
            problem = await vm.ended()
        except IrisError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - the slice fails, and says why
            _LOG.exception("VM %s broke", self._identities[index].vm_id)
            problem = f"{type(error).__name__}: {error}"
        self._states.set(index, VmState.FAILED, problem)

    async def _suffer(self, index: int, fault: BootFault) -> None:
        if fault.delay:
            self._states.step(index, f"held up on purpose for {fault.delay.total_seconds():g} s")
            await self._machine.clock.sleep(fault.delay.total_seconds())
        if fault.fails:
            raise Unavailable("It does not come up, on purpose.")

    async def _end(self) -> None:
        await self._end_lives()
        for index, state in enumerate(self._states.states):
            if not state.is_gone:
                self._states.set(index, VmState.STOPPING)
        ends = await asyncio.gather(*(vm.end() for vm in self._vms), return_exceptions=True)
        for index, vm in enumerate(self._vms):
            await self._states.log(index).keep_file()
            await asyncio.to_thread(shutil.rmtree, vm.folder, ignore_errors=True)
        self._machine.budget.release(self._slice_id)
        for index, outcome in enumerate(ends):
            state, problem = self._states.states[index], self._states.problem_of(index)
            if isinstance(outcome, BaseException):
                problem = f"could not be ended: {outcome}"
                _LOG.error("VM %s: %s", self._identities[index].vm_id, problem)
            self._states.set(index, state if state.is_gone else VmState.TERMINATED, problem)
        self._states.forget()
        self._on_end(self)

    async def _end_lives(self) -> None:
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)
