"""Why a class of tasks found no place: for every worker the first rule that turned it down, and from
the workers that came furthest the reason that is told, with the nearest miss.

The rules, in the order in which a worker meets them: constraints and the gang's attribute, taints,
the size of the machine, whether it takes work, what is free, what is kept for others, whether its
group holds the whole gang. So a worker that lacks an attribute is never said to lack resources, and
"too little cpu" is said only where everything else would do.

Every worker is looked at once per set of rules, for as long as the machines stay the same; a pass
then looks only at the workers with the most room (_FREEST of each kind of machine) to find the
nearest miss, and at those where room is kept.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from iris.model.constraints import Constraint, ConstraintOp, required
from iris.model.pending import PendingCode, PendingReason, RuleCount
from iris.model.resources import Resources, format_amount
from iris.model.taints import TAINT_PREFIX, Toleration
from iris.scheduler.gangs import Shortfall
from iris.scheduler.pool import Pool
from iris.scheduler.snapshot import Request
from iris.scheduler.workers import WorkerTable

_NOTHING = Resources()
_MOST_NAMED = 3
_FREEST = 8
_MOST_KEPT = 512

_Rules = tuple[tuple[Constraint, ...], tuple[Toleration, ...]]


@dataclass(slots=True)
class _Split:
    """All workers, by what constraints and taints say of them.

    Attributes:
        unmet: Of each rule that turned workers down, the values that they had instead (None: no
            such attribute).
        tainted: Of each taint that turned workers down, its values.
        eligible: Those that none turned down, whether or not they take work.
    """

    unmet: dict[Constraint, Counter[str | None]] = field(default_factory=dict)
    tainted: dict[str, Counter[str]] = field(default_factory=dict)
    eligible: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The eligible workers, by what can be said of them whatever runs there.

    Attributes:
        too_small: How many could never hold one task; `largest` is the nearest of them.
        closed: Of the others, how many take no work, by why.
        open: How many are left.
    """

    too_small: int
    largest: "_Miss | None"
    closed: tuple[tuple[str, int], ...]
    example: int
    open: int


@dataclass(frozen=True, slots=True)
class _Miss:
    """How far a worker is from having enough: of which resource it has so much, and too little."""

    position: int
    subject: str
    there: int
    distance: float


class Explainer:
    """For one set of machines."""

    def __init__(self, table: WorkerTable) -> None:
        self._table = table
        self._splits: dict[_Rules, _Split] = {}
        self._sizes: dict[tuple[_Rules, Resources], _Sizes] = {}

    def explain(self, request: Request, pool: Pool, shortfall: Shortfall | None) -> PendingReason:
        """Why a task (or gang) of this class has no place; `shortfall` is what a gang waits for."""
        if not self._table.views:
            return PendingReason(PendingCode.NO_WORKERS, needed=_needed(request))
        rules = required(request.constraints)
        if request.gang is not None:
            rules = (*rules, Constraint(request.gang.group_by, ConstraintOp.EXISTS))
        key = (rules, request.tolerations)
        split = self._split(key)
        if not split.eligible:
            return self._turned_down(rules, split)
        sizes = self._sizes_of(key, request.resources, split)
        below = _static_counts(split, sizes)
        if not sizes.open:
            return self._no_machine(request, sizes, below)
        return self._no_room(request, pool, shortfall, sizes.open, below)

    # --- what the machines are -------------------------------------------------------------------

    def _split(self, key: _Rules) -> _Split:
        split = self._splits.get(key)
        if split is not None:
            return split
        if len(self._splits) >= _MOST_KEPT:
            self._splits.clear()
        split = self._splits[key] = _Split()
        rules, tolerations = key
        table = self._table
        for position, view in enumerate(table.views):
            unmet = next((rule for rule in rules if not rule.holds(view.attributes)), None)
            taint = None if unmet is not None else table.untolerated(position, tolerations)
            if unmet is not None:
                values = split.unmet.setdefault(unmet, Counter())
                values[view.attributes.get(unmet.attribute)] += 1
            elif taint is not None:
                split.tainted.setdefault(taint, Counter())[
                    view.attributes[TAINT_PREFIX + taint]
                ] += 1
            else:
                split.eligible.append(position)
        return split

    def _sizes_of(self, rules: _Rules, need: Resources, split: _Split) -> _Sizes:
        key = (rules, need)
        sizes = self._sizes.get(key)
        if sizes is not None:
            return sizes
        if len(self._sizes) >= _MOST_KEPT:
            self._sizes.clear()
        too_small, largest, example, open_ = 0, None, -1, 0
        closed: Counter[str] = Counter()
        for position in split.eligible:
            view = self._table.views[position]
            if not need.fits_in(view.total):
                miss = _miss(position, need, view.total)
                too_small += 1
                if largest is None or miss.distance < largest.distance:
                    largest = miss
            elif not view.accepting:
                closed[view.not_accepting or "not accepting"] += 1
                if example < 0 or (view.problem and not self._table.views[example].problem):
                    example = position
            else:
                open_ += 1
        sizes = _Sizes(too_small, largest, tuple(sorted(closed.items())), example, open_)
        self._sizes[key] = sizes
        return sizes

    # --- reasons ---------------------------------------------------------------------------------

    def _turned_down(self, rules: Sequence[Constraint], split: _Split) -> PendingReason:
        """No worker satisfies all constraints and taints. Rules are tried in order, so who failed a
        later one came further.
        """
        counts = _rule_counts(split)
        if split.tainted:
            taint = min(split.tainted, key=lambda name: (-split.tainted[name].total(), name))
            value = min(split.tainted[taint])
            return PendingReason(
                PendingCode.TAINT_NOT_TOLERATED,
                taint,
                f"a worker without the taint {taint}",
                f"{taint}={value} on {split.tainted[taint].total()} workers",
                counts,
                f"Tolerate it (--toleration {taint}), or wait for other workers.",
            )
        rule = max(split.unmet, key=rules.index)
        there = sorted(value for value in split.unmet[rule] if value is not None)
        if there:
            nearest = f"{rule.attribute} = {_some(there)}"
            hint = "Only a worker with such an attribute will do."
        else:
            names = sorted({name for view in self._table.views for name in view.attributes})
            alone = len(split.unmet) == 1
            nearest = "no worker has this attribute" if alone else "none of the rest has it"
            hint = f"Attributes of workers are {_some(names)}." if names else ""
        return PendingReason(
            PendingCode.CONSTRAINT_UNMET, rule.attribute, str(rule), nearest, counts, hint
        )

    def _no_machine(
        self, request: Request, sizes: _Sizes, below: tuple[RuleCount, ...]
    ) -> PendingReason:
        """Workers satisfy the rules, but none that takes work is large enough."""
        if sizes.closed:
            name = self._name(sizes.example)
            hint = "The workers that would do take no new tasks."
            view = self._table.views[sizes.example]
            subject = sizes.closed[0][0]
            if view.problem:
                name, subject = f"{name} ({view.problem})", view.not_accepting
            code = PendingCode.WORKERS_UNAVAILABLE
            return PendingReason(code, subject, _needed(request), name, below, hint)
        assert sizes.largest is not None, "an eligible worker is large enough, closed or open"
        needed, nearest = self._amounts(request, sizes.largest, "on")
        return PendingReason(
            PendingCode.INSUFFICIENT_RESOURCE,
            sizes.largest.subject,
            needed,
            nearest,
            below,
            "No worker that exists has that much.",
        )

    def _no_room(
        self,
        request: Request,
        pool: Pool,
        shortfall: Shortfall | None,
        open_: int,
        below: tuple[RuleCount, ...],
    ) -> PendingReason:
        """Large enough workers take work, and none has room now."""
        if request.gang is not None and shortfall is not None:
            code, subject = PendingCode.GANG_INCOMPLETE, request.gang.group_by
            needed, nearest, hint = _gang_texts(request, shortfall)
            counts = (RuleCount(code, subject, open_), *below)
            return PendingReason(code, subject, needed, nearest, counts, hint)
        kept = self._kept(request.resources, pool)
        miss = self._nearest(request.resources, pool)
        busy = miss.subject if miss is not None else ""
        counts = below
        if open_ > len(kept):
            code = PendingCode.INSUFFICIENT_RESOURCE
            counts = (RuleCount(code, busy, open_ - len(kept)), *counts)
        if kept:
            position, holder = kept[0]
            code = PendingCode.WORKERS_RESERVED
            counts = (RuleCount(code, holder, len(kept)), *counts)
            hint = f"{holder} came first; there is room once it has started or ended."
            name = self._name(position)
            return PendingReason(code, holder, _needed(request), name, counts, hint)
        hint = "There is room once enough of what runs has ended."
        code = PendingCode.INSUFFICIENT_RESOURCE
        if miss is None:
            return PendingReason(code, "", _needed(request), "", counts, hint)
        needed, nearest = self._amounts(request, miss, "free on")
        return PendingReason(code, busy, needed, nearest, counts, hint)

    def _kept(self, need: Resources, pool: Pool) -> list[tuple[int, str]]:
        """Workers that would have room if none were kept there, and for whom it is."""
        found: list[tuple[int, str]] = []
        for position, holds in sorted(self._table.holds.items()):
            if position not in pool.misses:
                continue
            free = self._table.free[position]
            for hold in holds:
                free += hold.free
            if need.fits_in(free):
                kept = next((hold for hold in holds if hold.free != _NOTHING), holds[0])
                found.append((position, kept.job_id))
        return found

    def _nearest(self, need: Resources, pool: Pool) -> _Miss | None:
        misses = (
            _miss(position, need, self._table.free[position])
            for position in pool.freest(_FREEST)
            if need.fits_in(self._table.views[position].total)
            and not need.fits_in(self._table.free[position])
        )
        return min(misses, key=lambda one: (one.distance, one.position), default=None)

    def _amounts(self, request: Request, miss: _Miss, where: str) -> tuple[str, str]:
        wanted = dict(request.resources.amounts())[miss.subject]
        there = format_amount(miss.subject, max(0, miss.there))
        name = self._name(miss.position)
        return format_amount(miss.subject, wanted), f"{there} {where} {name}"

    def _name(self, position: int) -> str:
        return self._table.views[position].worker_id


def _miss(position: int, needed: Resources, there: Resources) -> _Miss:
    """By the resource that is furthest from enough; accelerators go before the others."""

    def missing(shortage: tuple[str, int, int]) -> tuple[float, bool]:
        name, wanted, have = shortage
        return (wanted - have) / wanted, name not in ("cpu", "memory", "disk", "ports")

    shortages = needed.shortages(there)
    name, _, have = max(shortages, key=missing)
    return _Miss(position, name, have, sum(missing(shortage)[0] for shortage in shortages))


def _static_counts(split: _Split, sizes: _Sizes) -> tuple[RuleCount, ...]:
    """What was turned down whatever runs, those that came furthest first."""
    counts = [
        RuleCount(PendingCode.WORKERS_UNAVAILABLE, why, workers) for why, workers in sizes.closed
    ]
    if sizes.largest is not None:
        code = PendingCode.INSUFFICIENT_RESOURCE
        counts.append(RuleCount(code, sizes.largest.subject, sizes.too_small))
    return (*counts, *_rule_counts(split))


def _rule_counts(split: _Split) -> tuple[RuleCount, ...]:
    """What constraints and taints turned down."""
    tainted = [
        RuleCount(PendingCode.TAINT_NOT_TOLERATED, taint, values.total())
        for taint, values in sorted(split.tainted.items())
    ]
    by_attribute: Counter[str] = Counter()
    for rule, values in split.unmet.items():
        by_attribute[rule.attribute] += values.total()
    unmet = [
        RuleCount(PendingCode.CONSTRAINT_UNMET, attribute, workers)
        for attribute, workers in by_attribute.items()
    ]
    return (*tainted, *unmet)


def _needed(request: Request) -> str:
    if request.gang is None:
        return str(request.resources)
    return f"{request.gang_size} times {request.resources} with one {request.gang.group_by}"


def _gang_texts(request: Request, shortfall: Shortfall) -> tuple[str, str, str]:
    """What a gang needs, the group that is nearest, and what would help."""
    assert request.gang is not None, "only a gang waits for a group"
    group, tasks = shortfall.group, request.gang_size
    where = f"{request.gang.group_by} = {group.value}"
    if group.capacity < tasks:
        nearest = f"{where}, which is the largest and holds {group.capacity}"
        return _needed(request), nearest, f"No group that exists holds {tasks} such tasks."
    nearest = f"{where} with room for {shortfall.room} of {tasks}"
    return _needed(request), nearest, "There is room once enough of what runs there has ended."


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
