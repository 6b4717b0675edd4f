"""Sells slices of hosts that are there, reached by SSH."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.model.errors import IrisError, Unavailable
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.platforms.init_log import InitLogs
from iris.platforms.manual.claims import Claim
from iris.platforms.manual.host_agent import HostAgent
from iris.platforms.manual.host_pool import HostPool
from iris.platforms.manual.host_vm import ManualPlatform
from iris.platforms.manual.leftovers import Leftovers
from iris.platforms.manual.options import ControllerAccess, ManualOptions
from iris.platforms.manual.shipping import Shipping
from iris.platforms.manual.vm_group import ManualVmGroup
from iris.ssh import SshClient

_LOG = logging.getLogger(__name__)
# Connections that are made at once when all hosts are asked.
_LOOKS_AT_ONCE = 16


class ManualVmManager:
    """See VmManagerProtocol. Belongs to one event loop.

    Args:
        shipping: Shared by all groups of the cluster, like init_logs.
    """

    def __init__(
        self,
        group: ScaleGroup,
        options: ManualOptions,
        access: ControllerAccess,
        shipping: Shipping,
        *,
        init_logs: InitLogs,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._pool = HostPool(options.hosts, options.set_aside, clock)
        self._ssh = SshClient()
        self._leftovers = Leftovers(self._ssh, options, clock)
        self._platform = ManualPlatform(
            group,
            options,
            access,
            self._ssh,
            shipping,
            self._pool,
            self._leftovers,
            clock,
            init_logs,
        )
        self._ids = ids
        self._groups: dict[SliceId, ManualVmGroup] = {}
        self._looking = asyncio.Semaphore(_LOOKS_AT_ONCE)

    @property
    def scale_group(self) -> ScaleGroup:
        """See VmManagerProtocol."""
        return self._platform.group

    async def create_vm_group(self, tags: Mapping[str, str]) -> ManualVmGroup:
        """See VmManagerProtocol. Hosts are found by their claims, so nobody has to find the tags."""
        slice_id = SliceId(self._ids.fresh(self.scale_group.name))
        group = self._group(slice_id, self.scale_group.vms_per_slice)
        hosts = self._pool.take(group.vm_ids())
        self._groups[slice_id] = group
        group.begin(hosts)
        return group

    async def discover_vm_groups(self) -> tuple[ManualVmGroup, ...]:
        """See VmManagerProtocol. Asks every host that no known slice has; those under our label are adopted.

        A host that cannot be asked is set aside, and asked again before it is ever used. Raises Unavailable
        if that is so with all of them.
        """
        names = [name for name in self._platform.options.hosts if not self._pool.is_held(name)]
        answers = await asyncio.gather(*(self._claim_on(name) for name in names))
        problems = [answer for answer in answers if isinstance(answer, IrisError)]
        if problems and len(problems) == len(self._platform.options.hosts):
            raise Unavailable(f"None of the hosts can be asked: {problems[0]}")
        by_slice: dict[SliceId, list[Claim]] = {}
        for claim in answers:
            if isinstance(claim, Claim):
                by_slice.setdefault(claim.slice_id, []).append(claim)
        for slice_id, claims in by_slice.items():
            self._adopt(slice_id, claims)
        return tuple(self._groups.values())

    def set_aside(self) -> Mapping[str, str]:
        """Hosts that are left alone at the moment, and why."""
        return self._pool.resting()

    async def stop(self) -> None:
        """See VmManagerProtocol. Slices go on: their workers do not live in this process, and are
        found again.
        """
        await asyncio.gather(*(group.let_go() for group in self._groups.values()))
        await self._leftovers.stop()
        await self._ssh.close()

    async def _claim_on(self, name: str) -> Claim | IrisError | None:
        """The claim of ours that is on a host; what was wrong, if it could not be asked."""
        options = self._platform.options
        async with self._looking:
            try:
                connection = await self._ssh.connect(name, options.ssh)
                try:
                    look = await HostAgent(connection, options.python).look()
                finally:
                    await connection.close()
            except IrisError as error:
                _LOG.warning("%s cannot be asked what runs there: %s", name, error)
                self._pool.set_aside(name, str(error))
                return error
        claim = look.claim
        ours = claim is not None and (claim.label, claim.scale_group) == (
            options.label,
            self.scale_group.name,
        )
        return replace(claim, host=name) if claim is not None and ours else None

    def _adopt(self, slice_id: SliceId, claims: Sequence[Claim]) -> None:
        # Those of which only others' claims know cannot be reached now, but may be before long.
        hosts = next((claim.hosts for claim in claims if claim.hosts), ())
        found = {claim.index: claim for claim in claims}
        known = self._platform.options.hosts
        for index, host in enumerate(hosts):
            if index not in found and host in known and not self._pool.is_held(host):
                found[index] = claims[0].on(index, host)
        count = max(len(hosts), self.scale_group.vms_per_slice, *(index + 1 for index in found))
        group = self._group(slice_id, count, claims[0])
        for claim in found.values():
            self._pool.hold(claim.host, claim.vm_id)
        self._groups[slice_id] = group
        group.adopt(tuple(found.values()))

    def _group(self, slice_id: SliceId, count: int, claim: Claim | None = None) -> ManualVmGroup:
        created_at = self._platform.clock.now() if claim is None else claim.created_at
        return ManualVmGroup(
            self._platform,
            slice_id,
            created_at,
            count,
            found=claim is not None,
            on_end=self._forget,
        )

    def _forget(self, group: ManualVmGroup) -> None:
        self._groups.pop(group.slice_id, None)
