"""A claim: what is written on a host while it belongs to a slice, by whichever process reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from iris.model.errors import DataLoss
from iris.model.ids import SliceId


@dataclass(frozen=True, slots=True)
class Claim:
    """Attributes:

    label: The cluster's; what carries another is another cluster's, and never touched.
    host: As this cluster's configuration calls it.
    hosts: Of all VMs of the slice, in order; empty until all are claimed.
    work_dir: On the host, for what outlives slices: what was shipped, and caches.
    vm_dir: On the host, of this VM.
    socket_dir: On the host; the way to the controller begins there. Empty until it is claimed.
    """

    label: str
    scale_group: str
    slice_id: SliceId
    index: int
    host: str
    created_at: datetime
    work_dir: str
    vm_dir: str
    socket_dir: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def vm_id(self) -> str:
        """Iris's name for the VM."""
        return f"{self.slice_id}/{self.index}"

    @property
    def socket(self) -> str:
        """What leads to the controller, there."""
        return f"{self.socket_dir}/controller"

    @property
    def ship_dir(self) -> str:
        """Where Iris itself lies, there."""
        return f"{self.work_dir}/ship"

    def on(self, index: int, host: str) -> "Claim":
        """That of another VM of the slice, whose host cannot be asked at the moment."""
        return replace(self, index=index, host=host, socket_dir="")

    def to_json(self) -> dict[str, Any]:
        """For the host."""
        return {
            "label": self.label,
            "scale_group": self.scale_group,
            "slice_id": self.slice_id,
            "index": self.index,
            "host": self.host,
            "created_at": self.created_at.isoformat(),
            "work_dir": self.work_dir,
            "vm_dir": self.vm_dir,
            "vm_id": self.vm_id,
            "hosts": list(self.hosts),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Claim":
        """What a host says. Raises DataLoss for what is none, such as that of another version."""
        try:
            return cls(
                label=str(told["label"]),
                scale_group=str(told["scale_group"]),
                slice_id=SliceId(told["slice_id"]),
                index=int(told["index"]),
                host=str(told["host"]),
                created_at=datetime.fromisoformat(told["created_at"]),
                work_dir=str(told["work_dir"]),
                vm_dir=str(told["vm_dir"]),
                socket_dir=str(told["socket_dir"]),
                hosts=tuple(map(str, told["hosts"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataLoss(f"A host's claim cannot be read: {error!r} in {told!r}.") from error
