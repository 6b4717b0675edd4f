"""One VM: a host, from its claim to its release."""

import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from iris.host.clock import Clock
from iris.model.errors import FailedPrecondition, IrisError, Unavailable
from iris.model.fleet import ScaleGroup, VmState
from iris.model.ids import SliceId
from iris.platforms.init_log import InitLogs
from iris.platforms.manual.claims import Claim
from iris.platforms.manual.host_agent import HostAgent, HostLook
from iris.platforms.manual.host_pool import HostPool
from iris.platforms.manual.leftovers import Leftovers, clear
from iris.platforms.manual.options import ControllerAccess, ManualOptions
from iris.platforms.manual.shipping import Shipping, described
from iris.platforms.manual.worker_options import host_worker_options
from iris.platforms.vm_lives import VmLives
from iris.ssh import SshClient, SshConnection

_LOG = logging.getLogger(__name__)
_RECONNECT_SECONDS = (0.1, 5.0)
_ADDRESS_LOOK_SECONDS = 0.02
_REGISTERED = {"state": "registered"}


@dataclass(frozen=True, slots=True)
class ManualPlatform:
    """What all VMs of a group share."""

    group: ScaleGroup
    options: ManualOptions
    access: ControllerAccess
    ssh: SshClient
    shipping: Shipping
    pool: HostPool
    leftovers: Leftovers
    clock: Clock
    init_logs: InitLogs

    async def controller_address(self) -> str:
        """Once the controller serves, which it may not yet when the first slices are found."""
        while not (address := self.access.address()):
            await self.clock.sleep(_ADDRESS_LOOK_SECONDS)
        return address


class HostVm:
    """Belongs to one event loop. Its group calls `claim`, `boot` and `live`, or `live` alone for one
    that was found, and in any case `end`.

    Args:
        states: Of its slice; is told every change.
    """

    def __init__(
        self,
        platform: ManualPlatform,
        slice_id: SliceId,
        index: int,
        created_at: datetime,
        states: VmLives,
    ) -> None:
        self._platform = platform
        self._slice_id = slice_id
        self._index = index
        self._created_at = created_at
        self._states = states
        self._claim: Claim | None = None
        self._connection: SshConnection | None = None
        self._open = AsyncExitStack()
        self._events: AsyncIterator[Mapping[str, Any]] | None = None
        self._look: HostLook | None = None
        self._broken = ""
        self.host = ""
        self._log = states.log(index)

    @property
    def vm_id(self) -> str:
        """Iris's name for it."""
        return f"{self._slice_id}/{self._index}"

    # --- Coming up ------------------------------------------------------------------------------

    async def claim(self, host: str) -> str:
        """Connects to a host and takes it, or the next free one where that cannot be; which it is.

        Raises ResourceExhausted once there is none left, with what was wrong with each.
        """
        self._states.set(self._index, VmState.REQUESTING)
        self.host = host
        while True:
            try:
                await self._claim_one()
                return self.host
            except IrisError as error:
                self._log.add(f"{self.host} is set aside: {error}")
                _LOG.warning("%s: %s is set aside: %s", self.vm_id, self.host, error)
                await self._disconnect()
                self._platform.pool.set_aside(self.host, str(error))
                self.host = ""
                (self.host,) = self._platform.pool.take([self.vm_id])

    async def boot(self, hosts: Sequence[str]) -> None:
        """From a claimed host to a worker that has registered. `hosts`: of the whole slice."""
        try:
            await self._prepare(hosts)
            self._states.set(self._index, VmState.INITIALIZING)
            await self._start_worker()
            await self._wait_registered()
        except IrisError as error:
            self._broken = str(error)
            raise
        self._states.set(self._index, VmState.READY)

    def found(self, claim: Claim) -> None:
        """Instead of `claim` and `boot`, for one that an earlier process brought up."""
        self.host, self._claim = claim.host, claim
        self._log.add(f"found on {claim.host}, claimed at {claim.created_at.isoformat()}")

    async def _claim_one(self) -> None:
        self._step(f"connecting to {self.host}")
        agent = await self._connect()
        self._look = look = await agent.look()
        await self._check_python(look)
        label, work_dir = self._platform.options.label, self._platform.options.work_dir
        wanted = Claim(
            label=label,
            scale_group=self._platform.group.name,
            slice_id=self._slice_id,
            index=self._index,
            host=self.host,
            created_at=self._created_at,
            work_dir=work_dir,
            vm_dir=f"{work_dir}/vms/{self._slice_id}-{self._index}",
        )
        got = await agent.claim(wanted)
        if got.label == label and got.vm_id != self.vm_id:
            # Nobody of this process has the host: whoever claimed it was ended without clearing up.
            self._step(f"ending what was left of {got.vm_id}")
            await clear(agent, got)
            got = await agent.claim(wanted)
        if (got.label, got.vm_id) != (label, self.vm_id):
            raise FailedPrecondition(
                f"{self.host} is in use by the cluster {got.label!r} ({got.vm_id}) "
                f"since {got.created_at.isoformat(timespec='seconds')}."
            )
        self._claim = got
        self._step(f"claimed {self.host}")

    async def _check_python(self, look: HostLook) -> None:
        shipped = await self._platform.shipping.file()
        wanted = {name: shipped.about[name] for name in look.python}
        if wanted != dict(look.python):
            raise FailedPrecondition(
                f"{look.executable} on {self.host} is {described(look.python)}; "
                f"this Iris needs {described(wanted)}.",
                hint="Name another in bootstrap.python.",
            )

    async def _prepare(self, hosts: Sequence[str]) -> None:
        """Everything before the worker can start."""
        options, claim = self._platform.options, self._has_claim()
        agent, connection = self._agent(), self._has_connection()
        self._states.set(self._index, VmState.BOOTING)
        await agent.note(claim, hosts)
        for number, command in enumerate(options.commands, start=1):
            self._step(f"command {number} of {len(options.commands)}: {command}")
            status = await agent.command(
                command, options.command_timeout, options.environment, claim.vm_dir, self._log.add
            )
            if status != 0:
                raise FailedPrecondition(
                    f"bootstrap.commands[{number - 1}] failed on {self.host} with exit status {status}.",
                    hint="Its output is in the VM's init log.",
                )
        shipped = await self._platform.shipping.file()
        path = shipped.path_in(claim.ship_dir)
        self._step(f"shipping Iris to {path}")
        sent = await connection.put(shipped.path, path)
        size = shipped.path.stat().st_size / 1e6
        self._log.add(f"sent {size:.0f} MB" if sent else "it is there already")
        await agent.tidy(claim.ship_dir, shipped.digest)

    def _step(self, text: str) -> None:
        self._states.step(self._index, text)

    async def _start_worker(self) -> None:
        options, claim, look = self._platform.options, self._has_claim(), self._look
        assert look is not None
        await self._open_way()
        told = host_worker_options(
            self._platform.group,
            claim,
            options.worker,
            token=self._platform.access.token,
            address=look.address or self.host,
            variables=tuple(options.environment),
        )
        path = (await self._platform.shipping.file()).path_in(claim.ship_dir)
        self._step("starting the worker")
        await self._agent().start(
            claim, [look.executable, "-I", path, "worker"], options.environment, told.to_json()
        )

    async def _wait_registered(self) -> None:
        """Follows the worker's log until it has registered. Raises Unavailable if it ends instead."""
        self._events = self._agent().watch(self._has_claim(), 0)
        async for event in self._events:
            if "line" in event:
                self._log.add(event["line"])
            elif "problem" in event:
                raise Unavailable(f"The worker on {self.host} did not come up: {event['problem']}.")
            elif event == _REGISTERED:
                self._log.add("registered")
                return

    # --- While it lives ---------------------------------------------------------------------------

    async def live(self) -> str:
        """Keeps the way between host and controller open; returns, with the reason, when the worker
        has ended without having been told to, or the host cannot be reached any more.
        """
        while True:
            try:
                if self._events is None:
                    raise Unavailable(f"{self.host} is not connected.")
                async for event in self._events:
                    if "problem" in event:
                        self._broken = str(event["problem"])
                        return self._broken
                raise Unavailable(f"{self.host} stopped answering.")
            except IrisError as error:
                self._states.set(self._index, VmState.UNHEALTHY, str(error))
            try:
                await self._reconnect()
            except IrisError as error:
                self._broken = str(error)
                return self._broken
            self._states.set(self._index, VmState.READY)

    async def _reconnect(self) -> None:
        """Raises Unavailable if that was in vain for `unreachable_after`."""
        clock, options = self._platform.clock, self._platform.options
        limit = options.unreachable_after
        until = clock.monotonic() + limit.total_seconds()
        rest, most = _RECONNECT_SECONDS
        while True:
            try:
                await self._disconnect()
                agent = await self._connect()
                self._look = await agent.look()
                claim = self._look.claim
                if claim is None or (claim.label, claim.vm_id) != (options.label, self.vm_id):
                    self._events = _just({"problem": "its host is not claimed by it any more"})
                    return
                self._claim = replace(claim, host=self.host)
                await self._open_way()
                self._events = agent.watch(claim, 0)
                # That it is watched: it has registered before, or it has ended.
                await self._first_word()
                self._log.add(f"connected to {self.host} again")
                return
            except IrisError as error:
                if clock.monotonic() + rest > until:
                    raise Unavailable(
                        f"{self.host} was out of reach for {limit.total_seconds():g} s: {error}"
                    ) from error
                await clock.sleep(rest)
                rest = min(2 * rest, most)

    async def _first_word(self) -> None:
        assert self._events is not None
        async for event in self._events:
            if "problem" in event:
                # For `live`, to be told once.
                self._events = _just(event)
                return
            if event == _REGISTERED:
                return
        raise Unavailable(f"{self.host} stopped answering.")

    # --- Its end ----------------------------------------------------------------------------------

    async def end(self) -> None:
        """Ends the worker and all that it runs, waits until nothing is left, and gives the host back.

        Raises IrisError if that could not be made sure of; the host is set aside then, and its worker
        ends by itself after its lease. Idempotent.
        """
        host, claim = self.host, self._claim
        self.host = ""
        if not host:
            return
        pool = self._platform.pool
        try:
            if claim is not None:
                await self._clear(host, claim)
        except IrisError as error:
            assert claim is not None
            pool.set_aside(host, f"what runs there could not be ended: {error}")
            self._platform.leftovers.add(host, claim)
            raise
        finally:
            await self._disconnect()
        if self._broken:
            pool.set_aside(host, self._broken)
        else:
            pool.give_back(host)

    async def let_go(self) -> None:
        """Ends the connection, and nothing there. Idempotent."""
        await self._disconnect()

    async def _clear(self, host: str, claim: Claim) -> None:
        if self._connection is None or not self._connection.alive:
            await self._disconnect()
            self._connection = await self._platform.ssh.connect(host, self._platform.options.ssh)
        await clear(self._agent(), claim)
        self._log.add(f"{host} is given back")

    # --- The connection ---------------------------------------------------------------------------

    async def _connect(self) -> HostAgent:
        self._connection = await self._platform.ssh.connect(self.host, self._platform.options.ssh)
        return self._agent()

    async def _open_way(self) -> None:
        """From the socket there to the controller here; it closes with the connection."""
        address = await self._platform.controller_address()
        way = self._has_connection().remote_forward(self._has_claim().socket, address)
        await self._open.enter_async_context(way)

    async def _disconnect(self) -> None:
        events, self._events = self._events, None
        if events is not None and hasattr(events, "aclose"):
            await events.aclose()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        # The connection is closed: nothing of it is left to be undone.
        with contextlib.suppress(IrisError):
            await self._open.aclose()

    def _agent(self) -> HostAgent:
        return HostAgent(self._has_connection(), self._platform.options.python)

    def _has_connection(self) -> SshConnection:
        if self._connection is None:
            raise Unavailable(f"{self.host} is not connected.")
        return self._connection

    def _has_claim(self) -> Claim:
        assert self._claim is not None
        return self._claim


async def _just(event: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
    yield event
