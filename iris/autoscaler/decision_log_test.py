"""The log of decisions is bounded, in order, and repeats nothing."""

from dataclasses import replace

from iris.autoscaler.decision_log import MOST_KEPT, DecisionLog
from iris.autoscaler.demand import ScalingAction, ScalingDecision, ScalingReason
from iris.autoscaler.scaling_cases import NOW
from iris.model.ids import JobId

UP = ScalingDecision(NOW, ScalingAction.SCALE_UP, ScalingReason.DEMAND, "cpu")


def hold(job: str, reason: ScalingReason = ScalingReason.AT_MAX_SLICES) -> ScalingDecision:
    return ScalingDecision(NOW, ScalingAction.HOLD, reason, "cpu", job_id=JobId(job))


def test_a_long_queue_does_not_push_out_what_was_done() -> None:
    log = DecisionLog()
    log.add(UP)
    log.hold([hold(f"/u/{i}") for i in range(10 * MOST_KEPT)], [])
    kept = log.latest()
    assert kept[0] == UP
    assert len(kept) == MOST_KEPT + 1


def test_only_the_latest_are_kept_in_order() -> None:
    log = DecisionLog()
    for i in range(MOST_KEPT + 5):
        log.add(replace(UP, summary=str(i)))
        log.add(hold(f"/u/{i}"))
    done = [one for one in log.latest() if one.action is ScalingAction.SCALE_UP]
    assert [one.summary for one in done] == [str(i) for i in range(5, MOST_KEPT + 5)]
    assert [one.action for one in log.latest()][:2] == [ScalingAction.SCALE_UP, ScalingAction.HOLD]


def told(log: DecisionLog) -> list[tuple[str, ScalingReason]]:
    return [(one.job_id or "", one.reason) for one in log.latest()]


A, B = JobId("/u/a"), JobId("/u/b")
FULL, RESTS = ScalingReason.AT_MAX_SLICES, ScalingReason.BACKING_OFF


def test_what_is_held_for_the_same_reason_is_not_told_again() -> None:
    log = DecisionLog()
    log.hold([hold(A), hold(B)], [A, B])
    log.hold([hold(A)], [A, B])
    log.hold([hold(A), hold(B)], [A, B])
    assert told(log) == [(A, FULL), (B, FULL)]


def test_another_reason_is_told() -> None:
    log = DecisionLog()
    log.hold([hold(A)], [A])
    log.hold([hold(A, RESTS)], [A])
    log.hold([hold(A)], [A])
    assert told(log) == [(A, FULL), (A, RESTS), (A, FULL)]


def test_a_job_that_waits_anew_is_told_anew() -> None:
    log = DecisionLog()
    log.hold([hold(A)], [A])
    log.hold([], [])
    log.hold([hold(A)], [A])
    assert told(log) == [(A, FULL), (A, FULL)]
