"""What the events of one turn did, together."""

from dataclasses import fields
from typing import Any

import pytest

from iris.controller.state.effects import Effects
from iris.model.ids import AttemptUid, JobId

NAMES = [field.name for field in fields(Effects) if field.name != "reschedule"]
JOB, OTHER = JobId("/alice/job"), JobId("/alice/other")
UID = AttemptUid("a")


def of(name: str, *keys: Any) -> Effects:
    return Effects(**{name: dict.fromkeys(keys)})


@pytest.mark.parametrize("name", NAMES)
def test_all_of_it_is_collected_once_and_in_order(name: str) -> None:
    turn = of(name, "b", "a")
    turn.add(of(name, "c", "a"))
    assert list(getattr(turn, name)) == ["b", "a", "c"]
    assert not any(getattr(turn, other) for other in NAMES if other != name)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_one_event_that_asks_for_a_schedule_is_enough(first: bool, second: bool) -> None:
    turn = Effects(reschedule=first)
    turn.add(Effects(reschedule=second))
    assert turn.reschedule is (first or second)


def test_what_is_forgotten_has_not_changed_before() -> None:
    turn = Effects(
        submitted={JOB: None, OTHER: None},
        jobs={JOB: None, OTHER: None},
        tasks={(JOB, 0): None, (JOB, 1): None, (OTHER, 0): None},
        attempts={UID: None, AttemptUid("b"): None},
    )
    pruned = Effects(
        pruned={JOB: None},
        pruned_tasks={(JOB, 0): None, (JOB, 1): None},
        pruned_attempts={UID: None},
    )
    turn.add(pruned)
    assert list(turn.submitted) == list(turn.jobs) == [OTHER]
    assert list(turn.tasks) == [(OTHER, 0)]
    assert list(turn.attempts) == [AttemptUid("b")]
    assert list(turn.pruned) == [JOB]


def test_what_takes_the_name_of_what_is_forgotten_has_changed_after() -> None:
    turn = Effects(jobs={JOB: None}, tasks={(JOB, 0): None})
    turn.add(
        Effects(
            pruned={JOB: None},
            pruned_tasks={(JOB, 0): None},
            submitted={JOB: None},
            jobs={JOB: None},
        )
    )
    turn.add(Effects(tasks={(JOB, 0): None}))
    assert list(turn.pruned) == list(turn.submitted) == list(turn.jobs) == [JOB]
    assert list(turn.tasks) == [(JOB, 0)]
