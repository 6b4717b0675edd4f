"""Jobs without gangs, from submission to their end: one story per test."""

from datetime import timedelta

import pytest

from iris.controller.state.effects import Effects
from iris.controller.state.records import StopIntent
from iris.controller.state.retry import RetryPolicy
from iris.controller.state.scenario import JOB, START, TASK, WORKER_TOTAL, Scenario, spec
from iris.model.errors import AlreadyExists, Internal, NotFound
from iris.model.states import JobState, TaskState

PENDING, ASSIGNED, BUILDING, RUNNING = (
    TaskState.PENDING,
    TaskState.ASSIGNED,
    TaskState.BUILDING,
    TaskState.RUNNING,
)
SUCCEEDED, FAILED, KILLED = TaskState.SUCCEEDED, TaskState.FAILED, TaskState.KILLED
WORKER_FAILED = TaskState.WORKER_FAILED


@pytest.fixture
def world() -> Scenario:
    world = Scenario()
    world.attach("w1")
    world.attach("w2")
    return world


def test_a_task_goes_its_way(world: Scenario) -> None:
    world.submit(spec())
    assert world.job_state() is JobState.PENDING
    effects = world.assign((0, "w1"))
    uid = world.uid(0)
    assert list(effects.run) == [("w1", uid)]
    assert world.free("w1") == WORKER_TOTAL - TASK
    for state in (BUILDING, RUNNING):
        world.observe(uid, state)
        assert world.states() == [state]
    assert world.job_state() is JobState.RUNNING
    effects = world.end(0, SUCCEEDED, exit_code=0)
    assert list(effects.acknowledge) == [("w1", uid)]
    assert effects.reschedule, "there is room again"
    assert world.states() == [SUCCEEDED]
    assert world.job_state() is JobState.SUCCEEDED
    assert world.job().record.finished_at == world.now
    assert world.attempt(uid).exit_code == 0
    assert world.free("w1") == WORKER_TOTAL


def test_a_job_runs_from_when_the_first_of_its_tasks_does(world: Scenario) -> None:
    world.submit(spec(2))
    world.assign((0, "w1"), (1, "w1"))
    world.observe(world.uid(0), BUILDING)
    assert (world.job_state(), world.job().record.started_at) == (JobState.PENDING, None)
    for index in (1, 0):
        world.now += timedelta(seconds=1)
        world.run(index)
        assert world.job().record.started_at == START + timedelta(seconds=1)


def test_the_same_job_twice_is_one_job(world: Scenario) -> None:
    assert world.submit(spec(3)).submitted == {JOB: None}
    version = world.job().record.version
    effects = world.submit(spec(3))
    assert not effects.submitted
    assert not effects.jobs
    assert world.job().record.version == version


def test_the_same_job_after_it_has_ended_is_still_that_job(world: Scenario) -> None:
    world.submit(spec())
    world.terminate()
    world.submit(spec())
    assert world.job_state() is JobState.KILLED


def test_another_spec_under_the_same_name_is_refused_and_changes_nothing(world: Scenario) -> None:
    world.submit(spec(3))
    before = world.job().record
    with pytest.raises(AlreadyExists, match="/alice/job"):
        world.submit(spec(4))
    assert world.job().record == before


def test_every_change_makes_a_new_version(world: Scenario) -> None:
    world.submit(spec(2, failures=1))
    seen = [world.job().record.version]
    for step in (
        lambda: world.assign((0, "w1"), (1, "w2")),
        lambda: world.run(0),
        lambda: world.end(0, FAILED),
        lambda: world.pass_time(10),
        lambda: world.terminate(),
        lambda: world.end(1, KILLED),
    ):
        step()
        seen.append(world.job().record.version)
    assert seen == sorted(set(seen))


# --- failures and retries --------------------------------------------------------------------


def test_without_a_budget_a_failure_is_for_good_and_ends_the_job(world: Scenario) -> None:
    world.submit(spec(3))
    world.assign((0, "w1"), (1, "w1"))
    world.run(0, 1)
    effects = world.end(0, FAILED, exit_code=3)
    assert world.states() == [FAILED, RUNNING, KILLED]
    assert list(effects.stop) == [("w1", world.uid(1))]
    assert world.attempt(world.uid(1)).stop is StopIntent.KILL
    assert world.job_state() is JobState.RUNNING
    world.end(1, KILLED)
    assert world.states() == [FAILED, KILLED, KILLED]
    assert world.job_state() is JobState.FAILED
    assert "/alice/job/0 failed for good" in world.job().record.error
    assert "exit code 3" in world.job().record.error
    assert "/alice/job/0" in world.task(1).error
    assert world.task(2).error == world.job().record.error
    assert world.free("w1") == WORKER_TOTAL


def test_an_end_says_both_how_it_ended_and_what_was_said_about_it(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.observe(world.uid(0), FAILED, exit_code=137, error="it used 3 GiB of memory")
    assert "exit code 137 (it used 3 GiB of memory)" in world.job().record.error


def test_a_failure_within_the_budget_waits_avoids_the_worker_and_runs_again(
    world: Scenario,
) -> None:
    world.submit(spec(failures=1))
    world.assign((0, "w1"))
    first = world.uid(0)
    world.end(0, FAILED, exit_code=3)
    task = world.task(0)
    assert (task.state, task.failures, task.avoid) == (PENDING, 1, ("w1",))
    assert task.not_before is not None
    assert task.not_before > world.now
    assert world.state.next_due() == task.not_before
    assert not world.job().ready
    world.pass_time((task.not_before - world.now).total_seconds())
    assert list(world.job().ready) == [0]
    assert world.state.next_due() is None
    world.assign((0, "w2"))
    assert world.attempt(world.uid(0)).number == 1
    assert world.attempt(first).exit_code == 3
    world.end(0, FAILED, exit_code=4)
    assert world.job_state() is JobState.FAILED


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_the_failure_budget_is_exact(world: Scenario, budget: int) -> None:
    world.submit(spec(failures=budget, preemptions=0))
    for attempt in range(budget + 1):
        assert world.job_state() is not JobState.FAILED, attempt
        world.pass_time(1000)
        world.assign((0, "w1"))
        world.end(0, FAILED)
    assert world.job_state() is JobState.FAILED


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_the_preemption_budget_is_exact_and_apart(world: Scenario, budget: int) -> None:
    world.submit(spec(failures=0, preemptions=budget))
    for attempt in range(budget + 1):
        assert world.job_state() is not JobState.FAILED, attempt
        world.pass_time(1000)
        world.assign((0, "w1"))
        world.lose("w1")
        world.attach("w1")
    assert world.states() == [WORKER_FAILED]
    assert world.job_state() is JobState.FAILED
    assert "max_retries_preemption" in world.job().record.error


def test_a_worker_that_ends_an_attempt_unasked_counts_as_preemption(world: Scenario) -> None:
    world.submit(spec(failures=0))
    world.assign((0, "w1"))
    world.end(0, KILLED)
    assert (world.task(0).state, world.task(0).failures, world.task(0).preemptions) == (
        PENDING,
        0,
        1,
    )


def test_delays_double_up_to_a_limit_and_depend_on_chance() -> None:
    policy = RetryPolicy(base=timedelta(seconds=1), longest=timedelta(seconds=60))
    least = [policy.delay(retry, 0.0).total_seconds() for retry in range(1, 9)]
    assert least == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert policy.delay(1, 0.999).total_seconds() == pytest.approx(1, abs=0.01)
    assert policy.delay(10_000, 0.5) <= timedelta(seconds=60)


def test_failures_and_lost_workers_delay_a_retry_alike(world: Scenario) -> None:
    world.submit(spec(failures=9))
    delays = []
    for number in range(4):
        world.assign((0, "w1"))
        if number % 2:
            world.lose("w1")
            world.attach("w1")
        else:
            world.end(0, FAILED)
        due = world.task(0).not_before
        assert due is not None
        delays.append((due - world.now).total_seconds())
        world.pass_time(100)
    assert delays == [0.75, 1.5, 3, 6]


def test_a_retry_without_a_delay_is_ready_at_once() -> None:
    world = Scenario(RetryPolicy(base=timedelta(0)))
    world.attach("w1")
    world.submit(spec(failures=1))
    world.assign((0, "w1"))
    world.end(0, FAILED)
    assert list(world.job().ready) == [0]
    assert world.state.next_due() is None


def test_a_job_has_a_limit_of_retries_whatever_its_tasks_budgets_are() -> None:
    world = Scenario(RetryPolicy(job_minimum=3, job_factor=1))
    world.attach("w1")
    world.submit(spec(2, failures=1000))
    for _ in range(3):
        world.pass_time(1000)
        world.assign((0, "w1"))
        world.end(0, FAILED)
    assert world.states() == [PENDING, PENDING]
    world.pass_time(1000)
    world.assign((1, "w1"))
    world.end(1, FAILED)
    assert world.states() == [KILLED, FAILED]
    assert "used up its 3 retries" in world.job().record.error


def test_the_worker_that_failed_last_is_remembered_last_and_memory_is_bounded() -> None:
    world = Scenario(RetryPolicy(avoided=2))
    for worker in ("w1", "w2", "w3"):
        world.attach(worker)
    world.submit(spec(failures=10))
    for worker in ("w1", "w2", "w1", "w3"):
        world.pass_time(1000)
        world.assign((0, worker))
        world.end(0, FAILED)
    assert world.task(0).avoid == ("w1", "w3")


# --- termination -----------------------------------------------------------------------------


def test_termination_kills_what_waits_and_stops_what_runs(world: Scenario) -> None:
    world.submit(spec(2))
    world.assign((0, "w1"))
    world.run(0)
    effects = world.terminate("enough")
    assert world.states() == [RUNNING, KILLED]
    assert list(effects.stop) == [("w1", world.uid(0))]
    assert world.free("w1") == WORKER_TOTAL - TASK, "given back only when the end was observed"
    assert not world.terminate("again").stop
    world.end(0, KILLED)
    assert world.job_state() is JobState.KILLED
    assert world.job().record.error == "Terminated: enough"
    assert world.free("w1") == WORKER_TOTAL


@pytest.mark.parametrize(
    ("end", "task", "job"),
    [
        (SUCCEEDED, SUCCEEDED, JobState.SUCCEEDED),
        (FAILED, KILLED, JobState.KILLED),
        (KILLED, KILLED, JobState.KILLED),
    ],
)
def test_how_a_stopped_attempt_ends(
    world: Scenario, end: TaskState, task: TaskState, job: JobState
) -> None:
    world.submit(spec(failures=5))
    world.assign((0, "w1"))
    world.run(0)
    world.terminate()
    world.end(0, end, exit_code=1)
    assert world.states() == [task]
    assert world.job_state() is job
    assert world.attempt(world.uid(0)).state is end, "what was observed stays"


def test_a_lost_worker_ends_what_was_to_stop_there(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.terminate()
    world.lose("w1")
    assert world.states() == [KILLED]
    assert world.job_state() is JobState.KILLED


def test_termination_while_a_retry_waits(world: Scenario) -> None:
    world.submit(spec(failures=1))
    world.assign((0, "w1"))
    world.end(0, FAILED)
    world.terminate()
    assert world.states() == [KILLED]
    assert world.state.next_due() is None
    world.pass_time(1000)
    assert world.states() == [KILLED]


def test_a_job_that_has_ended_stays_as_it_is(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.end(0, SUCCEEDED)
    record = world.job().record
    assert not world.terminate().jobs
    assert world.job().record == record


def test_terminating_what_is_not_there(world: Scenario) -> None:
    with pytest.raises(NotFound, match="/alice/other"):
        world.terminate(job_id="/alice/other")


# --- what must never happen ------------------------------------------------------------------


@pytest.mark.parametrize("worker", ["w1", "gone", "silent", "small"])
def test_a_placement_that_cannot_be_is_an_error_with_the_story(
    world: Scenario, worker: str
) -> None:
    world.attach("small", total=TASK - TASK)
    world.attach("silent")
    world.detach("silent")
    world.submit(spec())
    if worker == "w1":
        world.assign((0, "w1"))
    with pytest.raises(Internal, match="/alice/job/0"):
        world.assign((0, worker))


def test_a_retry_is_not_placed_before_its_delay_is_over(world: Scenario) -> None:
    world.submit(spec(failures=1))
    world.assign((0, "w1"))
    world.end(0, FAILED)
    with pytest.raises(Internal, match=r"is not ready: .*PENDING -> ASSIGNED"):
        world.assign((0, "w2"))


def test_an_attempt_cannot_change_in_an_impossible_way_either(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.end(0, SUCCEEDED)
    attempt = world.attempt(world.uid(0))
    with pytest.raises(Internal, match="from SUCCEEDED to FAILED: a bug"):
        world.state.jobs.change_attempt(attempt, FAILED, "a bug", Effects())
    with pytest.raises(Internal, match="nothing has happened to it"):
        world.state.jobs._check(SUCCEEDED, FAILED, world.job(), 99, "a bug")


def test_an_impossible_transition_tells_the_tasks_story(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    world.end(0, SUCCEEDED)
    with pytest.raises(Internal) as caught:
        world.state.jobs.move_task(world.job(), 0, RUNNING, "a bug", START, Effects())
    text = str(caught.value)
    assert "/alice/job/0 cannot go from SUCCEEDED to RUNNING: a bug" in text
    for step in ("PENDING -> ASSIGNED", "ASSIGNED -> RUNNING", "RUNNING -> SUCCEEDED", "on w1"):
        assert step in text
