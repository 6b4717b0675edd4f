"""What always holds of a state, whatever happened to it.

For tests and simulations: `check` looks at everything, `check_touched` at what a turn touched.
"""

from collections import Counter
from collections.abc import Iterable

from iris.autoscaler.demand import SliceOccupancy
from iris.controller.state.deadlines import Limit, deadline_of
from iris.controller.state.effects import Effects
from iris.controller.state.fleet import Fleet, UserBand, Worker
from iris.controller.state.job import Job
from iris.controller.state.machine import ControllerState
from iris.controller.state.published import full_name
from iris.controller.state.queue import ClassKey
from iris.model.health import problems_text
from iris.model.ids import AttemptUid, WorkerId, parent_of, user_of
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.states import TaskState, roll_up

_NOTHING = Resources()


def check(state: ControllerState) -> None:
    """Raises AssertionError naming the first thing that is wrong."""
    jobs = list(state.jobs.newest_first())
    everything = Counter(task.state for job in jobs for task in job.tasks)
    assert everything == {kind: count for kind, count in state.jobs.counts.items() if count}
    assert state.jobs.active == sum(not job.record.state.is_terminal for job in jobs)
    active = {uid for job in jobs for uid in _check_job(state, job)}
    on_workers = set()
    for worker in state.fleet:
        _check_worker(worker)
        on_workers |= set(worker.attempts)
    assert active <= on_workers, f"attempts without a worker: {active - on_workers}"
    for uid in on_workers - active:
        attempt = state.jobs.attempt(uid)
        # Its job may have been forgotten since.
        assert attempt is None or attempt.state.is_terminal, f"{uid} is active, its task is not"
    _check_numbers(state, jobs)
    _check_slices(state.fleet)
    _check_usage(state.fleet)
    _check_views(state.fleet)
    _check_classes(state, jobs)
    _check_families(state, jobs)
    _check_due(state, jobs)
    _check_endpoints(state, jobs)


def check_touched(state: ControllerState, effects: Effects) -> None:
    """The same for the jobs and workers alone that a turn touched; what is summed over all is not
    looked at. Raises AssertionError.
    """
    for job_id in effects.jobs:
        job = state.jobs.get(job_id)
        assert job is not None, f"{job_id} was touched and is not there"
        for uid in _check_job(state, job):
            attempt = state.jobs.attempt(uid)
            worker = state.fleet.get(attempt.worker_id) if attempt is not None else None
            assert worker is not None and uid in worker.attempts, f"{uid} has no worker"
    touched = {worker_id for worker_id, _ in (*effects.run, *effects.stop, *effects.acknowledge)}
    for worker in _known(state.fleet, [*effects.workers, *sorted(touched)]):
        _check_worker(worker)


def _known(fleet: Fleet, worker_ids: Iterable[WorkerId]) -> list[Worker]:
    """Those that are known."""
    return [worker for worker in map(fleet.get, worker_ids) if worker is not None]


def _check_worker(worker: Worker) -> None:
    name = worker.record.worker_id
    used = sum((place.resources for place in worker.attempts.values()), _NOTHING)
    stopping = (place.resources for place in worker.attempts.values() if place.stopping)
    assert worker.free == worker.record.total - used, f"{name}: free does not add up"
    assert worker.releasing == sum(stopping, _NOTHING), f"{name}: releasing does not add up"
    assert all(amount >= 0 for _, amount in worker.free.amounts()), f"{name}: {worker.free}"


def _check_numbers(state: ControllerState, jobs: list[Job]) -> None:
    numbers = [job.record.number for job in jobs]
    assert numbers == sorted(set(numbers), reverse=True), "jobs are not in order of their numbers"
    assert not numbers or numbers[0] < state.jobs.next_number, "the next number is taken"
    assert len(state.jobs) == len(jobs)
    for job in jobs:
        assert state.jobs.get(job.job_id) is job, f"{job.job_id} is not found"
        assert state.jobs.numbered(job.record.number) is job, f"{job.job_id} is not found"
        below = next(state.jobs.newest_first(job.record.number + 1))
        assert below is job, f"{job.job_id} is not on its page"


def _check_slices(fleet: Fleet) -> None:
    for slice_id, slice_ in fleet.slices.items():
        workers = _known(fleet, slice_.workers)
        assert all(worker.record.slice_id == slice_id for worker in workers), slice_id
        counted = sum(len(worker.attempts) for worker in workers)
        assert slice_.attempts == counted, (
            f"slice {slice_id} counts {slice_.attempts}, not {counted}"
        )
        assert (slice_.idle_since is None) == (counted > 0) or not workers, slice_id
        connected = sum(worker.connected for worker in workers)
        assert slice_.connected == connected, f"slice {slice_id}: {slice_.connected} connected"
        closed = sum(worker.is_closed for worker in workers)
        assert slice_.closed == closed, f"slice {slice_id}: {slice_.closed} closed"
    assert sum(len(slice_.workers) for slice_ in fleet.slices.values()) == len(fleet)
    assert fleet.occupancy() == {
        slice_id: SliceOccupancy(
            0 if slice_.draining else slice_.connected,
            slice_.attempts,
            slice_.idle_since,
            0 if slice_.draining else slice_.closed,
            tuple(
                (worker.record.worker_id, problems_text(worker.record.problems))
                for worker in _known(fleet, slice_.workers)
                if worker.connected and worker.record.problems
            ),
        )
        for slice_id, slice_ in fleet.slices.items()
        if slice_id and slice_.workers
    }, "what slices are occupied"


def _check_usage(fleet: Fleet) -> None:
    """What is kept as sums, worked out anew."""
    usage: dict[UserBand, Resources] = {}
    bands: dict[PriorityBand, set[WorkerId]] = {band: set() for band in PriorityBand}
    for worker in fleet:
        for place in worker.attempts.values():
            key = (place.user, place.band)
            usage[key] = usage.get(key, _NOTHING) + place.resources
            bands[place.band].add(worker.record.worker_id)
    held = {key: amount for key, amount in usage.items() if amount != _NOTHING}
    assert held == fleet.usage, f"usage is {fleet.usage}, not {held}"
    for band, workers in bands.items():
        assert set(fleet.with_band(band)) == workers, f"workers with work of {band}"


def _check_views(fleet: Fleet) -> None:
    """Nothing that has changed is shown as it was."""
    views = {view.worker_id: view for view in fleet.views()}
    assert len(views) == len(fleet.views()) == len(fleet), "workers are not shown once each"
    for worker in fleet:
        view, refusal = views[worker.record.worker_id], fleet.refusal(worker)
        assert (view.total, view.free) == (worker.record.total, worker.free), view.worker_id
        assert view.releasing == worker.releasing, view.worker_id
        assert (view.accepting, view.not_accepting) == (not refusal, refusal), view.worker_id
        assert view.problem == problems_text(worker.record.problems), view.worker_id
        assert view.attributes == dict(worker.record.attributes), view.worker_id


def _check_classes(state: ControllerState, jobs: list[Job]) -> None:
    """What the scheduler is shown, worked out anew."""
    expected: dict[ClassKey, list[Job]] = {}
    members: Counter[ClassKey] = Counter()
    for job in reversed(jobs):
        spec, of = job.record.spec, job.job_class
        assert of.key[:2] == (spec.priority, user_of(job.job_id)), f"{job.job_id}: its class"
        assert of.request.resources == spec.resources, f"{job.job_id}: its request"
        members[of.key] += 1
        assert job.queued == (len(job.ready) if job.is_startable else 0), f"{job.job_id}: queued"
        if job.is_startable:
            expected.setdefault(of.key, []).append(job)
    known = {of.key: of.members for of in state.jobs.waiting.known_classes()}
    assert known == members, "classes that no job is of are kept, or the other way round"
    shown = state.jobs.waiting.classes()
    assert {(one.band, one.user, one.request) for one in shown} == set(expected), "classes"
    assert len(shown) == len(expected), "a class is shown twice"
    for one in shown:
        of_class = expected[one.band, one.user, one.request]
        assert [job.job_id for job in one.jobs] == [job.job_id for job in of_class], "their order"
        assert one.tasks == sum(len(job.ready) for job in of_class), "their tasks"
        assert one.first == of_class[0].record.number, "their first"
        for job, pending in zip(of_class, one.jobs, strict=True):
            indices = sorted(job.ready) if job.is_gang else list(job.ready)
            tasks = [(task.task_id, task.avoid) for task in pending.tasks]
            assert tasks == [
                (f"{job.job_id}/{index}", frozenset(job.tasks[index].avoid))
                for index in indices[: len(tasks)]
            ], f"{job.job_id}: its ready tasks"


def _check_families(state: ControllerState, jobs: Iterable[Job]) -> None:
    prunable = 0
    for job in jobs:
        parent_id = parent_of(job.job_id)
        children = state.jobs.children_of(job.job_id)
        ended = job.record.state.is_terminal
        if parent_id is not None:
            assert state.jobs.get(parent_id) is not None, f"{job.job_id} has no parent"
            assert job in state.jobs.children_of(parent_id), f"{job.job_id} is no child"
        for child in children:
            survives = child.is_ending or child.record.spec.outlives_parent
            assert survives or not job.is_ending, f"{child.job_id} goes on without its parent"
        assert (job in state.ended) == (ended and not children), f"{job.job_id}: may it be pruned"
        prunable += ended and not children
    assert len(state.ended) == prunable, "jobs that are gone may be pruned"


def _check_endpoints(state: ControllerState, jobs: list[Job]) -> None:
    """Those of active attempts are found, and no others."""
    expected = {
        (full_name(attempt, endpoint), attempt.index): attempt.uid
        for job in jobs
        for index in range(len(job.tasks))
        for attempt in state.jobs.attempts_of(job, index)
        if attempt.state.is_active
        for endpoint in attempt.endpoints
    }
    assert state.published.keys() == expected, "endpoints that can be found"


def _check_due(state: ControllerState, jobs: Iterable[Job]) -> None:
    """When something is due next, worked out anew."""
    moments = [deadline_of(job, limit) for job in jobs for limit in Limit]
    moments += [
        task.not_before
        for job in jobs
        for task in job.tasks
        if task.state is TaskState.PENDING and task.index not in job.ready
    ]
    expected = min((moment for moment in moments if moment is not None), default=None)
    assert state.next_due() == expected, f"{state.next_due()} is due, not {expected}"


def _check_job(state: ControllerState, job: Job) -> set[AttemptUid]:
    """The uids of the job's active attempts."""
    record = job.record
    counts = {state: count for state, count in job.counts.items() if count}
    assert counts == Counter(task.state for task in job.tasks), f"{job.job_id}: counts"
    expected = roll_up(
        counts,
        started=record.started_at is not None,
        allowed_failures=record.spec.max_task_failures,
        timed_out=record.timed_out,
    )
    assert record.state is expected, f"{job.job_id}: {record.state}"
    assert record.state.is_terminal == (record.finished_at is not None), f"{job.job_id}: end"
    placed = any(task.attempts for task in job.tasks.touched())
    assert placed == (record.placed_at is not None), f"{job.job_id}: placed"
    assert job.never_placed == sum(not task.attempts for task in job.tasks), f"{job.job_id}"
    active: set[AttemptUid] = set()
    for task in job.tasks:
        where = f"{job.job_id}/{task.index}"
        attempts = list(state.jobs.attempts_of(job, task.index))
        assert [attempt.number for attempt in attempts] == list(range(task.attempts)), where
        running = [attempt for attempt in attempts if attempt.state.is_active]
        held = task.index in job.held
        assert len(running) == (task.state.is_active and not held), (
            f"{where}: {len(running)} active"
        )
        assert not running or running[0].uid == task.attempt_uid, where
        assert not held or attempts[-1].state is TaskState.SUCCEEDED, where
        assert not job.is_ending or not running or running[0].stop is not None, where
        assert not job.is_ending or task.state is not TaskState.PENDING, where
        ready, waits = task.index in job.ready, task.state is TaskState.PENDING
        assert waits or not ready, where
        assert ready or not waits or task.not_before is not None, f"{where} waits for ever"
        assert task.state is not TaskState.SUCCEEDED or attempts[-1].state is task.state, where
        active |= {attempt.uid for attempt in running}
    if job.is_gang and not record.state.is_terminal:
        wanted = sum(
            state.is_wanted(attempt)
            for task in job.tasks
            for attempt in state.jobs.attempts_of(job, task.index)
        )
        assert wanted + len(job.held) in (0, len(job.tasks)), f"{job.job_id}: part of a gang runs"
    return active
