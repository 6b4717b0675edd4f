"""What this machine lends to a cluster, and what its slices hold of that."""

from iris.model.errors import InvalidArgument, ResourceExhausted
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.model.resources import Resources, format_amount


class MachineBudget:
    """Reserved slice by slice, given back whole. Belongs to one event loop.

    Chips of accelerators are simulated here and cost nothing, and ports are leased one by one: only processors,
    memory and disk are the machine's.

    Args:
        oversubscribe: Slices may together hold more than `total`.
    """

    def __init__(self, total: Resources, *, oversubscribe: bool = False) -> None:
        self.total = total
        self.oversubscribe = oversubscribe
        self._held: dict[SliceId, Resources] = {}

    @property
    def reserved(self) -> Resources:
        """By all slices together."""
        return sum(self._held.values(), Resources())

    @property
    def oversubscribed(self) -> bool:
        """Whether slices hold more than there is."""
        return not self.reserved.fits_in(self.total)

    def check_shape(self, group: ScaleGroup) -> None:
        """Raises InvalidArgument, with both numbers, for a group of which not even one slice could ever be held."""
        short = [] if self.oversubscribe else slice_cost(group).shortages(self.total)
        if short:
            name, needed, total = short[0]
            raise InvalidArgument(
                f"One slice of {group.name} needs {format_amount(name, needed)} ({group.vms_per_slice} VMs together), "
                f"this machine lends {format_amount(name, total)}.",
                hint="Make the VM shape smaller, or set controller_vm.local.machine.oversubscribe.",
            )

    def reserve(self, slice_id: SliceId, group: ScaleGroup) -> None:
        """Holds what one slice of the group costs. Raises ResourceExhausted, with the numbers,
        when there is too little."""
        cost = slice_cost(group)
        free = self.total - self.reserved
        short = [] if self.oversubscribe else cost.shortages(free)
        if short:
            name, needed, left = short[0]
            raise ResourceExhausted(
                f"A slice of {group.name} needs {format_amount(name, needed)}; of this machine's "
                f"{format_amount(name, dict(self.total.amounts())[name])}, {format_amount(name, left)} are free.",
                hint="Wait until other slices are given back, or lend more in controller_vm.local.machine.",
            )
        self._held[slice_id] = cost

    def release(self, slice_id: SliceId) -> None:
        """Gives back what a slice held. Idempotent."""
        self._held.pop(slice_id, None)


def slice_cost(group: ScaleGroup) -> Resources:
    """What one slice of the group takes of the machine."""
    vm = group.vm
    return Resources(vm.cpu_millis, vm.memory_bytes, vm.disk_bytes) * group.vms_per_slice
