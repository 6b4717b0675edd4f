"""Any job is explained at any time."""

from datetime import timedelta

from iris.controller.state.explain import CHILDREN_NAMED, Explanation, explain
from iris.controller.state.scenario import JOB, START, Scenario, spec
from iris.model.pending import PendingCode, PendingReason
from iris.model.states import JobState, TaskState

PENDING, ASSIGNED, FAILED = TaskState.PENDING, TaskState.ASSIGNED, TaskState.FAILED
KILLED, SUCCEEDED = TaskState.KILLED, TaskState.SUCCEEDED
GANG = "/alice/gang"
NO_WORKERS = PendingReason(PendingCode.NO_WORKERS)


def explained(
    world: Scenario, job_id: str = JOB, reason: PendingReason | None = NO_WORKERS
) -> Explanation:
    job = world.job(job_id)
    return explain(job, reason, world.now, world.state.jobs.children_of(job.job_id))


def test_a_job_that_waits() -> None:
    world = Scenario()
    world.submit(spec(1_000_000, scheduling_timeout=timedelta(seconds=10)))
    found = explained(world)
    (group,) = found.waiting
    assert (group.reason, group.tasks, group.first_index) == (NO_WORKERS, 1_000_000, 0)
    assert found.counts == ((PENDING, 1_000_000),)
    assert (found.state, found.submitted_at, found.error) == (JobState.PENDING, START, "")
    assert found.unschedulable_at == START + timedelta(seconds=10)
    assert (found.placed_at, found.times_out_at, found.next_retry_at) == (None, None, None)
    assert "no workers" in found.summary()
    (group,) = explained(world, reason=None).waiting
    assert group.reason.code is PendingCode.WAITING_FOR_SCHEDULER


def test_a_job_of_which_some_run_and_some_are_delayed() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(7, failures=1, timeout=timedelta(seconds=60)))
    world.assign(*((index, "w1") for index in range(4)))
    world.observe(world.uid(3), FAILED, exit_code=3, jitter=0.9)
    world.observe(world.uid(2), FAILED, exit_code=2, jitter=0.1)
    found = explained(world)
    assert found.counts == ((PENDING, 5), (ASSIGNED, 2))
    new, delayed = found.waiting
    assert (new.reason, new.tasks, new.first_index) == (NO_WORKERS, 3, 4)
    assert (delayed.reason.code, delayed.tasks) == (PendingCode.RETRY_DELAY, 2)
    assert delayed.first_index == 2
    assert "exit code 2" in delayed.reason.hint, "that one comes first"
    assert found.next_retry_at == world.task(2).not_before
    assert (found.retries, found.placed_at) == (2, START)
    assert found.times_out_at == START + timedelta(seconds=60)
    assert found.unschedulable_at is None


def test_a_gang_that_is_incomplete() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(3, gang=True, failures=1))
    world.assign(*((index, "w1") for index in range(3)))
    world.end(1, FAILED)
    world.end(2, KILLED)
    delayed, back = explained(world).waiting
    assert (back.reason.code, back.first_index) == (PendingCode.GANG_INCOMPLETE, 2)
    assert back.reason.subject == "slice-id"
    assert (delayed.reason.code, delayed.first_index) == (PendingCode.RETRY_DELAY, 1)


def test_what_could_start_waits_for_what_the_scheduler_says() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(2, failures=1))
    world.submit(spec(2, gang=True), GANG)
    world.assign((0, "w1"))
    world.end(0, FAILED)
    world.pass_time(100)
    for job_id in (JOB, GANG):
        found = explained(world, job_id)
        assert [(one.reason, one.tasks) for one in found.waiting] == [(NO_WORKERS, 2)]
        assert found.next_retry_at is None


def test_a_job_that_has_ended() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(2, timeout=timedelta(seconds=60)))
    world.assign((0, "w1"))
    world.run(0)
    world.now += timedelta(seconds=5)
    world.end(0, FAILED, exit_code=3)
    found = explained(world)
    assert (found.state, found.counts) == (JobState.FAILED, ((FAILED, 1), (KILLED, 1)))
    assert "exit code 3" in found.error
    assert found.error in found.summary()
    assert (found.started_at, found.finished_at) == (START, world.now)
    assert (found.waiting, found.times_out_at) == ((), None)


def test_a_job_that_runs_waits_for_nothing() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(2, scheduling_timeout=timedelta(seconds=10)))
    world.assign((0, "w1"), (1, "w1"))
    world.run(1)
    found = explained(world)
    assert (found.state, found.waiting, found.next_retry_at) == (JobState.RUNNING, (), None)
    assert found.counts == ((ASSIGNED, 1), (TaskState.RUNNING, 1))
    assert (found.started_at, found.finished_at, found.error) == (START, None, "")
    assert found.unschedulable_at is None, "all have had a place"
    assert "running" in found.summary()


def test_a_job_that_is_being_ended() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(2, timeout=timedelta(seconds=10)))
    world.assign((0, "w1"))
    world.run(0)
    world.terminate("enough")
    found = explained(world)
    assert (found.state, found.waiting) == (JobState.RUNNING, ())
    assert "enough" in found.error
    assert found.times_out_at is None


def test_what_makes_room_waits_for_the_scheduler_like_any_other() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(3))
    world.assign((0, "w1"), (1, "w1"), (2, "w1"))
    world.preempt(world.uid(2))
    world.end(2, KILLED)
    world.preempt(world.uid(1))
    world.end(1, KILLED)
    (group,) = explained(world).waiting
    assert (group.reason, group.tasks, group.first_index) == (NO_WORKERS, 2, 1)


def test_limits_that_ended_a_job_are_told() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(timeout=timedelta(seconds=10)), "/a/timeout")
    world.submit(spec(scheduling_timeout=timedelta(seconds=10)), "/a/no-place")
    world.submit(spec(2, max_task_failures=1), "/a/failures")
    world.assign((0, "w1"), job_id="/a/timeout")
    world.assign((0, "w1"), (1, "w1"), job_id="/a/failures")
    world.pass_time(10)
    world.end(0, KILLED, "/a/timeout")
    world.end(0, FAILED, "/a/failures", exit_code=3)
    for name, state, error in (
        ("/a/timeout", JobState.FAILED, "timeout is 0:00:10"),
        ("/a/no-place", JobState.UNSCHEDULABLE, "1 of 1 tasks found no place"),
    ):
        found = explained(world, name)
        assert (found.state, found.waiting) == (state, ())
        assert error in found.error
        assert error in found.summary()
        assert (found.unschedulable_at, found.times_out_at) == (None, None)
    found = explained(world, "/a/failures")
    assert (found.state, found.error) == (JobState.RUNNING, ""), "one may fail"
    assert found.counts == ((ASSIGNED, 1), (FAILED, 1))


def test_who_it_ends_with_and_who_ends_with_it() -> None:
    world = Scenario()
    world.submit(spec())
    for number in range(CHILDREN_NAMED + 5):
        world.submit(spec(outlives_parent=number == 1), f"{JOB}/child{number}")
    world.terminate("", f"{JOB}/child0")
    assert explained(world).parent is None
    assert explained(world).children == tuple(
        f"{JOB}/child{number}" for number in range(1, CHILDREN_NAMED + 1)
    )
    assert explained(world, f"{JOB}/child2").parent == JOB
    assert explained(world, f"{JOB}/child1").parent is None
