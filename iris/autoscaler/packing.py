"""Where a plan packed the demand, as the next plan needs it: what is packed stays where it is.

Packed anew from nothing, demand could move into what was bought for another, for which more would
then be bought. So each plan begins with what the last one packed, machine by machine: as long as
demand only shrinks and machines only come, all that is left of it fits.

Demand of one kind and band is interchangeable: what was packed for a job that has found a place
meanwhile is there for the next job like it, whoever's it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from iris.autoscaler.capacity import RoomRef
from iris.autoscaler.demand import Demand
from iris.model.constraints import Constraint
from iris.model.ids import SliceId
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import Toleration

# What room there is for a demand depends on these alone: resources, constraints, tolerations; of a
# gang also group_by and its size, otherwise "" and 0.
DemandKey = tuple[Resources, tuple[Constraint, ...], tuple[Toleration, ...], str, int]
PackingKey = tuple[PriorityBand, DemandKey]


def demand_key(demand: Demand) -> DemandKey:
    """Demands with the same key find the same room."""
    gang = demand.gang
    group_by, size = (gang.group_by, demand.tasks) if gang is not None else ("", 0)
    return demand.resources, demand.constraints, demand.tolerations, group_by, size


@dataclass(frozen=True, slots=True)
class Place:
    """Room for so many tasks on one VM of a slice."""

    room: RoomRef
    vm: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Grant:
    """Room in one scale group: for one gang, or for single tasks of one kind."""

    group: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Packing:
    """What one plan packed.

    Attributes:
        known: By scale group: the slices that had a name. One that has one later is what a slice
            without a name has become.
    """

    grants: Mapping[PackingKey, tuple[Grant, ...]] = field(default_factory=dict)
    known: Mapping[str, frozenset[SliceId]] = field(default_factory=dict)


class PackingRecord:
    """A Packing in the making."""

    def __init__(self) -> None:
        self._gangs: dict[PackingKey, list[Grant]] = {}
        self._singles: dict[PackingKey, dict[str, list[Place]]] = {}

    def add_gang(self, key: PackingKey, group: str, places: Iterable[Place]) -> None:
        """A gang was packed."""
        self._gangs.setdefault(key, []).append(Grant(group, tuple(places)))

    def add_singles(self, key: PackingKey, group: str, places: Iterable[Place]) -> None:
        """Single tasks were packed."""
        self._singles.setdefault(key, {}).setdefault(group, []).extend(places)

    def made(self, known: Mapping[str, Iterable[SliceId]]) -> Packing:
        """All of it."""
        grants = {key: tuple(found) for key, found in self._gangs.items()}
        for key, groups in self._singles.items():
            grants[key] = tuple(Grant(name, _joined(places)) for name, places in groups.items())
        return Packing(grants, {name: frozenset(there) for name, there in known.items()})


def _joined(places: Iterable[Place]) -> tuple[Place, ...]:
    """One for each VM: otherwise there would be more of them with each plan."""
    tasks: dict[tuple[RoomRef, int], int] = {}
    for one in places:
        where = one.room, one.vm
        tasks[where] = tasks.get(where, 0) + one.tasks
    return tuple(Place(room, vm, count) for (room, vm), count in tasks.items())
