"""Slices whose workers run on while their controller becomes another: what the next one has to know of them.

The next controller is the same process with another program (execve(2)): pids are still those of its children, and
descriptors still open.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.platforms.local.linked_process import ProcessLinks


@dataclass(frozen=True, slots=True)
class HandedOverSlice:
    """One that was READY.

    Attributes:
        shape: See `shape_of`.
        workers: In order of their VMs' index.
    """

    slice_id: SliceId
    scale_group: str
    created_at: datetime
    shape: str
    workers: tuple[ProcessLinks, ...]

    def to_fields(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "slice_id": self.slice_id,
            "scale_group": self.scale_group,
            "created_at": self.created_at.isoformat(),
            "shape": self.shape,
            "workers": [list(links) for links in self.workers],
        }

    def refuse(self) -> None:
        """Cuts the lifelines of its workers, which end then. Only if nobody has taken it up."""
        for links in self.workers:
            os.close(links.lifeline)
            os.close(links.answers)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "HandedOverSlice":
        """The reverse. Raises ValueError, KeyError or TypeError for anything else."""
        return cls(
            SliceId(fields["slice_id"]),
            str(fields["scale_group"]),
            datetime.fromisoformat(fields["created_at"]),
            str(fields["shape"]),
            tuple(ProcessLinks(*map(int, links)) for links in fields["workers"]),
        )


def shape_of(group: ScaleGroup) -> str:
    """What a slice of the group is made of. Where the configuration now says something else, its slices are not of
    the group any more.
    """
    return repr(
        (
            group.vms_per_slice,
            group.vm,
            group.accelerator_type,
            group.accelerator_variant,
            group.preemptible,
            tuple(sorted(group.attributes)),
        )
    )
