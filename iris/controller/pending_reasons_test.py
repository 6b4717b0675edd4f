"""The autoscaler's outlook goes before the scheduler's reason, for jobs that still wait."""

from iris.controller.pending_reasons import PendingReasons
from iris.model.ids import JobId
from iris.model.pending import PendingCode, PendingReason

A, B = JobId("/u/a"), JobId("/u/b")
NO_WORKERS = PendingReason(PendingCode.NO_WORKERS)
LAUNCHING = PendingReason(PendingCode.LAUNCHING_CAPACITY, "cpu")


def test_the_outlook_goes_first_and_changes_are_told_once() -> None:
    reasons = PendingReasons()
    assert reasons.of(A) is None
    assert reasons.scheduled({A: NO_WORKERS, B: NO_WORKERS}) == {A, B}
    assert reasons.planned({A: LAUNCHING}) == {A}
    assert (reasons.of(A), reasons.of(B)) == (LAUNCHING, NO_WORKERS)
    assert reasons.planned({A: LAUNCHING}) == set()
    assert reasons.scheduled({A: NO_WORKERS}) == {B}
    assert reasons.planned({}) == {A}
    assert reasons.of(A) == NO_WORKERS


def test_an_outlook_for_a_job_that_waits_no_more_says_nothing() -> None:
    reasons = PendingReasons()
    reasons.scheduled({A: NO_WORKERS})
    reasons.planned({A: LAUNCHING})
    assert reasons.scheduled({}) == {A}
    assert reasons.of(A) is None
