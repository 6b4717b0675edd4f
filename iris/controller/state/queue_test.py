"""What waits, in classes: who is in them, in which order, and how much of it is shown."""

from datetime import timedelta

import pytest

from iris.controller.state.queue import TASKS_IN_VIEW, UNTIL_KNOWN, longest_run
from iris.controller.state.scenario import JOB, START, TASK, Scenario, spec
from iris.model.ids import WorkerId
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.scheduler.snapshot import PendingClass, PendingJob, Request

FAILED, KILLED, SUCCEEDED = TaskState.FAILED, TaskState.KILLED, TaskState.SUCCEEDED
OLDER, NEWER = "/alice/older", "/alice/newer"
MINUTE = timedelta(minutes=1)


def only(world: Scenario) -> PendingClass:
    (shown,) = world.shown().classes
    return shown


def jobs(world: Scenario) -> list[str]:
    return [job.job_id for job in only(world).jobs]


def pending(world: Scenario) -> PendingJob:
    """The only job that waits."""
    (job,) = only(world).jobs
    return job


def tasks(world: Scenario) -> list[str]:
    """Of the only job that waits."""
    return [task.task_id for task in pending(world).tasks]


@pytest.fixture
def world() -> Scenario:
    """Two jobs that ask for the same."""
    world = Scenario()
    world.attach("w1")
    world.submit(spec(2, failures=1), OLDER)
    world.submit(spec(2, failures=1), NEWER)
    return world


# --- order -----------------------------------------------------------------------------------


def test_a_job_that_comes_back_is_at_its_old_place(world: Scenario) -> None:
    assert jobs(world) == [OLDER, NEWER]
    world.assign((0, "w1"), (1, "w1"), job_id=OLDER)
    assert (jobs(world), only(world).first) == ([NEWER], 2)
    world.end(1, FAILED, OLDER)
    assert (jobs(world), only(world).tasks) == ([NEWER], 2), "its delay is not over"
    world.pass_time(100)
    assert (jobs(world), only(world).first, only(world).tasks) == ([OLDER, NEWER], 1, 3)


def test_a_job_that_takes_a_name_over_is_the_newest(world: Scenario) -> None:
    world.terminate("", OLDER)
    world.prune(OLDER)
    world.submit(spec(2, failures=1), OLDER)
    assert (jobs(world), only(world).first) == ([NEWER, OLDER], 2)


def test_tasks_that_come_back_are_behind_those_that_never_left() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(4, failures=1))
    world.assign((0, "w1"), (1, "w1"))
    world.observe(world.uid(0), FAILED, jitter=0.9)
    world.observe(world.uid(1), FAILED, jitter=0.1)
    world.pass_time(100)
    assert tasks(world) == [f"{JOB}/{index}" for index in (2, 3, 1, 0)]
    assert [task.avoid for task in pending(world).tasks] == [set(), set(), {"w1"}, {"w1"}]


def test_a_restart_changes_what_waits_in_nothing_but_the_order_of_retries(world: Scenario) -> None:
    world.assign((0, "w1"), job_id=OLDER)
    world.end(0, FAILED, OLDER)
    again = world.restored()
    assert (jobs(again), only(again).first, only(again).tasks) == ([OLDER, NEWER], 1, 3)
    again.pass_time(100)
    assert only(again).tasks == 4


# --- classes ---------------------------------------------------------------------------------


def test_a_class_is_known_as_long_as_one_of_its_jobs(world: Scenario) -> None:
    (known,) = world.state.jobs.waiting.known_classes()
    assert known.members == 2
    for name in (OLDER, NEWER):
        world.terminate("", name)
    assert not world.shown().classes
    world.prune(OLDER)
    assert list(world.state.jobs.waiting.known_classes()) == [known]
    world.prune(NEWER)
    assert not list(world.state.jobs.waiting.known_classes())
    assert world.state.jobs.waiting.tasks_of(known.key) == 0
    assert list(world.state.jobs.waiting.of(known.key)) == []


def test_equal_requests_are_one_object_as_long_as_somebody_asks_so(world: Scenario) -> None:
    world.submit(spec(2, failures=1), "/bob/other")
    request = world.job(OLDER).request
    assert world.job("/bob/other").request is request
    for name in (OLDER, NEWER):
        world.terminate("", name)
        world.prune(name)
    world.submit(spec(), OLDER)
    assert world.job(OLDER).request is request
    for name in (OLDER, "/bob/other"):
        world.terminate("", name)
        world.prune(name)
    assert not world.state.jobs.waiting._requests


def test_the_size_of_a_gang_is_a_part_of_what_it_asks_for() -> None:
    world = Scenario()
    world.submit(spec(3), "/a/single")
    world.submit(spec(3, gang=True), "/a/gang")
    assert world.job("/a/single").request == Request(TASK)
    assert world.job("/a/gang").request.gang_size == 3


def test_what_somebody_asks_for_per_class_is_found(world: Scenario) -> None:
    key = (PriorityBand.INTERACTIVE, "alice", world.job(OLDER).request)
    waiting = world.state.jobs.waiting
    assert waiting.tasks_of(key) == 4
    assert [job.job_id for job in waiting.of(key)] == [OLDER, NEWER]
    world.assign((0, "w1"), (1, "w1"), job_id=OLDER)
    assert waiting.tasks_of(key) == 2


# --- what is shown of a job ------------------------------------------------------------------


def test_a_gang_waits_only_as_a_whole_and_in_the_order_of_its_indices() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(3, gang=True, failures=1))
    world.assign((0, "w1"), (1, "w1"), (2, "w1"))
    world.end(1, FAILED)
    world.pass_time(100)
    world.end(2, KILLED)
    assert not world.shown().classes
    world.end(0, KILLED)
    assert (only(world).tasks, tasks(world)) == (3, [f"{JOB}/{index}" for index in range(3)])


def test_a_gang_is_shown_whole_however_large_it_is() -> None:
    world = Scenario()
    world.submit(spec(TASKS_IN_VIEW + 1, gang=True))
    assert len(pending(world).tasks) == len(list(pending(world).tasks)) == TASKS_IN_VIEW + 1


def test_tasks_can_be_looked_at_from_either_end() -> None:
    world = Scenario()
    world.attach("w1", total=Resources(cpu_millis=10))
    world.submit(spec(6, resources=Resources(cpu_millis=1)))
    world.assign((1, "w1"))
    expected = [f"{JOB}/{index}" for index in (0, 2, 3, 4, 5)]
    shown = pending(world).tasks
    assert [task.task_id for task in shown[1:3]] == expected[1:3]
    assert shown[-1].task_id == expected[-1]
    assert shown[0] is shown[0]
    assert [task.task_id for task in shown[3:]] == expected[3:]
    assert list(shown[9:]) == []
    assert [task.task_id for task in shown] == expected
    with pytest.raises(IndexError):
        shown[5]


def test_a_job_that_has_not_changed_is_the_same_object(world: Scenario) -> None:
    older, newer = only(world).jobs
    world.assign((0, "w1"), job_id=OLDER)
    changed, same = only(world).jobs
    assert same is newer
    assert changed is not older


# --- how long it lasts -----------------------------------------------------------------------


def test_longest_run() -> None:
    grace, own = timedelta(seconds=10), timedelta(seconds=3)
    assert longest_run(spec(), grace) is None
    assert longest_run(spec(timeout=MINUTE), grace) == MINUTE + grace + UNTIL_KNOWN
    assert longest_run(spec(timeout=MINUTE, stop_grace=own), grace) == MINUTE + own + UNTIL_KNOWN


def test_when_a_job_that_has_begun_ends_counts_from_its_first_placement() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(3, timeout=MINUTE))
    lasts = longest_run(spec(timeout=MINUTE), world.state.stop_grace)
    assert lasts is not None
    assert (pending(world).lasts, pending(world).ends_by) == (lasts, None)
    world.assign((0, "w1"))
    world.now += timedelta(seconds=30)
    world.assign((1, "w1"))
    for seen in (world, world.restored()):
        assert pending(seen).ends_by == START + lasts
        work = seen.shown().work.on(WorkerId("w1"))
        assert [occupant.ends_by for occupant in work] == [START + lasts] * 2
