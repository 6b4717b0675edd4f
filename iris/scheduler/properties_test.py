"""What holds for every snapshot: capacity, constraints, gangs, nothing left idle, the same answer
each time.
"""

import itertools
from collections import defaultdict
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.ids import JobId, TaskId, WorkerId, task_id
from iris.model.job import Gang
from iris.model.pending import PendingCode
from iris.model.resources import Resources, accelerators_of
from iris.scheduler.schedule import schedule
from iris.scheduler.snapshot import PendingJob, ReadyTask, Schedule, Snapshot, WorkerView

ATTRIBUTES = ("zone", "rack", "tpu-name", "tpu-worker-id")
VALUES = ("0", "1", "2")
WORKERS = tuple(WorkerId(f"w{i}") for i in range(8))


# Few shapes, so that they often fit, fit exactly, or miss by one resource.
AMOUNTS = st.sampled_from(
    [
        Resources(cpu, memory, disk, accelerators_of({"gpu": gpu, "tpu": tpu}))
        for cpu, memory, disk, gpu, tpu in itertools.product(
            (0, 1, 3), (0, 1, 2), (0, 1), (0, 1), (0, 2)
        )
    ]
)


def _view(free: Resources, used: Resources, attributes: dict[str, str], turn: int) -> WorkerView:
    return WorkerView(WorkerId(""), free + used, free, attributes, accepting=turn > 0)


def _constraint(attribute: str, op: ConstraintOp, values: tuple[str, str]) -> Constraint:
    count = {ConstraintOp.EQ: 1, ConstraintOp.NE: 1, ConstraintOp.IN: 2}.get(op, 0)
    return Constraint(attribute, op, values[:count])


def _job(
    need: Resources,
    constraints: list[Constraint],
    group_by: str | None,
    avoids: list[frozenset[WorkerId]],
) -> PendingJob:
    gang = Gang(group_by) if group_by else None
    tasks = tuple(ReadyTask(TaskId(""), avoid) for avoid in avoids)
    return PendingJob(JobId(""), need, tuple(constraints), gang, tasks)


def _snapshot(views: list[WorkerView], jobs: list[PendingJob]) -> Snapshot:
    """The same, with names."""
    named = []
    for number, job in enumerate(jobs):
        job_id = JobId(f"/u/j{number}")
        tasks = tuple(
            replace(task, task_id=task_id(job_id, index)) for index, task in enumerate(job.tasks)
        )
        named.append(replace(job, job_id=job_id, tasks=tasks))
    workers = (replace(view, worker_id=WORKERS[index]) for index, view in enumerate(views))
    return Snapshot(tuple(workers), tuple(named))


NAMES, SOME = st.sampled_from(ATTRIBUTES), st.sampled_from(VALUES)
VIEWS = st.builds(_view, AMOUNTS, AMOUNTS, st.dictionaries(NAMES, SOME), st.integers(0, 5))
CONSTRAINTS = st.builds(_constraint, NAMES, st.sampled_from(ConstraintOp), st.tuples(SOME, SOME))
JOBS = st.builds(
    _job,
    AMOUNTS,
    st.lists(CONSTRAINTS, max_size=2),
    st.sampled_from((None, None, *ATTRIBUTES)),
    st.lists(st.frozensets(st.sampled_from(WORKERS), max_size=2), min_size=1, max_size=5),
)
SNAPSHOTS = st.builds(_snapshot, st.lists(VIEWS, max_size=len(WORKERS)), st.lists(JOBS, max_size=6))


def places(snapshot: Snapshot, answer: Schedule) -> dict[JobId, list[WorkerView]]:
    """The workers of each job's placed tasks, in order of the tasks."""
    views = {view.worker_id: view for view in snapshot.workers}
    owners = {task.task_id: job.job_id for job in snapshot.jobs for task in job.tasks}
    found: dict[JobId, list[WorkerView]] = defaultdict(list)
    for one in answer.placements:
        found[owners[one.task_id]].append(views[one.worker_id])
    return found


def left_over(snapshot: Snapshot, answer: Schedule) -> dict[WorkerId, Resources]:
    free = {view.worker_id: view.free for view in snapshot.workers}
    needs = {task.task_id: job.resources for job in snapshot.jobs for task in job.tasks}
    for one in answer.placements:
        assert needs[one.task_id].fits_in(free[one.worker_id]), f"{one} exceeds its worker"
        free[one.worker_id] -= needs[one.task_id]
    return free


@given(SNAPSHOTS)
def test_no_worker_is_given_more_than_it_has(snapshot: Snapshot) -> None:
    left_over(snapshot, schedule(snapshot))


@given(SNAPSHOTS)
def test_every_task_is_placed_once_or_unplaced_once(snapshot: Snapshot) -> None:
    answer = schedule(snapshot)
    seen = [one.task_id for one in answer.placements]
    seen += [task for one in answer.unplaced for task in one.tasks]
    assert sorted(seen) == sorted(task.task_id for job in snapshot.jobs for task in job.tasks)


@given(SNAPSHOTS)
def test_workers_accept_and_satisfy_all_constraints(snapshot: Snapshot) -> None:
    found = places(snapshot, schedule(snapshot))
    for job in snapshot.jobs:
        for view in found[job.job_id]:
            assert view.accepting
            assert all(rule.holds(view.attributes) for rule in job.constraints)


@given(SNAPSHOTS)
def test_a_gang_is_placed_whole_on_one_group_or_not_at_all(snapshot: Snapshot) -> None:
    found = places(snapshot, schedule(snapshot))
    for job in snapshot.jobs:
        if job.gang is not None and found[job.job_id]:
            assert len(found[job.job_id]) == len(job.tasks)
            values = {view.attributes[job.gang.group_by] for view in found[job.job_id]}
            assert len(values) == 1


@given(SNAPSHOTS)
def test_no_single_task_waits_while_a_worker_has_room_that_no_gang_waits_for(
    snapshot: Snapshot,
) -> None:
    answer = schedule(snapshot)
    free = left_over(snapshot, answer)
    gangs = {job.job_id for job in snapshot.jobs if job.gang is not None}
    gang_waits = any(one.job_id in gangs for one in answer.unplaced)
    by_id = {job.job_id: job for job in snapshot.jobs}
    for one in answer.unplaced:
        job = by_id[one.job_id]
        if job.gang is not None:
            continue
        fitting = [
            view
            for view in snapshot.workers
            if view.accepting
            and all(rule.holds(view.attributes) for rule in job.constraints)
            and job.resources.fits_in(free[view.worker_id])
        ]
        assert not fitting or (gang_waits and one.reason.code is PendingCode.WORKERS_RESERVED)


@given(SNAPSHOTS)
def test_a_gang_waits_only_if_no_group_has_room_at_its_turn(snapshot: Snapshot) -> None:
    for number, job in enumerate(snapshot.jobs):
        # The pass up to this job is a pass of its own, in which no gang waits: then no room is
        # held.
        before = schedule(Snapshot(snapshot.workers, snapshot.jobs[:number]))
        if job.gang is None or before.unplaced:
            continue
        free = left_over(snapshot, before)
        room: dict[str, int] = defaultdict(int)
        for view in snapshot.workers:
            value = view.attributes.get(job.gang.group_by)
            if (
                value is not None
                and view.accepting
                and all(rule.holds(view.attributes) for rule in job.constraints)
            ):
                room[value] += job.resources.copies_in(free[view.worker_id], len(job.tasks))
        placed = places(snapshot, schedule(Snapshot(snapshot.workers, snapshot.jobs[: number + 1])))
        assert bool(placed[job.job_id]) == any(n >= len(job.tasks) for n in room.values())


@given(SNAPSHOTS)
def test_a_worker_to_be_avoided_is_the_last_resort(snapshot: Snapshot) -> None:
    for job in snapshot.jobs:
        if job.gang is not None:
            continue
        alone = PendingJob(job.job_id, job.resources, job.constraints, None, job.tasks[:1])
        answer = schedule(Snapshot(snapshot.workers, (alone,)))
        avoid = job.tasks[0].avoid
        if not answer.placements or answer.placements[0].worker_id not in avoid:
            continue
        assert not any(
            view.accepting
            and view.worker_id not in avoid
            and job.resources.fits_in(view.free)
            and all(rule.holds(view.attributes) for rule in job.constraints)
            for view in snapshot.workers
        )


@given(SNAPSHOTS)
def test_the_best_fit_is_the_best_by_the_measure(snapshot: Snapshot) -> None:
    """The first task of a pass, against a plain scan of all workers."""
    for job in snapshot.jobs:
        if job.gang is not None:
            continue
        task = ReadyTask(job.tasks[0].task_id)
        alone = PendingJob(job.job_id, job.resources, job.constraints, None, (task,))
        wanted = {kind for kind, _ in job.resources.accelerators}

        def measure(
            view: WorkerView, wanted: set[str] = wanted
        ) -> tuple[int, tuple[str, ...], int, int, int, int, tuple[tuple[str, int], ...], int]:
            kinds = tuple(kind for kind, _ in view.total.accelerators)
            free = view.free
            chips = sum(count for _, count in free.accelerators)
            return (
                len(set(kinds) - wanted),
                kinds,
                chips,
                free.cpu_millis,
                free.memory_bytes,
                free.disk_bytes,
                free.accelerators,
                WORKERS.index(view.worker_id),
            )

        fitting = [
            view
            for view in snapshot.workers
            if view.accepting
            and job.resources.fits_in(view.free)
            and all(rule.holds(view.attributes) for rule in job.constraints)
        ]
        answer = schedule(Snapshot(snapshot.workers, (alone,)))
        expected = [min(fitting, key=measure).worker_id] if fitting else []
        assert [one.worker_id for one in answer.placements] == expected


@given(SNAPSHOTS)
def test_the_same_snapshot_gives_the_same_answer(snapshot: Snapshot) -> None:
    assert schedule(snapshot) == schedule(snapshot)


@given(SNAPSHOTS)
def test_every_reason_counts_every_worker_once(snapshot: Snapshot) -> None:
    for one in schedule(snapshot).unplaced:
        assert sum(rule.workers for rule in one.reason.rules) == len(snapshot.workers)
        assert one.reason.summary()
        job = next(job for job in snapshot.jobs if job.job_id == one.job_id)
        if one.reason.code is PendingCode.INSUFFICIENT_RESOURCE:
            assert dict(job.resources.amounts())[one.reason.subject] > 0
