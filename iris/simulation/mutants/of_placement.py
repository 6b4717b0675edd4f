"""Bugs in who gets a place, and in what is said to those who get none."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

from iris.model.fleet import ScaleGroup
from iris.model.ids import JobId, job_of
from iris.model.job import Entrypoint, Gang, JobSpec
from iris.model.pending import PendingCode, PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.schedule import Scheduler
from iris.scheduler.snapshot import Schedule, Snapshot
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.checkers.everything import all_checkers
from iris.simulation.mutants.mutant import Mutant
from iris.simulation.scenario import Behaviour, JobPlan, Scenario

_Patch = AbstractContextManager[object]
_CORES = 4_000


def _scheduler(
    before: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot,
    after: Callable[[Snapshot, Schedule], Schedule] = lambda _, answer: answer,
) -> _Patch:
    """What the scheduler is shown, or answers, is changed."""
    schedule = Scheduler.schedule

    def changed(self: Scheduler, snapshot: Snapshot) -> Schedule:
        return after(snapshot, schedule(self, before(snapshot)))

    return patch.object(Scheduler, "schedule", changed)


def _gangs_of(snapshot: Snapshot) -> set[JobId]:
    return {
        job.job_id for one in snapshot.classes if one.request.gang is not None for job in one.jobs
    }


def _gangs_first() -> _Patch:
    def before(snapshot: Snapshot) -> Snapshot:
        classes = (
            replace(one, band=PriorityBand.PRODUCTION) if one.request.gang is not None else one
            for one in snapshot.classes
        )
        return replace(snapshot, classes=tuple(classes))

    def after(snapshot: Snapshot, answer: Schedule) -> Schedule:
        """What is answered is about the bands that were asked about."""
        bands = {job.job_id: one.band for one in snapshot.classes for job in one.jobs}
        unplaced = (replace(one, band=bands[one.job_id]) for one in answer.unplaced)
        return replace(answer, unplaced=tuple(unplaced))

    return _scheduler(before, after)


def _gangs_are_safe() -> _Patch:
    def after(snapshot: Snapshot, answer: Schedule) -> Schedule:
        spared = tuple(
            one
            for one in answer.preemptions
            if not any(occupant.in_gang for _, occupant in snapshot.work.of_job(one.job_id))
        )
        return replace(answer, preemptions=spared)

    return _scheduler(after=after)


def _gangs_never_preempt() -> _Patch:
    def after(snapshot: Snapshot, answer: Schedule) -> Schedule:
        gangs = _gangs_of(snapshot)
        spared = tuple(one for one in answer.preemptions if one.for_job not in gangs)
        return replace(answer, preemptions=spared)

    return _scheduler(after=after)


def _nothing_is_kept() -> _Patch:
    return _scheduler(
        lambda snapshot: replace(
            snapshot,
            reservations=(),
            policy=replace(snapshot.policy, max_reservations=0),
        ),
        lambda _, answer: replace(answer, reservations=()),
    )


def _part_of_a_gang() -> _Patch:
    def after(snapshot: Snapshot, answer: Schedule) -> Schedule:
        gangs = _gangs_of(snapshot)
        dropped = {
            job_id: max(
                place.task_id for place in answer.placements if job_of(place.task_id) == job_id
            )
            for job_id in {job_of(place.task_id) for place in answer.placements} & gangs
        }
        kept = tuple(
            place
            for place in answer.placements
            if dropped.get(job_of(place.task_id)) != place.task_id
        )
        return replace(answer, placements=kept)

    return _scheduler(after=after)


def _gang_torn_apart() -> _Patch:
    """One member of a gang goes to another group with room."""

    def after(snapshot: Snapshot, answer: Schedule) -> Schedule:
        sizes = {
            job.job_id: one.request
            for one in snapshot.classes
            if one.request.gang is not None
            for job in one.jobs
        }
        used = {place.worker_id for place in answer.placements}
        places = list(answer.placements)
        for position, place in enumerate(places):
            request = sizes.get(job_of(place.task_id))
            if request is None or request.gang is None:
                continue
            group_by = request.gang.group_by
            views = {view.worker_id: view for view in snapshot.workers}
            value = views[place.worker_id].attributes.get(group_by)
            for view in snapshot.workers:
                other = view.attributes.get(group_by)
                fits = request.resources.fits_in(view.free) and view.accepting
                if fits and other not in (None, value) and view.worker_id not in used:
                    places[position] = replace(place, worker_id=view.worker_id)
                    return replace(answer, placements=tuple(places))
        return answer

    return _scheduler(after=after)


def _no_budgets() -> _Patch:
    return _scheduler(lambda snapshot: replace(snapshot, policy=replace(snapshot.policy, users={})))


def _wrong_reason() -> _Patch:
    def after(_: Snapshot, answer: Schedule) -> Schedule:
        unplaced = tuple(
            replace(one, reason=_no_cpu(one.reason))
            if one.reason.code is PendingCode.CONSTRAINT_UNMET
            else one
            for one in answer.unplaced
        )
        return replace(answer, unplaced=unplaced)

    return _scheduler(after=after)


def _no_cpu(reason: PendingReason) -> PendingReason:
    return replace(reason, code=PendingCode.INSUFFICIENT_RESOURCE, subject="cpu", needed="0 cores")


def _last_worker_unseen() -> _Patch:
    def before(snapshot: Snapshot) -> Snapshot:
        views = tuple(snapshot.workers)
        return replace(snapshot, workers=views[:-1] if len(views) > 1 else views)

    return _scheduler(before)


def _job(
    name: str, at: float, seconds: float, band: PriorityBand, replicas: int = 1, cores: int = 1
) -> JobPlan:
    """A gang where it has more than one task."""
    spec = JobSpec(
        Entrypoint((name,)),
        Resources(cores * 1_000),
        replicas=replicas,
        gang=Gang("slice-id") if replicas > 1 else None,
        priority=band,
        timeout=timedelta(seconds=600),
    )
    return JobPlan(JobId(f"/ada/{name}"), at, spec, Behaviour(seconds, build=0.2))


def _one_rack(jobs: Iterable[JobPlan], *, preemption: bool = True) -> Iterable[Scenario]:
    """Four machines of four cores, which is all there will ever be."""
    group = ScaleGroup(
        "rack", "simulated", Resources(_CORES), vms_per_slice=4, min_slices=1, max_slices=1
    )
    policy = SchedulingPolicy(preemption=preemption, reservation_lasts=timedelta(seconds=300))
    yield Scenario(0, (group,), tuple(jobs), policy=policy)


def _interactive_behind_a_batch_gang() -> Iterable[Scenario]:
    return _one_rack(
        [
            _job("batch-gang", 1, 500, PriorityBand.BATCH, 4, 4),
            _job("interactive", 60, 10, PriorityBand.INTERACTIVE),
        ]
    )


def _gang_behind_one_small_task() -> Iterable[Scenario]:
    return _one_rack(
        [
            _job("small", 1, 500, PriorityBand.BATCH),
            _job("gang", 60, 10, PriorityBand.INTERACTIVE, 4, 4),
        ]
    )


_GANG = JobId("/ada/gang")


class _GetsItsTurn(Checker):
    """The gang is placed in time."""

    invariant = "gangs get their turn"
    seconds = 300.0

    def ticked(self) -> None:
        """See Checker."""
        gang = self.evidence.ledger.jobs.get(_GANG)
        if gang is None or gang.placed_at is not None:
            return
        waited = (self.evidence.clock.now() - gang.submitted_at).total_seconds()
        if waited > self.seconds:
            raise self.broken(f"{_GANG} has waited for {waited:.0f} s")


def _with_turns(evidence: Evidence) -> list[Checker]:
    return [*all_checkers(evidence), _GetsItsTurn(evidence)]


def _gang_among_many_small_tasks() -> Iterable[Scenario]:
    """There is always a small task that fits where the gang would need all."""
    small = [
        _job(f"small-{number}", 1 + 7 * number, 40, PriorityBand.INTERACTIVE, cores=2)
        for number in range(120)
    ]
    gang = _job("gang", 120, 10, PriorityBand.INTERACTIVE, 4, 4)
    return _one_rack([*small, gang], preemption=False)


BANDS = "strict bands"
WAITS = "no ready task waits beside room"
TAKES = "earlier bands take the place of later ones"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "gangs before everything",
        "Gangs are placed before all single tasks, whatever their priority.",
        _gangs_first,
        frozenset({BANDS, TAKES}),
    ),
    Mutant(
        "gangs are safe from preemption",
        "Interactive work waits for hours behind a gang of a batch job.",
        _gangs_are_safe,
        frozenset({TAKES}),
        _interactive_behind_a_batch_gang,
    ),
    Mutant(
        "gangs preempt nobody",
        "One small task on one machine keeps a gang from starting, whatever its priority.",
        _gangs_never_preempt,
        frozenset({TAKES}),
        _gang_behind_one_small_task,
    ),
    Mutant(
        "nothing is kept for gangs",
        "Small tasks that come and go always leave too little in one place: a gang never starts.",
        _nothing_is_kept,
        frozenset({_GetsItsTurn.invariant}),
        _gang_among_many_small_tasks,
        _with_turns,
    ),
    Mutant(
        "part of a gang starts",
        "All members of a gang but one are placed.",
        _part_of_a_gang,
        # The state machine does not take it.
        frozenset({"gangs all or none", "no exception"}),
    ),
    Mutant(
        "a gang is torn apart",
        "One member of a gang is placed on another slice than the others.",
        _gang_torn_apart,
        frozenset({"gangs all or none"}),
    ),
    Mutant(
        "budgets do not bind",
        "A user gets more than the budget.",
        _no_budgets,
        frozenset({"budgets"}),
    ),
    Mutant(
        "the wrong reason",
        "A task that wants an attribute which no worker has is told that there is too little cpu.",
        _wrong_reason,
        frozenset({"reasons are true"}),
    ),
    Mutant(
        "a worker is overlooked",
        "The worker that came last is never given any work.",
        _last_worker_unseen,
        frozenset({WAITS, BANDS}),
    ),
)
