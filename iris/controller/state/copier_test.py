"""A changed copy is what dataclasses.replace makes."""

from dataclasses import replace

import pytest

from iris.controller.state.copier import Copier
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord, Usage
from iris.controller.state.scenario import JOB, START, spec
from iris.model.ids import AttemptUid, WorkerId
from iris.model.states import JobState, TaskState

TASK = TaskRecord(3, avoid=(WorkerId("w1"),), error="?")
JOB_RECORD = JobRecord(JOB, 7, spec(), START, request_id="r")
ATTEMPT = AttemptRecord(AttemptUid("a"), JOB, 3, 0, WorkerId("w1"), "one", START, usage=Usage(1.0))


def test_it_is_equal_and_the_original_stays() -> None:
    before = replace(ATTEMPT)
    changes = {"state": TaskState.FAILED, "exit_code": 3}
    assert Copier(AttemptRecord).changed(ATTEMPT, changes) == replace(ATTEMPT, **changes)
    assert before == ATTEMPT
    assert Copier(TaskRecord).changed(TASK, {"failures": 1}) == replace(TASK, failures=1)
    ended = {"state": JobState.FAILED, "finished_at": START}
    assert Copier(JobRecord).changed(JOB_RECORD, ended) == replace(JOB_RECORD, **ended)
    assert Copier(JobRecord).changed(JOB_RECORD, {}) == JOB_RECORD


def test_a_field_that_there_is_not_is_a_bug() -> None:
    with pytest.raises(KeyError, match="colour"):
        Copier(TaskRecord).changed(TASK, {"colour": "red"})
