"""Which changes are possible, and how a job's state follows from its tasks'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.model.states import TASK_TRANSITIONS, JobState, TaskState, roll_up

COUNTS = st.dictionaries(st.sampled_from(TaskState), st.integers(1, 3), min_size=1)


def test_a_state_is_pending_active_or_terminal() -> None:
    for state in TaskState:
        assert (state is TaskState.PENDING) + state.is_active + state.is_terminal == 1


def test_every_state_has_its_transitions_and_none_leads_to_itself() -> None:
    assert set(TASK_TRANSITIONS) == set(TaskState)
    assert all(state not in after for state, after in TASK_TRANSITIONS.items())


def test_nothing_follows_an_end() -> None:
    for state, after in TASK_TRANSITIONS.items():
        assert bool(after) != state.is_terminal


def test_an_active_task_can_always_end_and_always_start_anew() -> None:
    for state, after in TASK_TRANSITIONS.items():
        if state.is_active:
            assert {
                TaskState.PENDING,
                TaskState.SUCCEEDED,
                TaskState.FAILED,
                TaskState.KILLED,
            } <= after
            assert {TaskState.WORKER_FAILED, TaskState.PREEMPTED} <= after


def test_a_task_that_waits_is_placed_or_ends_without_ever_having_run() -> None:
    assert TASK_TRANSITIONS[TaskState.PENDING] == {
        TaskState.ASSIGNED,
        TaskState.KILLED,
        TaskState.UNSCHEDULABLE,  # it found no place in time
        TaskState.FAILED,  # its job has had its time
    }
    others = [after for state, after in TASK_TRANSITIONS.items() if state is not TaskState.PENDING]
    assert all(TaskState.UNSCHEDULABLE not in after for after in others)


def test_work_never_goes_backwards_but_to_the_start() -> None:
    order = [TaskState.ASSIGNED, TaskState.BUILDING, TaskState.RUNNING]
    for at, state in enumerate(order):
        assert not TASK_TRANSITIONS[state] & set(order[:at])


@pytest.mark.parametrize(
    ("counts", "started", "state"),
    [
        ({TaskState.PENDING: 3}, False, JobState.PENDING),
        ({TaskState.PENDING: 3}, True, JobState.RUNNING),
        ({TaskState.PENDING: 1, TaskState.FAILED: 2}, True, JobState.RUNNING),
        ({TaskState.RUNNING: 1, TaskState.SUCCEEDED: 2}, True, JobState.RUNNING),
        ({TaskState.SUCCEEDED: 3}, True, JobState.SUCCEEDED),
        ({TaskState.SUCCEEDED: 2, TaskState.FAILED: 1}, True, JobState.FAILED),
        ({TaskState.SUCCEEDED: 2, TaskState.WORKER_FAILED: 1}, True, JobState.FAILED),
        ({TaskState.SUCCEEDED: 2, TaskState.PREEMPTED: 1}, True, JobState.FAILED),
        ({TaskState.KILLED: 2, TaskState.FAILED: 1}, True, JobState.FAILED),
        ({TaskState.SUCCEEDED: 2, TaskState.KILLED: 1}, True, JobState.KILLED),
        ({TaskState.KILLED: 1}, False, JobState.KILLED),
        ({TaskState.UNSCHEDULABLE: 2}, False, JobState.UNSCHEDULABLE),
        ({TaskState.UNSCHEDULABLE: 1, TaskState.KILLED: 1}, False, JobState.UNSCHEDULABLE),
    ],
)
def test_roll_up(counts: dict[TaskState, int], started: bool, state: JobState) -> None:
    assert roll_up(counts, started=started) is state


@pytest.mark.parametrize(
    ("counts", "allowed", "timed_out", "state"),
    [
        ({TaskState.SUCCEEDED: 2, TaskState.FAILED: 1}, 1, False, JobState.SUCCEEDED),
        ({TaskState.SUCCEEDED: 1, TaskState.FAILED: 2}, 1, False, JobState.FAILED),
        (
            {TaskState.SUCCEEDED: 1, TaskState.WORKER_FAILED: 1, TaskState.PREEMPTED: 1},
            2,
            False,
            JobState.SUCCEEDED,
        ),
        ({TaskState.FAILED: 1}, 1, False, JobState.SUCCEEDED),
        ({TaskState.FAILED: 1, TaskState.KILLED: 2}, 1, False, JobState.KILLED),
        ({TaskState.FAILED: 1, TaskState.UNSCHEDULABLE: 2}, 1, False, JobState.UNSCHEDULABLE),
        ({TaskState.FAILED: 1, TaskState.PENDING: 2}, 0, False, JobState.RUNNING),
        ({TaskState.SUCCEEDED: 2, TaskState.FAILED: 1}, 1, True, JobState.FAILED),
        ({TaskState.SUCCEEDED: 3}, 0, True, JobState.FAILED),
        ({TaskState.SUCCEEDED: 2, TaskState.RUNNING: 1}, 0, True, JobState.RUNNING),
    ],
)
def test_allowed_failures_and_timeouts(
    counts: dict[TaskState, int], allowed: int, timed_out: bool, state: JobState
) -> None:
    found = roll_up(counts, started=True, allowed_failures=allowed, timed_out=timed_out)
    assert found is state


@given(COUNTS, st.booleans(), st.integers(0, 5))
def test_more_that_may_fail_never_makes_it_worse(
    counts: dict[TaskState, int], timed_out: bool, allowed: int
) -> None:
    def failed(so_many: int) -> bool:
        found = roll_up(counts, started=True, allowed_failures=so_many, timed_out=timed_out)
        return found is JobState.FAILED

    assert failed(allowed) or not failed(allowed + 1)
    if timed_out and all(state.is_terminal for state in counts):
        assert failed(allowed)


@given(COUNTS, st.booleans())
def test_a_job_has_ended_exactly_when_all_its_tasks_have(
    counts: dict[TaskState, int], started: bool
) -> None:
    assert roll_up(counts, started=started).is_terminal == all(
        state.is_terminal for state in counts
    )


@given(COUNTS)
def test_a_job_succeeds_only_if_every_task_did(counts: dict[TaskState, int]) -> None:
    succeeded = roll_up(counts, started=True) is JobState.SUCCEEDED
    assert succeeded == (set(counts) == {TaskState.SUCCEEDED})
