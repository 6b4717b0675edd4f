"""What is worked out once and kept from pass to pass, for as long as the machines stay the same.

An answer never depends on what is kept: everything here can be made anew from the snapshot.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

from iris.model.constraints import Constraint, preferred, required
from iris.model.resources import Resources
from iris.model.taints import Toleration
from iris.scheduler.explain import Explainer
from iris.scheduler.gangs import GangIndex
from iris.scheduler.pool import Pool
from iris.scheduler.snapshot import Request, WorkerView
from iris.scheduler.workers import WorkerTable

_V = TypeVar("_V")
_PoolKey = tuple[tuple[Constraint, ...], tuple[Toleration, ...]]
_GangKey = tuple[_PoolKey, str, Resources]

# Least recently used go first.
_MOST_POOLS = 128
_MOST_GANG_INDEXES = 256
# Of the table's list of changes, before all indexes note them and it is emptied.
_MOST_CHANGES = 200_000


class Index:
    """For one set of machines."""

    def __init__(self, workers: Sequence[WorkerView]) -> None:
        self.table = WorkerTable(workers)
        self.explainer = Explainer(self.table)
        self._pools: OrderedDict[_PoolKey, Pool] = OrderedDict()
        self._gangs: OrderedDict[_GangKey, GangIndex] = OrderedDict()

    def begin(self, workers: Sequence[WorkerView]) -> bool:
        """Starts a pass over these workers; False if a new index has to be made for them."""
        if not self.table.begin(workers):
            return False
        if len(self.table.changes) > _MOST_CHANGES:
            kept: list[Pool | GangIndex] = [*self._pools.values(), *self._gangs.values()]
            for one in kept:
                one.catch_up()
                one.changes_forgotten()
            self.table.forget_changes()
        self.room_grew()
        return True

    def room_grew(self) -> None:
        """What had no room may have some now."""
        for pool in self._pools.values():
            pool.begin()

    def pool(self, request: Request) -> Pool:
        """The workers that would do for it, whatever is free on them."""
        key = (request.constraints, request.tolerations)
        pool = self._pools.get(key)
        if pool is None:
            members = self.table.eligible(required(request.constraints), request.tolerations)
            pool = Pool(self.table, members, preferred(request.constraints))
        return _keep(self._pools, key, pool, _MOST_POOLS)

    def gangs(self, request: Request) -> GangIndex:
        """The groups that would do for a gang."""
        assert request.gang is not None, "only gangs have groups"
        pool_key = (request.constraints, request.tolerations)
        key = (pool_key, request.gang.group_by, request.resources)
        index = self._gangs.get(key)
        if index is None:
            pool = self.pool(request)
            index = GangIndex(self.table, pool, request.gang.group_by, request.resources)
        return _keep(self._gangs, key, index, _MOST_GANG_INDEXES)


_K = TypeVar("_K")


def _keep(kept: "OrderedDict[_K, _V]", key: _K, value: _V, most: int) -> _V:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
    return value
