"""Replaying the events finds any record that is not what they say."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from iris.controller.state.effects import Effects
from iris.controller.state.events import Event
from iris.controller.state.machine import ControllerState
from iris.controller.state.scenario import Scenario, spec
from iris.controller.store import Changes, Database, verify
from iris.controller.store.replay import records_of
from iris.controller.store.sample_records import change
from iris.model.errors import DataLoss, FailedPrecondition
from iris.model.states import TaskState

DAY = timedelta(days=1)


class Kept(Scenario):
    """A scenario whose every step is committed."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database

    def apply(self, event: Event) -> Effects:
        effects = super().apply(event)
        now = records_of(self.state)
        pruned = {job.job_id for job in self.database.load().jobs} - {j.job_id for j in now.jobs}
        known = {worker.worker_id for worker in self.database.load().workers}
        self.database.commit(
            [event],
            Changes(
                now.jobs,
                tuple((job_id, task) for job_id, tasks in now.tasks.items() for task in tasks),
                now.attempts,
                now.workers,
                tuple(known - {worker.worker_id for worker in now.workers}),
                tuple(pruned),
                now.next_number,
            ),
        )
        return effects


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database.open(path, durable=False)
    world = Kept(database)
    world.attach("w0", slice_id="s")
    world.attach("w1", slice_id="s")
    world.submit(spec(3, failures=1))
    world.submit(spec(), "/bob/job")
    world.assign((0, "w0"), (1, "w1"))
    world.run(0, 1)
    world.end(0, TaskState.FAILED, exit_code=3)
    world.end(1, TaskState.SUCCEEDED)
    world.terminate("enough", "/bob/job")
    world.prune("/bob/job")
    world.lose("w1")
    yield database
    database.close()


def test_events_and_records_agree(database: Database) -> None:
    assert verify(database, ControllerState()) == 12
    assert len(database.load().jobs) == 1


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE tasks SET record = replace(record, '\"failures\":1', '\"failures\":0')",
         "/alice/job/0: failures is 1, stored is 0"),
        ("UPDATE jobs SET record = replace(record, 'running', 'failed')", "/alice/job: state is"),
        ("DELETE FROM attempts WHERE task_index = 1", "attempt .* is not stored"),
        ("INSERT INTO workers SELECT 'w9', replace(record, 'w0', 'w9') FROM workers",
         "worker w9 is stored, and there is none"),
        ("UPDATE meta SET next_number = 9", "next job number: 3, stored is 9"),
    ],
)  # fmt: skip
def test_what_differs_is_named(path: Path, database: Database, statement: str, said: str) -> None:
    database.close()
    change(path, statement)
    spoiled = Database.open(path, durable=False)
    with pytest.raises(DataLoss, match=said):
        verify(spoiled, ControllerState())
    spoiled.close()


def test_what_was_pruned_cannot_be_verified(database: Database) -> None:
    assert database.prune_events(Scenario().now + DAY) > 0
    with pytest.raises(FailedPrecondition, match="were pruned"):
        verify(database, ControllerState())
