"""The autoscaler's outlook goes before the scheduler's reason, for work that still waits."""

from dataclasses import replace

from iris.controller.pending_reasons import PendingReasons
from iris.controller.state.jobs import Job
from iris.controller.state.scenario import Scenario, spec
from iris.model.ids import JobId
from iris.model.pending import PendingCode, PendingReason, RuleCount
from iris.model.states import TaskState
from iris.scheduler.snapshot import Schedule, Unplaced

A, B = JobId("/u/a"), JobId("/u/b")
NO_WORKERS = PendingReason(PendingCode.NO_WORKERS)
LAUNCHING = PendingReason(PendingCode.LAUNCHING_CAPACITY, "cpu")
KEEPS = PendingReason(PendingCode.GANG_INCOMPLETE, "slice-id")


def unplaced(job: Job, reason: PendingReason = NO_WORKERS) -> Unplaced:
    return Unplaced(job.record.spec.priority, "u", job.request, job.job_id, reason)


def two_jobs(*, gang: bool = False) -> tuple[Scenario, Job, Job]:
    """That ask for the same."""
    world = Scenario()
    for job_id in (A, B):
        world.submit(spec(2, gang=gang), job_id)
    return world, world.job(A), world.job(B)


def test_a_class_has_one_reason_and_the_outlook_of_its_first_job_is_for_all() -> None:
    _, a, b = two_jobs()
    reasons = PendingReasons()
    assert reasons.of(a) is None
    reasons.scheduled(Schedule(unplaced=(unplaced(a),)))
    assert (reasons.of(a), reasons.of(b)) == (NO_WORKERS, NO_WORKERS)
    reasons.planned({A: LAUNCHING})
    assert (reasons.of(a), reasons.of(b)) == (LAUNCHING, LAUNCHING)


def test_with_the_outlook_goes_what_turned_workers_down() -> None:
    _, a, _ = two_jobs()
    drained = RuleCount(PendingCode.WORKERS_UNAVAILABLE, "draining", 1)
    full = PendingReason(PendingCode.WORKERS_UNAVAILABLE, "draining", rules=(drained,))
    reasons = PendingReasons()
    reasons.scheduled(Schedule(unplaced=(unplaced(a, full),)))
    reasons.planned({A: LAUNCHING})
    assert reasons.of(a) == replace(LAUNCHING, rules=(drained,))


def test_each_gang_has_an_outlook_and_may_have_a_reason_of_its_own() -> None:
    _, a, b = two_jobs(gang=True)
    reasons = PendingReasons()
    reasons.scheduled(Schedule(unplaced=(unplaced(a),), job_reasons={B: KEEPS}))
    assert (reasons.of(a), reasons.of(b)) == (NO_WORKERS, KEEPS)
    reasons.planned({B: LAUNCHING})
    assert (reasons.of(a), reasons.of(b)) == (NO_WORKERS, LAUNCHING)


def test_what_has_started_waits_for_nothing() -> None:
    world, a, _ = two_jobs()
    reasons = PendingReasons()
    reasons.scheduled(Schedule(unplaced=(unplaced(a),)))
    world.attach("w1")
    world.assign((0, "w1"), (1, "w1"), job_id=A)
    assert world.states(A) == [TaskState.ASSIGNED] * 2
    assert reasons.of(a) is None


def test_changes_are_told_once_and_only_of_watched_jobs() -> None:
    _, a, b = two_jobs()
    reasons = PendingReasons()
    assert reasons.changed([]) == set()
    reasons.scheduled(Schedule(unplaced=(unplaced(a),)))
    assert reasons.changed([b]) == {B}
    assert reasons.changed([b]) == set()
    reasons.planned({A: LAUNCHING})
    assert reasons.changed([b]) == {B}
    reasons.planned({})
    assert reasons.changed([b]) == {B}
