"""What attempts use: told all the time, kept in memory while they run, and with their record at the
end.
"""

import pytest

from iris.controller.state import events
from iris.controller.state.records import Usage
from iris.controller.state.scenario import JOB, Scenario, spec
from iris.model.ids import AttemptUid, WorkerId
from iris.model.job import ExistingJobPolicy
from iris.model.states import TaskState

RUNNING, SUCCEEDED, KILLED = TaskState.RUNNING, TaskState.SUCCEEDED, TaskState.KILLED
EARLY, LATE = Usage(cpu_seconds=1.0, memory_bytes=10), Usage(cpu_seconds=2.0, memory_bytes=20)
FINAL = Usage(cpu_seconds=3.0, peak_memory_bytes=30)


@pytest.fixture
def world() -> Scenario:
    """One attempt that runs."""
    world = Scenario()
    world.attach("w1")
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    return world


def usage(world: Scenario) -> Usage | None:
    return world.state.usage_of(world.attempt(world.uid(0)))


def end(world: Scenario, usage: Usage | None) -> None:
    world.apply(
        events.AttemptObserved(
            world.now,
            WorkerId("w1"),
            "one",
            events.Observation(world.uid(0), SUCCEEDED, usage=usage),
            0.5,
        )
    )


def test_the_latest_counts_while_it_runs(world: Scenario) -> None:
    assert usage(world) is None
    version = world.job().record.version
    for latest in (EARLY, LATE):
        world.state.note_usage(world.uid(0), latest)
        assert usage(world) == latest
    assert world.attempt(world.uid(0)).usage is None, "in memory only"
    assert world.job().record.version == version


@pytest.mark.parametrize(("told", "kept"), [(FINAL, FINAL), (None, LATE)])
def test_at_the_end_it_is_kept_for_good(world: Scenario, told: Usage | None, kept: Usage) -> None:
    world.state.note_usage(world.uid(0), LATE)
    end(world, told)
    assert world.attempt(world.uid(0)).usage == kept
    world.state.note_usage(world.uid(0), EARLY)
    assert usage(world) == kept, "it is over"
    assert not world.state._usage


def test_what_was_used_of_a_lost_attempt_takes_no_room(world: Scenario) -> None:
    world.state.note_usage(world.uid(0), LATE)
    world.lose("w1")
    assert not world.state._usage


def test_neither_does_that_of_one_that_nobody_knows(world: Scenario) -> None:
    world.state.note_usage(AttemptUid("unknown"), LATE)
    assert not world.state._usage
    end(world, FINAL)
    old = world.attempt(world.uid(0))
    world.submit(spec(), policy=ExistingJobPolicy.REPLACE)
    world.state.note_usage(old.uid, LATE)
    assert not world.state._usage
    assert world.state.usage_of(old) == FINAL, "who still has it may ask"


def test_what_a_worker_tells_of_an_attempt_makes_a_new_version_but_usage_does_not(
    world: Scenario,
) -> None:
    version = world.job().record.version
    told = events.Observation(world.uid(0), RUNNING, ports=(("http", 80),))
    effects = world.apply(events.AttemptObserved(world.now, WorkerId("w1"), "one", told, 0.5))
    assert list(effects.jobs) == [JOB]
    assert world.job().record.version == version + 1
    world.state.note_reason_changed(world.job().job_id)
    assert world.job().record.version == version + 2
