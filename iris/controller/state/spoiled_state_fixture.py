"""For tests: one state, and a way to spoil it for each thing that always holds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from iris.autoscaler.demand import SliceOccupancy
from iris.controller.state.fleet import Place, Worker
from iris.controller.state.job import Job
from iris.controller.state.records import StopIntent
from iris.controller.state.scenario import JOB, START, TASK, WORKER_TOTAL, Scenario, spec
from iris.model.health import HealthProblem
from iris.model.ids import AttemptUid, JobId, SliceId, TaskId, WorkerId
from iris.model.priority import PriorityBand
from iris.model.published import Endpoint
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState
from iris.scheduler.snapshot import ReadyTask

GANG, DONE = "/alice/gang", "/alice/done"
ENDING, CHILD = "/alice/ending", "/alice/ending/child"
FIRST, SECOND, BATCH = "/bob/first", "/bob/second", "/bob/batch"
GHOST = AttemptUid("ghost")

Spoil = Callable[[Scenario], None]
SPOILED: dict[str, Spoil] = {}


def build() -> Scenario:
    """Something of everything."""
    world = Scenario()
    for worker, slice_id in (("w1", "s1"), ("w2", "s1"), ("w3", "s2"), ("w4", "s3")):
        world.attach(worker, slice_id=slice_id)
    world.detach("w4")
    world.submit(spec(4, failures=1))
    world.assign((0, "w1"), (1, "w1"))
    world.run(0)
    world.end(1, TaskState.FAILED)
    world.submit(spec(2, gang=True), GANG)
    world.assign((0, "w1"), (1, "w2"), job_id=GANG)
    world.end(0, TaskState.SUCCEEDED, GANG)
    world.submit(spec(), DONE)
    world.assign((0, "w2"), job_id=DONE)
    world.end(0, TaskState.SUCCEEDED, DONE)
    world.submit(spec(), ENDING)
    world.assign((0, "w3"), job_id=ENDING)
    world.submit(spec(outlives_parent=True), CHILD)
    world.terminate("", ENDING)
    for name in (FIRST, SECOND):
        world.submit(spec(2), name)
    world.submit(spec(resources=TASK * 2), f"{SECOND}-larger")
    world.submit(spec(band=PriorityBand.BATCH), BATCH)
    world.shown()
    world.state.fleet.occupancy()
    return world


def spoils(function: Spoil) -> Spoil:
    """One way to spoil what `build` built."""
    SPOILED[function.__name__] = function
    return function


def worker(world: Scenario, name: str = "w1") -> Worker:
    found = world.state.fleet.get(WorkerId(name))
    assert found is not None
    return found


def change_record(world: Scenario, of: str, /, **changes: Any) -> None:
    job = world.job(of)
    job.record = replace(job.record, **changes)


def change_task(world: Scenario, index: int, job_id: str = JOB, **changes: Any) -> None:
    world.job(job_id).tasks[index] = replace(world.task(index, job_id), **changes)


def change_attempt(world: Scenario, index: int, job_id: str = JOB, **changes: Any) -> None:
    uid = world.uid(index, job_id)
    world.state.jobs._attempts[uid] = replace(world.attempt(uid), **changes)


def place(resources: Resources) -> Place:
    return Place(resources, JobId(JOB), "alice", PriorityBand.INTERACTIVE, START)


def show_class(world: Scenario, job: Job, **changes: Any) -> None:
    """The job's class is shown otherwise than it is."""
    views = world.state.jobs.waiting._views
    position = views._positions[job.job_class]
    views._views[position] = replace(views._views[position], **changes)
    views._shown = None


# --- sums ------------------------------------------------------------------------------------


@spoils
def tasks_are_miscounted(world: Scenario) -> None:
    world.state.jobs.counts[TaskState.RUNNING] += 1


@spoils
def jobs_are_miscounted(world: Scenario) -> None:
    world.state.jobs.active += 1


@spoils
def an_attempt_has_lost_its_place(world: Scenario) -> None:
    world.state.fleet.give_back(WorkerId("w1"), world.uid(0), world.now)


@spoils
def an_attempt_runs_that_is_no_tasks(world: Scenario) -> None:
    attempt = world.attempt(world.uid(0))
    world.state.jobs._attempts[GHOST] = replace(attempt, uid=GHOST)
    world.state.fleet.take(worker(world), GHOST, place(TASK))


# --- a job -----------------------------------------------------------------------------------


@spoils
def a_jobs_tasks_are_miscounted(world: Scenario) -> None:
    world.job().count(TaskState.PENDING, TaskState.RUNNING)


@spoils
def a_jobs_state_does_not_follow(world: Scenario) -> None:
    change_record(world, FIRST, state=JobState.RUNNING)


@spoils
def a_job_that_goes_on_has_an_end(world: Scenario) -> None:
    change_record(world, JOB, finished_at=START)


@spoils
def a_job_that_runs_was_never_placed(world: Scenario) -> None:
    change_record(world, JOB, placed_at=None)


@spoils
def a_task_that_waits_is_not_counted_among_those(world: Scenario) -> None:
    attempts = world.job()._attempts
    assert attempts is not None
    attempts[3] = ()


@spoils
def an_attempt_is_missing(world: Scenario) -> None:
    change_attempt(world, 1, number=1)


@spoils
def a_task_runs_without_an_attempt(world: Scenario) -> None:
    change_attempt(world, 0, state=TaskState.FAILED)


@spoils
def a_task_names_another_attempt(world: Scenario) -> None:
    change_task(world, 0, attempt_uid=GHOST)


@spoils
def a_member_is_held_that_did_not_succeed(world: Scenario) -> None:
    change_attempt(world, 0, GANG, state=TaskState.FAILED)


@spoils
def a_job_that_ends_goes_on_running(world: Scenario) -> None:
    change_record(world, GANG, error="enough")


@spoils
def a_job_that_ends_goes_on_waiting(world: Scenario) -> None:
    change_record(world, FIRST, error="enough")


@spoils
def what_runs_is_ready(world: Scenario) -> None:
    world.job().ready = range(4)


@spoils
def a_task_waits_for_nothing(world: Scenario) -> None:
    world.job().ready = range(3, 4)


@spoils
def a_task_succeeded_and_its_attempt_did_not(world: Scenario) -> None:
    change_attempt(world, 0, DONE, state=TaskState.FAILED)


@spoils
def a_part_of_a_gang_is_stopped(world: Scenario) -> None:
    change_attempt(world, 1, GANG, stop=StopIntent.RESTART)


# --- workers and slices ----------------------------------------------------------------------


@spoils
def free_is_wrong(world: Scenario) -> None:
    worker(world).free += TASK


@spoils
def releasing_is_wrong(world: Scenario) -> None:
    worker(world).releasing += TASK


@spoils
def a_worker_has_more_than_it_can_hold(world: Scenario) -> None:
    world.state.fleet.take(worker(world, "w4"), GHOST, place(WORKER_TOTAL * 2))


@spoils
def a_worker_is_in_another_slice(world: Scenario) -> None:
    found = worker(world)
    found.record = replace(found.record, slice_id=SliceId("s3"))


@spoils
def a_slices_attempts_are_miscounted(world: Scenario) -> None:
    world.state.fleet.slices[SliceId("s1")].attempts += 1


@spoils
def an_idle_slice_has_no_time(world: Scenario) -> None:
    world.state.fleet.slices[SliceId("s3")].idle_since = None


@spoils
def a_slices_streams_are_miscounted(world: Scenario) -> None:
    world.state.fleet.slices[SliceId("s1")].connected -= 1


@spoils
def a_slices_closed_workers_are_miscounted(world: Scenario) -> None:
    world.state.fleet.slices[SliceId("s1")].closed += 1


@spoils
def a_worker_is_in_no_slice(world: Scenario) -> None:
    del world.state.fleet.slices[SliceId("s3")].workers[WorkerId("w4")]


@spoils
def occupancy_is_stale(world: Scenario) -> None:
    world.state.fleet._occupancy[SliceId("s3")] = SliceOccupancy(7, 0, START)


@spoils
def usage_is_wrong(world: Scenario) -> None:
    world.state.fleet.usage["carol", PriorityBand.BATCH] = TASK


@spoils
def a_worker_has_work_of_a_band_that_it_has_not(world: Scenario) -> None:
    world.state.fleet._bands[PriorityBand.BATCH][WorkerId("w4")] = 1


@spoils
def a_worker_is_not_shown(world: Scenario) -> None:
    world.state.fleet._views.remove(worker(world))


@spoils
def a_worker_is_shown_smaller_than_it_is(world: Scenario) -> None:
    found = worker(world)
    found.record = replace(found.record, total=WORKER_TOTAL + TASK)
    found.free += TASK


@spoils
def what_is_released_is_not_shown(world: Scenario) -> None:
    found = worker(world)
    found.attempts[world.uid(0)].stopping = True
    found.releasing += TASK


@spoils
def a_worker_is_shown_as_if_it_took_work(world: Scenario) -> None:
    worker(world).strangers = frozenset({GHOST})


@spoils
def a_worker_is_shown_with_old_problems(world: Scenario) -> None:
    found = worker(world, "w4")
    found.record = replace(found.record, problems=(HealthProblem("disk", "full"),))


@spoils
def a_worker_is_shown_with_old_attributes(world: Scenario) -> None:
    found = worker(world)
    found.record = replace(found.record, attributes=(("zone", "a"),))


# --- the table of jobs -----------------------------------------------------------------------


@spoils
def numbers_are_out_of_order(world: Scenario) -> None:
    change_record(world, JOB, number=99)


@spoils
def the_next_number_is_taken(world: Scenario) -> None:
    world.state.jobs.next_number -= 1


@spoils
def a_job_has_two_names(world: Scenario) -> None:
    world.state.jobs._jobs[JobId("/alice/alias")] = world.job()


@spoils
def two_jobs_are_mixed_up(world: Scenario) -> None:
    first, second = world.job(FIRST), world.job(SECOND)
    world.state.jobs._jobs |= {first.job_id: second, second.job_id: first}


@spoils
def a_job_is_found_by_another_number(world: Scenario) -> None:
    newest = next(world.state.jobs.newest_first())
    del world.state.jobs._by_number[newest.record.number]
    world.state.jobs._by_number[99] = newest


@spoils
def a_page_begins_with_another_job(world: Scenario) -> None:
    jobs = list(world.state.jobs.newest_first())
    world.state.jobs.newest_first = lambda below=None: iter(jobs)  # type: ignore[method-assign]


# --- what waits ------------------------------------------------------------------------------


@spoils
def a_job_waits_with_another_users(world: Scenario) -> None:
    world.job(FIRST).job_class = world.job().job_class


@spoils
def a_job_waits_with_those_that_ask_for_more(world: Scenario) -> None:
    world.job(FIRST).job_class = world.job(f"{SECOND}-larger").job_class


@spoils
def a_job_is_shown_with_fewer_tasks(world: Scenario) -> None:
    world.job().queued -= 1


@spoils
def the_members_of_a_class_are_miscounted(world: Scenario) -> None:
    world.job().job_class.members += 1


@spoils
def a_class_is_not_shown(world: Scenario) -> None:
    world.state.jobs.waiting._views.remove(world.job(FIRST).job_class)


@spoils
def a_class_is_shown_twice(world: Scenario) -> None:
    views = world.state.jobs.waiting._views
    views._views.append(views._views[0])
    views._shown = None


@spoils
def a_classs_jobs_are_out_of_order(world: Scenario) -> None:
    waiting = world.job(FIRST).job_class.waiting
    first, second = waiting
    waiting[first], waiting[second] = waiting[second], waiting[first]


@spoils
def a_classs_tasks_are_miscounted(world: Scenario) -> None:
    show_class(world, world.job(FIRST), tasks=5)


@spoils
def a_class_begins_with_another_job(world: Scenario) -> None:
    show_class(world, world.job(FIRST), first=99)


@spoils
def other_tasks_are_shown(world: Scenario) -> None:
    (shown,) = (one for one in world.shown().classes if one.band is PriorityBand.BATCH)
    (pending,) = shown.jobs
    world.job(BATCH).pending_view = replace(pending, tasks=[ReadyTask(TaskId(f"{BATCH}/7"))])


# --- families, ends and times ----------------------------------------------------------------


@spoils
def a_child_has_no_parent(world: Scenario) -> None:
    job, orphan = world.job(CHILD), JobId("/alice/nobody/child")
    change_record(world, CHILD, job_id=orphan)
    job.pending_view = None
    del world.state.jobs._jobs[JobId(CHILD)]
    world.state.jobs._jobs[orphan] = job


@spoils
def a_parent_does_not_know_its_child(world: Scenario) -> None:
    del world.state.jobs._children[JobId(ENDING)][JobId(CHILD)]


@spoils
def a_child_goes_on_without_its_parent(world: Scenario) -> None:
    change_record(world, CHILD, spec=replace(world.job(CHILD).record.spec, outlives_parent=False))


@spoils
def a_job_that_has_ended_is_never_forgotten(world: Scenario) -> None:
    world.state.ended.drop(world.job(DONE))


@spoils
def a_job_is_to_be_forgotten_twice(world: Scenario) -> None:
    done = world.job(DONE)
    world.state.ended._childless.add(done)


@spoils
def an_endpoint_is_not_found(world: Scenario) -> None:
    change_attempt(world, 0, endpoints=(Endpoint("http", "localhost:80"),))


@spoils
def a_delay_is_never_over(world: Scenario) -> None:
    world.state.jobs._delayed._heap.clear()
