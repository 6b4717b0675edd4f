"""The two protocols of a platform. The autoscaler cannot tell one platform from another.

All methods run on one event loop; those that reach a platform are coroutines, and their caller
bounds them with a deadline. A
cancelled call leaves nothing half bought: either the group is discoverable afterwards, or it does not exist.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from iris_proto import cluster_pb2

from iris.model.fleet import ManagedVm, ScaleGroup, VmState
from iris.model.ids import SliceId, WorkerId


class VmGroupProtocol(Protocol):
    """A slice: bought, and returned, whole."""

    @property
    def group_id(self) -> str:
        """The platform's own name for it."""

    @property
    def slice_id(self) -> SliceId:
        """Iris's name for it; its workers carry it as an attribute."""

    @property
    def scale_group(self) -> str:
        """The kind of slice it is."""

    @property
    def created_at(self) -> datetime:
        """When it was asked for, aware."""

    def status(self) -> VmState:
        """Of the slice as a whole: READY only when every VM is; failed as soon as one is."""

    def problem(self) -> str:
        """Why it is not well; empty when it is."""

    def vms(self) -> tuple[ManagedVm, ...]:
        """Its machines, in order of their index."""

    def note_health(self, problems: Mapping[WorkerId, str]) -> None:
        """What the controller hears of its workers: what is wrong, by worker; those that are not named are well.
        Never blocks.
        """

    async def wait_changed(self) -> None:
        """Returns after the next change of `status()`, so that nobody has to poll."""

    async def terminate(self) -> None:
        """Ends all its machines and waits until they are gone. Idempotent."""

    def to_proto(self) -> cluster_pb2.VmGroupStatus:
        """The same, for the wire."""


class VmManagerProtocol(Protocol):
    """Makes slices of one scale group come and go."""

    @property
    def scale_group(self) -> ScaleGroup:
        """The kind of slice it sells."""

    async def create_vm_group(self, tags: Mapping[str, str]) -> VmGroupProtocol:
        """Begins to bring up one slice and returns at once; it boots in the background.

        Raises ResourceExhausted when the platform has none to give (quota, budget), with the numbers.
        """

    async def discover_vm_groups(self) -> tuple[VmGroupProtocol, ...]:
        """The slices of this group that exist under our label, also those an earlier process made."""

    async def stop(self) -> None:
        """Ends every slice it made that dies with this process (local ones), and frees what it holds. Idempotent."""
