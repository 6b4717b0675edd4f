"""A slice of hosts: all are claimed before anything is started on any; it is READY when all workers
have registered, fails as soon as one does for good, and ends as a whole.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from iris_proto import cluster_pb2

from iris.model.errors import IrisError
from iris.model.fleet import ManagedVm, Slice, VmState
from iris.model.ids import SliceId, WorkerId
from iris.platforms.manual.claims import Claim
from iris.platforms.manual.host_vm import HostVm, ManualPlatform
from iris.platforms.vm_lives import VmLives
from iris.rpc.convert_fleet import slice_to_proto

_LOG = logging.getLogger(__name__)


class ManualVmGroup:
    """See VmGroupProtocol. Belongs to one event loop.

    Args:
        found: It was made by an earlier process: it is to be adopted.
        on_end: Called once, when it has ended.
    """

    def __init__(
        self,
        platform: ManualPlatform,
        slice_id: SliceId,
        created_at: datetime,
        count: int,
        *,
        found: bool,
        on_end: Callable[["ManualVmGroup"], None],
    ) -> None:
        self._platform = platform
        self._slice_id = slice_id
        self._created_at = created_at
        self._on_end = on_end
        self._states = VmLives(
            [f"{slice_id}/{index}" for index in range(count)],
            platform.clock.now,
            platform.init_logs,
            found=found,
        )
        self._vms = [
            HostVm(platform, slice_id, index, created_at, self._states) for index in range(count)
        ]
        self._unclaimed = count
        self._all_claimed = asyncio.Event()
        self._lives: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None

    @property
    def group_id(self) -> str:
        """See VmGroupProtocol. The hosts carry Iris's name for it."""
        return self._slice_id

    @property
    def slice_id(self) -> SliceId:
        """See VmGroupProtocol."""
        return self._slice_id

    @property
    def scale_group(self) -> str:
        """See VmGroupProtocol."""
        return self._platform.group.name

    @property
    def created_at(self) -> datetime:
        """See VmGroupProtocol."""
        return self._created_at

    def vm_ids(self) -> list[str]:
        """Of its VMs, in order."""
        return [vm.vm_id for vm in self._vms]

    def begin(self, hosts: Sequence[str]) -> None:
        """Begins to bring it up on these hosts, which are its own in the pool."""
        self._begin(self._come_up(index, host) for index, host in enumerate(hosts))

    def adopt(self, claims: Sequence[Claim]) -> None:
        """Looks after what an earlier process brought up. VMs whose claim is not among these were not found."""
        known = {claim.index: claim for claim in claims}
        for index, claim in known.items():
            self._vms[index].found(claim)
        self._begin(self._go_on(index, index in known) for index in range(len(self._vms)))

    def status(self) -> VmState:
        """See VmGroupProtocol."""
        return self._states.status()

    def problem(self) -> str:
        """See VmGroupProtocol."""
        return self._states.problem()

    def vms(self) -> tuple[ManagedVm, ...]:
        """See VmGroupProtocol."""
        return self._states.vms([vm.host for vm in self._vms])

    def note_health(self, problems: Mapping[WorkerId, str]) -> None:
        """See VmGroupProtocol."""
        self._states.note_health(problems)

    async def wait_changed(self) -> None:
        """See VmGroupProtocol."""
        await self._states.wait_changed()

    async def terminate(self) -> None:
        """See VmGroupProtocol. A caller that is cancelled does not end the ending.

        What cannot be reached to be ended does not hold it up: such a host is set aside, and its
        worker ends by itself after its lease; `problem` says so.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), name=f"end {self._slice_id}")
        await asyncio.shield(self._ending)

    async def let_go(self) -> None:
        """Looks after it no more; its workers go on, for a later process to find."""
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)
        if self._ending is not None:
            await asyncio.gather(self._ending, return_exceptions=True)
        await asyncio.gather(*(vm.let_go() for vm in self._vms))

    def to_proto(self) -> cluster_pb2.VmGroupStatus:
        """See VmGroupProtocol."""
        now = Slice(
            self._slice_id,
            self.scale_group,
            self.status(),
            self._created_at,
            self.vms(),
            self.problem(),
        )
        return slice_to_proto(now, self.group_id)

    def _begin(self, lives: Iterable[Coroutine[Any, Any, str]]) -> None:
        self._lives = [
            asyncio.create_task(self._live(index, life), name=f"vm {self._vms[index].vm_id}")
            for index, life in enumerate(lives)
        ]

    async def _live(self, index: int, life: Coroutine[Any, Any, str]) -> None:
        """One VM's life, until it fails or the slice is ended."""
        try:
            problem = await life
        except IrisError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - the slice fails, and says why
            _LOG.exception("VM %s broke", self._vms[index].vm_id)
            problem = f"{type(error).__name__}: {error}"
        self._states.set(index, VmState.FAILED, problem)

    async def _come_up(self, index: int, host: str) -> str:
        vm = self._vms[index]
        await vm.claim(host)
        self._unclaimed -= 1
        if not self._unclaimed:
            self._all_claimed.set()
        await self._all_claimed.wait()
        await vm.boot([one.host for one in self._vms])
        return await vm.live()

    async def _go_on(self, index: int, found: bool) -> str:
        if not found:
            return "it was not found when the controller came back"
        self._states.set(index, VmState.UNHEALTHY, "the controller has just come back")
        return await self._vms[index].live()

    async def _end(self) -> None:
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)
        for index, state in enumerate(self._states.states):
            if not state.is_gone:
                self._states.set(index, VmState.STOPPING, self._states.problem_of(index))
        ends = await asyncio.gather(*(vm.end() for vm in self._vms), return_exceptions=True)
        for index, outcome in enumerate(ends):
            state, problem = self._states.states[index], self._states.problem_of(index)
            if isinstance(outcome, BaseException):
                problem = f"could not be ended: {outcome}"
                _LOG.error("VM %s: %s", self._vms[index].vm_id, problem)
            self._states.set(index, state if state.is_gone else VmState.TERMINATED, problem)
        self._states.forget()
        self._on_end(self)
