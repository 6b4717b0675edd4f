"""Why a job's tasks found no place: for every worker the first rule that turned it down, and from
the workers that came furthest the reason that is told, with the nearest miss.

The rules, in the order in which a worker meets them: constraints and the gang's attribute, the size
of the machine, whether it takes work, what is free, what is held for gangs, whether its group holds
the whole gang. So a worker that lacks an attribute is never said to lack resources, and "too little
cpu" is said only where everything else would do.

Workers are looked at by profile (what they have, what is free, whether they take work): equal
machines cost one look.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.ids import JobId
from iris.model.pending import PendingCode, PendingReason, RuleCount
from iris.model.resources import Resources, format_amount
from iris.scheduler.gangs import Shortfall
from iris.scheduler.snapshot import PendingJob
from iris.scheduler.workers import WorkerTable

_MOST_NAMED = 3


class _Stage(IntEnum):
    """How far a worker came; the order is that of the rules."""

    TOO_SMALL = 0
    UNAVAILABLE = 1
    BUSY = 2
    HELD = 3
    GROUP_INCOMPLETE = 4


_CODES = {
    _Stage.TOO_SMALL: PendingCode.INSUFFICIENT_RESOURCE,
    _Stage.UNAVAILABLE: PendingCode.WORKERS_UNAVAILABLE,
    _Stage.BUSY: PendingCode.INSUFFICIENT_RESOURCE,
    _Stage.HELD: PendingCode.WORKERS_RESERVED,
    _Stage.GROUP_INCOMPLETE: PendingCode.GANG_INCOMPLETE,
}


@dataclass(frozen=True, slots=True)
class _Finding:
    """Why one kind of worker was turned down. `there` is what it has of the subject, `miss` how far
    that is from enough.
    """

    stage: _Stage
    subject: str
    workers: int
    example: int
    there: int = 0
    miss: float = 0.0


_Profile = tuple[Resources, Resources, str | None, tuple[tuple[JobId, Resources], ...]]


@dataclass(slots=True)
class _Split:
    """All workers, by what the constraints say of them.

    Attributes:
        unmet: Of each rule that turned workers down, the values that they had instead (None: no
            such attribute).
        profiles: Of those that satisfy all, how many of each kind there are, and the first.
    """

    unmet: dict[Constraint, Counter[str | None]] = field(default_factory=dict)
    profiles: dict[_Profile, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The finding that is told (None: no worker satisfies the constraints), and all of them
    counted.
    """

    best: _Finding | None
    counts: tuple[RuleCount, ...]


class Explainer:
    """Explains the end of one pass; remembers what it found out for jobs that ask for the same."""

    def __init__(self, table: WorkerTable) -> None:
        self._table = table
        self._holders = {holder for holds in table.holds.values() for holder, _ in holds}
        self._splits: dict[tuple[Constraint, ...], _Split] = {}
        self._unmet: dict[tuple[Constraint, ...], PendingReason] = {}
        self._verdicts: dict[tuple[tuple[Constraint, ...], Resources], _Verdict] = {}

    def explain(self, job: PendingJob, shortfall: Shortfall | None) -> PendingReason:
        """Why the first of the job's tasks has no place; `shortfall` is what a gang waits for."""
        if not self._table.views:
            return PendingReason(PendingCode.NO_WORKERS, needed=_needed(job))
        rules = job.constraints
        if job.gang is not None:
            rules = (*rules, Constraint(job.gang.group_by, ConstraintOp.EXISTS))
        split, verdict = self._split(rules), self._verdict(job, rules)
        if verdict.best is None:
            reason = self._unmet.get(rules)
            if reason is None:
                reason = self._constraint_unmet(rules, split, verdict.counts)
                self._unmet[rules] = reason
            return reason
        return self._turned_down(job, verdict.best, shortfall, verdict.counts)

    def _verdict(self, job: PendingJob, rules: tuple[Constraint, ...]) -> _Verdict:
        # A gang that holds room sees that room as free, so what it finds is its own.
        key = (rules, job.resources)
        verdict = None if job.job_id in self._holders else self._verdicts.get(key)
        if verdict is None:
            split = self._split(rules)
            findings = [
                self._finding(job, profile, workers, example)
                for profile, (workers, example) in split.profiles.items()
            ]
            best = max(findings, key=lambda one: (one.stage, -one.miss, -one.example), default=None)
            verdict = _Verdict(best, _count(split, findings))
            if job.job_id not in self._holders:
                self._verdicts[key] = verdict
        return verdict

    def _split(self, rules: tuple[Constraint, ...]) -> _Split:
        split = self._splits.get(rules)
        if split is not None:
            return split
        split = self._splits[rules] = _Split()
        table = self._table
        for position, view in enumerate(table.views):
            unmet = next((rule for rule in rules if not rule.holds(view.attributes)), None)
            if unmet is not None:
                values = split.unmet.setdefault(unmet, Counter())
                values[view.attributes.get(unmet.attribute)] += 1
                continue
            closed = None if view.accepting else view.not_accepting or "not accepting"
            holds = tuple(table.holds.get(position, ()))
            profile = (view.total, table.free[position], closed, holds)
            workers, example = split.profiles.get(profile, (0, position))
            split.profiles[profile] = (workers + 1, example)
        return split

    def _finding(self, job: PendingJob, profile: _Profile, workers: int, example: int) -> _Finding:
        total, free, closed, holds = profile
        if not job.resources.fits_in(total):
            return _Finding(_Stage.TOO_SMALL, *_worst(job.resources, total, workers, example))
        if closed is not None:
            return _Finding(_Stage.UNAVAILABLE, closed, workers, example)
        others = [holder for holder, _ in holds if holder != job.job_id]
        for holder, held in holds:
            if holder == job.job_id:
                free += held
        if not job.resources.fits_in(free):
            if job.resources.fits_in(sum((held for _, held in holds), profile[1])):
                return _Finding(_Stage.HELD, others[0], workers, example)
            return _Finding(_Stage.BUSY, *_worst(job.resources, free, workers, example))
        assert job.gang is not None, f"{job.job_id} fits on {self._name(example)} and waits"
        return _Finding(_Stage.GROUP_INCOMPLETE, job.gang.group_by, workers, example)

    def _turned_down(
        self,
        job: PendingJob,
        best: _Finding,
        shortfall: Shortfall | None,
        counts: tuple[RuleCount, ...],
    ) -> PendingReason:
        name, subject = self._name(best.example), best.subject
        needed, nearest = _needed(job), name
        match best.stage:
            case _Stage.TOO_SMALL:
                needed, nearest = _amounts(job, best, f"on {name}")
                hint = "No worker that exists has that much."
            case _Stage.BUSY:
                needed, nearest = _amounts(job, best, f"free on {name}")
                hint = "There is room once enough of what runs has ended."
            case _Stage.UNAVAILABLE:
                hint = "The workers that would do take no new tasks."
            case _Stage.HELD:
                hint = f"The gang {subject} came first; there is room once it has started or ended."
            case _Stage.GROUP_INCOMPLETE:
                needed, nearest, hint = _gang_texts(job, shortfall)
        return PendingReason(_CODES[best.stage], subject, needed, nearest, counts, hint)

    def _constraint_unmet(
        self, rules: Sequence[Constraint], split: _Split, counts: tuple[RuleCount, ...]
    ) -> PendingReason:
        # The rules are tried in order, so who failed a later one came further.
        rule = max(split.unmet, key=rules.index)
        there = sorted(value for value in split.unmet[rule] if value is not None)
        if not there:
            names = sorted({name for view in self._table.views for name in view.attributes})
            nearest = (
                "no worker has this attribute"
                if len(split.unmet) == 1
                else "none of the rest has it"
            )
            hint = f"Attributes of workers are {_some(names)}." if names else ""
        else:
            nearest = f"{rule.attribute} = {_some(there)}"
            hint = "Only a worker with such an attribute will do."
        return PendingReason(
            PendingCode.CONSTRAINT_UNMET, rule.attribute, str(rule), nearest, counts, hint
        )

    def _name(self, position: int) -> str:
        return self._table.views[position].worker_id


def _worst(
    needed: Resources, there: Resources, workers: int, example: int
) -> tuple[str, int, int, int, float]:
    """The fields of a finding about the resource that is furthest from enough; accelerators go
    before the others.
    """

    def missing(shortage: tuple[str, int, int]) -> tuple[float, bool]:
        name, wanted, have = shortage
        return (wanted - have) / wanted, name not in ("cpu", "memory", "disk")

    shortages = needed.shortages(there)
    name, _, have = max(shortages, key=missing)
    return name, workers, example, have, sum(missing(shortage)[0] for shortage in shortages)


def _count(split: _Split, findings: Sequence[_Finding]) -> tuple[RuleCount, ...]:
    """How many workers each rule turned down, those that came furthest first."""
    totals: dict[tuple[PendingCode, str], int] = {}
    for one in sorted(findings, key=lambda one: (-one.stage, one.subject)):
        key = (_CODES[one.stage], one.subject)
        totals[key] = totals.get(key, 0) + one.workers
    for rule, values in split.unmet.items():
        key = (PendingCode.CONSTRAINT_UNMET, rule.attribute)
        totals[key] = totals.get(key, 0) + values.total()
    return tuple(RuleCount(code, subject, workers) for (code, subject), workers in totals.items())


def _needed(job: PendingJob) -> str:
    if job.gang is None:
        return str(job.resources)
    return f"{len(job.tasks)} times {job.resources} with one {job.gang.group_by}"


def _amounts(job: PendingJob, best: _Finding, where: str) -> tuple[str, str]:
    wanted = dict(job.resources.amounts())[best.subject]
    return format_amount(best.subject, wanted), f"{format_amount(best.subject, best.there)} {where}"


def _gang_texts(job: PendingJob, shortfall: Shortfall | None) -> tuple[str, str, str]:
    """What a gang needs, the group that is nearest, and what would help."""
    assert job.gang is not None and shortfall is not None, f"{job.job_id} has no group to wait for"
    group, tasks = shortfall.group, len(job.tasks)
    where = f"{job.gang.group_by} = {group.value}"
    if group.capacity < tasks:
        nearest = f"{where}, which is the largest and holds {group.capacity}"
        return _needed(job), nearest, f"No group that exists holds {tasks} such tasks."
    nearest = f"{where} with room for {shortfall.room} of {tasks}"
    return _needed(job), nearest, "There is room once enough of what runs there has ended."


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
