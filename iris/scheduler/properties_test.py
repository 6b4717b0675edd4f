"""What holds of every answer, whatever the snapshot."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from iris.model.constraints import required
from iris.model.ids import JobId, WorkerId, job_of, user_of
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import taints_of, untolerated
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.random_fleet_fixture import fleets, running, snapshots, waiting
from iris.scheduler.schedule import Scheduler, schedule
from iris.scheduler.snapshot import PendingClass, Schedule, Snapshot, WorkerView
from iris.scheduler.work_fixture import (
    NOW,
    Runs,
    Waits,
    cores,
    gang,
    places,
    snapshot_of,
    worker,
)

NO_PREEMPTION = SchedulingPolicy(preemption=False)


def class_of(shown: Snapshot) -> dict[JobId, PendingClass]:
    return {job.job_id: one for one in shown.classes for job in one.jobs}


def suits(view: WorkerView, one: PendingClass) -> bool:
    """Whether a worker would do, if it had room."""
    return (
        view.accepting
        and all(rule.holds(view.attributes) for rule in required(one.request.constraints))
        and untolerated(taints_of(view.attributes), one.request.tolerations) is None
    )


def left_over(shown: Snapshot, answer: Schedule) -> dict[WorkerId, Resources]:
    """What is free on each worker once everything has been placed."""
    classes = class_of(shown)
    free = {view.worker_id: view.free for view in shown.workers}
    for place in answer.placements:
        free[place.worker_id] -= classes[job_of(place.task_id)].request.resources
    return free


@given(snapshots())
def test_every_placement_is_allowed_and_fits(shown: Snapshot) -> None:
    answer = schedule(shown)
    classes, views = class_of(shown), {view.worker_id: view for view in shown.workers}
    tasks = {task.task_id for one in shown.classes for job in one.jobs for task in job.tasks}
    placed = [place.task_id for place in answer.placements]
    assert len(set(placed)) == len(placed)
    assert set(placed) <= tasks
    assert len(placed) <= shown.policy.max_placements or any(
        one.request.gang for one in shown.classes
    )
    for place in answer.placements:
        assert suits(views[place.worker_id], classes[job_of(place.task_id)])
    for worker_id, free in left_over(shown, answer).items():
        was = dict(views[worker_id].free.amounts())
        assert all(amount >= min(0, was.get(name, 0)) for name, amount in free.amounts()), worker_id


@given(snapshots())
def test_gangs_are_placed_whole_in_one_group_or_not_at_all(shown: Snapshot) -> None:
    answer, views = schedule(shown), {view.worker_id: view for view in shown.workers}
    classes = class_of(shown)
    by_job: dict[JobId, list[WorkerId]] = {}
    for place in answer.placements:
        by_job.setdefault(job_of(place.task_id), []).append(place.worker_id)
    for job_id, workers in by_job.items():
        request = classes[job_id].request
        if request.gang is not None:
            assert len(workers) == request.gang_size
            groups = {views[one].attributes[request.gang.group_by] for one in workers}
            assert len(groups) == 1


@given(snapshots())
def test_no_budget_is_exceeded(shown: Snapshot) -> None:
    answer, classes = schedule(shown), class_of(shown)
    held: dict[str, Resources] = {}
    for (user, _), amount in shown.usage.items():
        held[user] = held.get(user, Resources()) + amount
    gained = Counter(job_of(place.task_id) for place in answer.placements)
    for job_id, tasks in gained.items():
        user = user_of(job_id)
        held[user] = held.get(user, Resources()) + classes[job_id].request.resources * tasks
    for user in {user_of(job_id) for job_id in gained}:
        has = dict(held[user].amounts())
        for name, most in shown.policy.of_user(user).budget.items():
            assert has.get(name, 0) <= most, f"{user} has {has}"


@given(snapshots(policy=NO_PREEMPTION))
def test_nothing_waits_that_has_room_and_bands_are_strict(shown: Snapshot) -> None:
    """Room that is free in the end, or that only later bands got, would not do for any single task
    that waits. Where room is kept for gangs, or is being released, nothing is said.
    """
    # Without what is being released nothing is claimed ahead of time.
    workers = tuple(replace(view, releasing=Resources()) for view in shown.workers)
    shown = replace(shown, workers=workers)
    answer, classes = schedule(shown), class_of(shown)
    kept = {worker_id for one in answer.reservations for worker_id in one.workers}
    free = left_over(shown, answer)
    if answer.more:
        return
    for one in answer.unplaced:
        if one.request.gang is not None or not one.within_budget:
            continue
        for view in shown.workers:
            if view.worker_id in kept or not suits(view, classes[one.job_id]):
                continue
            room = free[view.worker_id]
            for place in answer.placements:
                other = classes[job_of(place.task_id)]
                if place.worker_id == view.worker_id and one.band.may_preempt(other.band):
                    room += other.request.resources
            assert not one.request.resources.fits_in(room), f"{one.job_id} on {view.worker_id}"


@given(snapshots(gangs=True, quiet=True, policy=replace(NO_PREEMPTION, max_reservations=0)))
def test_no_gang_waits_that_a_group_has_room_for(shown: Snapshot) -> None:
    answer, classes = schedule(shown), class_of(shown)
    free = left_over(shown, answer)
    for one in answer.unplaced:
        if one.request.gang is None or not one.within_budget:
            continue
        rooms: Counter[str] = Counter()
        for view in shown.workers:
            if suits(view, classes[one.job_id]):
                room = one.request.resources.copies_in(free[view.worker_id], 9)
                rooms[view.attributes["slice-id"]] += room
        assert all(room < one.request.gang_size for room in rooms.values()), one.job_id


@given(snapshots())
def test_whoever_makes_room_is_of_a_later_band_and_goes_whole(shown: Snapshot) -> None:
    answer, classes = schedule(shown), class_of(shown)
    victims = {one.attempt_uid for one in answer.preemptions}
    assert len(victims) == len(answer.preemptions) <= shown.policy.max_preemptions
    by_uid = {
        other.attempt_uid: (view.worker_id, other)
        for view in shown.workers
        for other in shown.work.on(view.worker_id)
    }
    for one in answer.preemptions:
        where, occupant = by_uid[one.attempt_uid]
        assert where == one.worker_id
        assert not occupant.stopping
        assert classes[one.for_job].band.may_preempt(occupant.band)
        if occupant.in_gang:
            whole = {other.attempt_uid for _, other in shown.work.of_job(occupant.job_id)}
            assert whole <= victims
    assert not (victims and not shown.policy.preemption)


@given(st.data())
def test_no_victim_is_superfluous(data: st.DataObject) -> None:
    """For one task that waits: with any one of the victims spared, it would have no room."""
    fleet = data.draw(fleets())
    runs = data.draw(running(fleet, stopping=False))
    wants = Waits("/u/x", need=cores(data.draw(st.integers(1, 4))), band=PriorityBand.PRODUCTION)
    shown = snapshot_of(fleet, [wants], runs)
    answer = schedule(shown)
    victims: set[str] = {one.attempt_uid for one in answer.preemptions}
    units: dict[str, set[str]] = {}
    for view in shown.workers:
        for one in shown.work.on(view.worker_id):
            if one.attempt_uid in victims:
                units.setdefault(one.job_id if one.in_gang else one.attempt_uid, set()).add(
                    one.attempt_uid
                )

    def has_room(gone: set[str]) -> bool:
        for view in shown.workers:
            room = view.free
            for one in shown.work.on(view.worker_id):
                room += one.resources if one.attempt_uid in gone else Resources()
            if suits(view, shown.classes[0]) and wants.need.fits_in(room):
                return True
        return False

    if victims:
        assert has_room(set(victims))
        for unit in units.values():
            assert not has_room(set(victims) - unit), f"{unit} could have stayed"


@given(snapshots())
def test_every_class_that_was_looked_at_is_placed_or_explained(shown: Snapshot) -> None:
    answer = schedule(shown)
    placed = Counter(job_of(place.task_id) for place in answer.placements)
    explained = {(one.band, one.user, one.request): one for one in answer.unplaced}
    assert len(explained) == len(answer.unplaced), "each class once"
    for one in shown.classes:
        got = sum(placed[job.job_id] for job in one.jobs)
        key = (one.band, one.user, one.request)
        if got < one.tasks and not answer.more:
            left = explained[key]
            assert left.reason.summary()
            assert 0 <= left.waits_for_stop <= left.within_budget <= one.tasks - got
        if got == one.tasks:
            assert key not in explained


@given(st.integers(1, 3), st.integers(2, 4), st.integers(1, 12))
def test_users_with_the_same_wishes_differ_by_one_task_at_most(
    each: int, users: int, room: int
) -> None:
    fleet = [worker(f"w{number}", each) for number in range(room)]
    jobs = [Waits(f"/u{number}/x", 50, cores(each)) for number in range(users)]
    counts = Counter(task.split("/")[1] for task in places(schedule(snapshot_of(fleet, jobs))))
    shares = [counts[f"u{number}"] for number in range(users)]
    assert sum(shares) == room
    assert max(shares) - min(shares) <= 1


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 4))
def test_nothing_borrowed_outlasts_the_estimate(work: int, ends: int, tasks: int) -> None:
    fleet = [worker(f"w{n}", 4, slice_id="s") for n in range(2)]
    runs = [Runs(f"w{n}", "/o/x", cores(2), PriorityBand.INTERACTIVE, left=ends) for n in range(2)]
    jobs = [gang("/g/g", 2, cores(4)), Waits("/s/s", tasks, minutes=work)]
    answer = schedule(snapshot_of(fleet, jobs, runs))
    (kept,) = answer.reservations
    assert kept.starts_by == NOW + timedelta(minutes=ends)
    assert bool(answer.placements) == (work <= ends)


@given(st.data())
def test_a_scheduler_that_remembers_gives_the_same_answers(data: st.DataObject) -> None:
    """Workers change, come and go; time passes; reservations are handed on."""
    remembers = Scheduler()
    shown = data.draw(snapshots())
    for _ in range(data.draw(st.integers(1, 6))):
        answer = remembers.schedule(shown)
        assert answer == schedule(shown)
        again = data.draw(snapshots()) if data.draw(st.booleans()) else None
        workers = list(shown.workers if again is None else again.workers)
        for position, view in enumerate(workers):
            if data.draw(st.integers(0, 2)) == 0:
                free = Resources(view.total.cpu_millis // 2, view.total.memory_bytes)
                workers[position] = replace(view, free=free, releasing=view.total - free)
        moment = shown.now + timedelta(minutes=data.draw(st.sampled_from([0, 1, 20, 40])))
        fleet_jobs = classes_again(data, shown)
        waits = {job.job_id for one in fleet_jobs for job in one.jobs}
        shown = replace(
            shown,
            workers=tuple(workers),
            now=moment,
            classes=fleet_jobs,
            work=(again or shown).work,
            reservations=tuple(one for one in answer.reservations if one.job_id in waits),
        )


def classes_again(data: st.DataObject, shown: Snapshot) -> tuple[PendingClass, ...]:
    """The same work, or other."""
    if data.draw(st.booleans()):
        return tuple(shown.classes)
    return tuple(snapshot_of([], data.draw(waiting())).classes)
