"""The workers of one scheduling pass: what is free on each as places are given away, and who
satisfies which constraints.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.ids import JobId
from iris.model.resources import Resources, accelerators_of
from iris.scheduler.snapshot import WorkerView

_NOTHING = Resources()


class WorkerTable:
    """Workers by their position in the snapshot. Within one pass what is free only ever shrinks.

    Attributes:
        views: As they were when the pass began.
        free: What is left on each.
        changes: Every position whose `free` changed, in order: an index that was built earlier
            reads on from where it stopped, so a change costs nothing to those that are not asked
            again.
        holds: What was set aside, and for which gang.
    """

    def __init__(self, workers: Sequence[WorkerView]) -> None:
        self.views = workers
        self.free = [view.free for view in workers]
        self.changes: list[int] = []
        self.holds: dict[int, list[tuple[JobId, Resources]]] = {}
        self._accepting = [position for position, view in enumerate(workers) if view.accepting]
        self._by_value: dict[str, dict[str, list[int]]] = {}

    def take(self, position: int, amount: Resources) -> None:
        """Gives this much of a worker away."""
        self.free[position] -= amount
        self.changes.append(position)

    def hold(self, position: int, job_id: JobId, amount: Resources) -> None:
        """Sets aside as much of `amount` as is still free."""
        held = _at_most(amount, self.free[position])
        if held != _NOTHING:
            self.take(position, held)
            self.holds.setdefault(position, []).append((job_id, held))

    def eligible(self, constraints: Sequence[Constraint]) -> list[int]:
        """The workers that take work and satisfy all constraints, in order."""
        candidates = self._accepting
        for constraint in constraints:
            if constraint.op in (ConstraintOp.EQ, ConstraintOp.IN):
                # Only the shortest list of workers that have a right value is looked at one by one.
                groups = self.by_value(constraint.attribute)
                lists = [groups.get(value, ()) for value in set(constraint.values)]
                if sum(map(len, lists)) < len(candidates):
                    candidates = sorted(chain.from_iterable(lists))
        for constraint in constraints:
            candidates = [p for p in candidates if constraint.holds(self.views[p].attributes)]
        return candidates

    def by_value(self, attribute: str) -> Mapping[str, Sequence[int]]:
        """The workers that take work and have the attribute, by its value."""
        groups = self._by_value.get(attribute)
        if groups is None:
            groups = defaultdict(list)
            for position in self._accepting:
                value = self.views[position].attributes.get(attribute)
                if value is not None:
                    groups[value].append(position)
            self._by_value[attribute] = groups
        return groups

    def free_for(self, job_id: JobId, position: int) -> Resources:
        """What is free on a worker for one job: what was set aside for itself counts."""
        free = self.free[position]
        for holder, held in self.holds.get(position, ()):
            if holder == job_id:
                free += held
        return free


def _at_most(amount: Resources, free: Resources) -> Resources:
    have = dict(free.accelerators)
    return Resources(
        max(0, min(amount.cpu_millis, free.cpu_millis)),
        max(0, min(amount.memory_bytes, free.memory_bytes)),
        max(0, min(amount.disk_bytes, free.disk_bytes)),
        accelerators_of(
            {kind: max(0, min(count, have.get(kind, 0))) for kind, count in amount.accelerators}
        ),
    )
