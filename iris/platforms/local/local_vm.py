"""One VM of a local slice: what a group asks of it, however it is hosted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from iris.model.fleet import ScaleGroup, slice_attributes
from iris.model.ids import SliceId, WorkerId
from iris.model.tpu import tpu_topology
from iris.platforms.local.linked_process import ProcessLinks
from iris.worker.environment import LocalEnvironmentProvider


@dataclass(frozen=True, slots=True)
class VmIdentity:
    """Who a VM is within its slice."""

    group: ScaleGroup
    slice_id: SliceId
    index: int

    @property
    def vm_id(self) -> str:
        """The platform's name for it, which is also its worker's."""
        return f"{self.slice_id}/{self.index}"

    @property
    def worker_id(self) -> WorkerId:
        """See vm_id."""
        return WorkerId(self.vm_id)

    def environment(self) -> LocalEnvironmentProvider:
        """What its worker has to offer: the group's shape, and the attributes a real machine of the kind would have."""
        topology = (
            tpu_topology(self.group.accelerator_variant).topology if self.group.is_tpu else ""
        )
        attributes = slice_attributes(self.group, self.slice_id, self.index, topology)
        return LocalEnvironmentProvider(self.group.vm, attributes)


class LocalVm(Protocol):
    """One machine under way. Belongs to one event loop."""

    @property
    def folder(self) -> Path:
        """What is its own; removed by its group once it has ended."""

    async def boot(self) -> None:
        """Starts its worker. Raises IrisError when it cannot."""

    async def registered(self) -> None:
        """Returns once its worker has registered. Raises IrisError when it ends instead."""

    async def ended(self) -> str:
        """Returns, with the reason, when it ends without having been told to."""

    async def kill(self) -> None:
        """Fault injection: its worker dies at once and without a word, as if the machine had lost its power; `ended`
        then returns. Nothing happens if it has not booted, or has ended.
        """

    async def end(self) -> None:
        """Ends its worker and everything that runs there; bounded. Idempotent; whatever state it is in."""

    @property
    def can_run_on(self) -> bool:
        """Whether its worker runs, and can without this process."""

    def let_go(self) -> ProcessLinks | None:
        """Leaves its worker to run, for another controller; None unless it `can_run_on`. It is not used any more."""
