"""The workers as one pass after the other sees them: what is free on each as places are given away,
what is kept for whom, and who satisfies which constraints.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from operator import is_

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.ids import JobId, WorkerId
from iris.model.resources import Resources, accelerators_of
from iris.model.taints import Toleration, taints_of, untolerated
from iris.scheduler.snapshot import WorkerView

_NOTHING = Resources()
Taints = tuple[tuple[str, str], ...]
# Accelerators in all, cpu, memory, disk, ports, accelerators by kind.
FreeKey = tuple[int, int, int, int, int, tuple[tuple[str, int], ...]]


@dataclass(slots=True)
class Hold:
    """Room on one worker that is kept for a job.

    Attributes:
        free: What of it is free now.
        coming: What of it is free once what is being stopped there is gone.
        later: What of it still has to end by itself, if anything.
        starts_by: When the job starts at the latest; None: nobody knows.
    """

    job_id: JobId
    free: Resources
    coming: Resources
    later: Resources | None
    starts_by: datetime | None = None

    def lends_until(self, moment: datetime) -> bool:
        """Whether it is certain that the job does not start before."""
        return self.starts_by is not None and moment <= self.starts_by


class WorkerTable:
    """Workers by their position in the snapshot.

    Within one pass what is free only ever shrinks, unless a hold is given up; `begin` starts the
    next pass from what is really free.

    Attributes:
        views: As they were when the pass began.
        free: What is left on each.
        free_keys: The same as `free_key` has it.
        coming: What is being released on some, and was not claimed in this pass.
        changes: Every position whose `free` changed, in order: an index that was built earlier
            reads on from where it stopped, so a change costs nothing to those that are not asked
            again.
        holds: What is kept, by position.
        lent: What of that was given in this pass to work that is gone by then, by position.
        position_of: Of each worker.
        total: Of all workers together.
    """

    def __init__(self, workers: Sequence[WorkerView]) -> None:
        self.views = list(workers)
        self.free = [view.free for view in workers]
        self.free_keys = [free_key(view.free) for view in workers]
        self.changes: list[int] = []
        self.holds: dict[int, list[Hold]] = {}
        self.lent: dict[int, list[tuple[datetime, Resources]]] = {}
        self.position_of: dict[WorkerId, int] = {
            view.worker_id: position for position, view in enumerate(workers)
        }
        self.total = _sum(view.total for view in workers)
        self.coming: dict[int, Resources] = {}
        self._touched: set[int] = set()
        self._held_by: dict[JobId, list[int]] = {}
        self._releasing = {p for p, view in enumerate(workers) if view.releasing != _NOTHING}
        self._accepting = [position for position, view in enumerate(workers) if view.accepting]
        self._by_value: dict[str, dict[str, list[int]]] = {}
        self._taints: list[Taints] = [
            tuple(sorted(taints_of(view.attributes).items())) for view in workers
        ]
        self._has_taints = any(self._taints)
        self._untolerated: dict[tuple[Taints, tuple[Toleration, ...]], str | None] = {}
        self._reset()

    # --- from pass to pass -----------------------------------------------------------------------

    def begin(self, workers: Sequence[WorkerView]) -> bool:
        """Starts a pass over these workers.

        False, and nothing may be used any more, if workers came or went or are no longer what they
        were in more than what is free: then a new table has to be made.
        """
        if len(workers) != len(self.views):
            return False
        for position, same in enumerate(map(is_, self.views, workers)):
            if same:
                continue
            new = workers[position]
            if not _same_machine(self.views[position], new):
                return False
            self.views[position] = new
            self._touched.add(position)
            if new.releasing != _NOTHING:
                self._releasing.add(position)
            else:
                self._releasing.discard(position)
        self._reset()
        return True

    def _reset(self) -> None:
        for position in self._touched:
            now, before = self.views[position].free, self.free[position]
            if now is not before and now != before:
                self._set_free(position, now)
        self._touched.clear()
        self.holds.clear()
        self.lent.clear()
        self._held_by.clear()
        self.coming = {
            position: self.views[position].releasing
            for position in sorted(self._releasing)
            if self.views[position].accepting
        }

    def forget_changes(self) -> None:
        """All indexes have caught up, or are gone."""
        self.changes.clear()

    # --- giving away -----------------------------------------------------------------------------

    def take(self, position: int, amount: Resources) -> None:
        """Gives this much of a worker away."""
        self._set_free(position, self.free[position] - amount)
        self._touched.add(position)

    def _set_free(self, position: int, free: Resources) -> None:
        self.free[position] = free
        self.free_keys[position] = free_key(free)
        self.changes.append(position)

    def release(self, position: int, amount: Resources) -> None:
        """This much will be free on a worker: something there is to be stopped."""
        self.coming[position] = self.coming.get(position, _NOTHING) + amount

    def hold(
        self, position: int, job_id: JobId, amount: Resources, starts_by: datetime | None = None
    ) -> None:
        """Keeps `amount` for a job: of what is free, then of what is coming, then of what ends."""
        free = _at_most(amount, self.free[position])
        left = amount - free
        coming = _at_most(left, self.coming.get(position, _NOTHING))
        later = left - coming if coming != left else None
        if free != _NOTHING:
            self.take(position, free)
        if coming != _NOTHING:
            self.coming[position] -= coming
        self.holds.setdefault(position, []).append(Hold(job_id, free, coming, later, starts_by))
        self._held_by.setdefault(job_id, []).append(position)

    def held_for(self, job_id: JobId) -> Sequence[int]:
        """Where room is kept for a job; a worker may occur more than once."""
        return self._held_by.get(job_id, ())

    def give_up_holds(self, job_id: JobId) -> None:
        """What is kept for a job is free again."""
        for position in self._held_by.pop(job_id, ()):
            kept = self.holds[position]
            for hold in [one for one in kept if one.job_id == job_id]:
                kept.remove(hold)
                self.take(position, _NOTHING - hold.free)
                if hold.coming != _NOTHING:
                    self.release(position, hold.coming)
            if not kept:
                del self.holds[position]

    def lend(self, position: int, amount: Resources, ends_by: datetime) -> None:
        """Gives work that is gone by then what is free on a worker, and then of what is kept there
        for those who start later.
        """
        free = _at_most(amount, self.free[position])
        self.take(position, free)
        left = amount - free
        for hold in self.holds.get(position, ()):
            if hold.lends_until(ends_by):
                part = _at_most(left, hold.free)
                hold.free -= part
                left -= part
        self.lent.setdefault(position, []).append((ends_by, amount))

    def lendable(self, position: int, ends_by: datetime) -> Resources:
        """What work can have that is gone by then: what is free, and what is kept for those who
        start later.
        """
        free = self.free[position]
        for hold in self.holds.get(position, ()):
            if hold.lends_until(ends_by):
                free += hold.free
        return free

    def awaited(self, position: int, but: Container[JobId]) -> Resources | None:
        """What of that which still runs on a worker is kept for others than these when it ends."""
        amount = None
        for hold in self.holds.get(position, ()):
            if hold.later is not None and hold.job_id not in but:
                amount = hold.later if amount is None else amount + hold.later
        return amount

    # --- who is eligible -------------------------------------------------------------------------

    def eligible(
        self, constraints: Sequence[Constraint], tolerations: tuple[Toleration, ...]
    ) -> list[int]:
        """The workers that take work, satisfy all constraints and have no taint that is not
        tolerated, in order.
        """
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
        if self._has_taints:
            candidates = [p for p in candidates if self.untolerated(p, tolerations) is None]
        return candidates

    def untolerated(self, position: int, tolerations: tuple[Toleration, ...]) -> str | None:
        """The first taint of a worker that is not tolerated."""
        taints = self._taints[position]
        if not taints:
            return None
        key = (taints, tolerations)
        if key not in self._untolerated:
            self._untolerated[key] = untolerated(dict(taints), tolerations)
        return self._untolerated[key]

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

    def soon(self, position: int) -> Resources:
        """What is free on a worker or being released there, and kept for nobody."""
        coming = self.coming.get(position)
        return self.free[position] if coming is None else self.free[position] + coming


def free_key(free: Resources) -> FreeKey:
    """What workers are sorted by where the fullest that still fits is looked for; see Pool."""
    accelerators = free.accelerators
    chips = sum(count for _, count in accelerators) if accelerators else 0
    return (
        chips,
        free.cpu_millis,
        free.memory_bytes,
        free.disk_bytes,
        free.ports,
        accelerators,
    )


def _same_machine(old: WorkerView, new: WorkerView) -> bool:
    return (
        old.worker_id == new.worker_id
        and old.accepting == new.accepting
        and old.not_accepting == new.not_accepting
        and (old.total is new.total or old.total == new.total)
        and (old.attributes is new.attributes or old.attributes == new.attributes)
    )


def _sum(amounts: Iterable[Resources]) -> Resources:
    total = _NOTHING
    for amount in amounts:
        total += amount
    return total


def _at_most(amount: Resources, free: Resources) -> Resources:
    """As much of `amount` as there is."""
    if amount.fits_in(free):
        return amount
    have = dict(free.accelerators)
    return Resources(
        max(0, min(amount.cpu_millis, free.cpu_millis)),
        max(0, min(amount.memory_bytes, free.memory_bytes)),
        max(0, min(amount.disk_bytes, free.disk_bytes)),
        accelerators_of(
            {kind: max(0, min(count, have.get(kind, 0))) for kind, count in amount.accelerators}
        ),
        max(0, min(amount.ports, free.ports)),
    )
