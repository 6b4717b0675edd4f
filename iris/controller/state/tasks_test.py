"""The compact table of a job's tasks is what a plain list of records would be."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.controller.state.records import TaskRecord
from iris.controller.state.tasks import Tasks
from iris.model.states import TaskState

SIZE = 5
CHANGES = st.lists(st.tuples(st.integers(0, SIZE - 1), st.sampled_from(TaskState)), max_size=12)


@given(CHANGES)
def test_it_is_what_a_list_would_say(changes: list[tuple[int, TaskState]]) -> None:
    tasks, plain = Tasks(SIZE), [TaskRecord(index) for index in range(SIZE)]
    for index, state in changes:
        tasks[index] = plain[index] = replace(plain[index], state=state)
    assert list(tasks) == plain
    assert [tasks[index] for index in range(len(tasks))] == plain
    touched = {index for index, _ in changes}
    assert [task.index for task in tasks.touched()] == sorted(touched)
    assert list(Tasks(SIZE, tasks.touched())) == plain, "what is stored is enough"


@pytest.mark.parametrize("index", [-1, SIZE, SIZE + 1])
@pytest.mark.parametrize("touched", [False, True])
def test_a_task_that_there_is_not(index: int, touched: bool) -> None:
    tasks = Tasks(SIZE, [TaskRecord(0)] if touched else [])
    with pytest.raises(IndexError, match=str(index)):
        tasks[index]


def test_tasks_that_nothing_happened_to_take_no_room() -> None:
    tasks = Tasks(1_000_000_000_000)
    assert len(tasks) == 1_000_000_000_000
    assert tasks[999_999_999_999] == TaskRecord(999_999_999_999)
    assert not list(tasks.touched())
