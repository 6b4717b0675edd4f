"""What holds from pass to pass, in a small random cluster that does what schedules say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from iris.model.ids import JobId, WorkerId, job_of
from iris.model.resources import Resources
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.random_fleet_fixture import fleets, policies, running, waiting
from iris.scheduler.schedule import Scheduler, schedule
from iris.scheduler.snapshot import Schedule
from iris.scheduler.work_fixture import BATCH, INTERACTIVE, Runs, Waits, cores, gang, worker
from iris.scheduler.world_fixture import World

MOST_PASSES = 60
NOTHING = Resources()


@st.composite
def worlds(draw: st.DrawFn, *, ends: Sequence[float | None] = (None,)) -> World:
    """Anything at all; work lasts as long as one of `ends` says."""
    fleet = draw(fleets())
    jobs = [replace(job, minutes=draw(st.sampled_from(ends))) for job in draw(waiting())]
    return World(fleet, jobs, draw(running(fleet)), draw(policies()))


def until_settled(world: World, scheduler: Scheduler) -> Schedule:
    """Passes for as long as the answer says that another one places more; the last answer."""
    for _ in range(MOST_PASSES):
        answer = scheduler.schedule(world.snapshot())
        world.do(answer)
        if not answer.more:
            return answer
    raise AssertionError("it never has enough")


@given(worlds(), st.booleans())
def test_asking_again_is_of_no_use_unless_the_answer_says_so(world: World, stops: bool) -> None:
    """Nothing is forgotten until something else happens by chance, and no loop goes on for ever."""
    # A pass that may have no more attempts stopped is taken up again when these have.
    world.policy = replace(world.policy, max_preemptions=1000)
    scheduler = Scheduler()
    until_settled(world, scheduler)
    for _ in range(MOST_PASSES):
        again = scheduler.schedule(world.snapshot())
        assert not again.placements
        assert not again.preemptions
        world.do(again)
        if not again.more:
            break
    if stops:
        world.finish_stops()
        until_settled(world, scheduler)
        assert not scheduler.schedule(world.snapshot()).placements


@given(worlds(ends=[None, 2, 10, 50]))
def test_what_is_given_and_kept_is_what_there_is(world: World) -> None:
    """On each worker: placed, kept and left over are together what is free, and what is kept of
    what is coming is no more than comes.
    """
    shown, scheduler = world.snapshot(), Scheduler()
    answer = scheduler.schedule(shown)
    placed: dict[WorkerId, Resources] = {}
    for place in answer.placements:
        need = world.waiting[job_of(place.task_id)].job.need
        placed[place.worker_id] = placed.get(place.worker_id, NOTHING) + need
    coming = {view.worker_id: view.releasing for view in shown.workers}
    amounts = {one.attempt_uid: one.resources for _, one in world.attempts}
    for stop in answer.preemptions:
        coming[stop.worker_id] += amounts[stop.attempt_uid]
    assert scheduler._index is not None
    table = scheduler._index.table
    for position, view in enumerate(shown.workers):
        free, ahead = table.free[position], table.coming.get(position, NOTHING)
        holds = table.holds.get(position, [])
        for amount in (free, ahead, *(hold.free for hold in holds)):
            assert all(count >= 0 for _, count in amount.amounts())
        for hold in holds:
            free, ahead = free + hold.free, ahead + hold.coming
        assert free + placed.get(view.worker_id, NOTHING) == view.free
        assert ahead == (coming[view.worker_id] if view.accepting else ahead)


@given(worlds())
def test_nobody_is_stopped_for_more_than_the_budget_allows(world: World) -> None:
    shown = world.snapshot()
    answer = schedule(shown)
    held: dict[str, Resources] = {}
    for (user, _), amount in shown.usage.items():
        held[user] = held.get(user, NOTHING) + amount
    for place in answer.placements:
        left = world.waiting[job_of(place.task_id)]
        user = left.job.job_id.split("/")[1]
        held[user] = held.get(user, NOTHING) + left.job.need
    for one in answer.unplaced:
        more = one.request.resources * one.waits_for_stop
        held[one.user] = held.get(one.user, NOTHING) + more
    for one in answer.unplaced:
        assert one.waits_for_stop <= one.within_budget
        has = dict(held[one.user].amounts())
        for name, most in shown.policy.of_user(one.user).budget.items():
            # A gang of a later class that got its place after all may come on top.
            if one.waits_for_stop and not any(c.request.gang_size for c in shown.classes):
                assert has.get(name, 0) <= most


# --- gangs start when they were told ------------------------------------------------------------

ENDS = st.sampled_from([None, 2, 4, 6])


@st.composite
def one_slice(draw: st.DrawFn) -> World:
    """Four workers with work of the same band on some, and gangs that want two or three."""
    fleet = [worker(f"w{n}", 4, slice_id="s") for n in range(4)]
    runs = [
        Runs(f"w{n}", "/o/x", cores(draw(st.sampled_from([2, 4]))), INTERACTIVE, left=draw(ENDS))
        for n in range(4)
        if draw(st.integers(0, 3))
    ]
    jobs = [
        gang(
            f"/{draw(st.sampled_from('gh'))}/gang{n}",
            draw(st.integers(2, 3)),
            cores(draw(st.sampled_from([2, 4]))),
            minutes=draw(ENDS),
        )
        for n in range(draw(st.integers(1, 2)))
    ]
    return World(fleet, jobs, runs, SchedulingPolicy(reservation_lasts=timedelta(days=1)))


@st.composite
def small_jobs(draw: st.DrawFn) -> list[Waits]:
    """Work that comes in one minute."""
    return [
        Waits(
            f"/{draw(st.sampled_from('abgh'))}/small",
            draw(st.integers(1, 3)),
            cores(draw(st.sampled_from([1, 2, 4]))),
            draw(st.sampled_from([INTERACTIVE, BATCH])),
            minutes=draw(ENDS),
        )
        for _ in range(draw(st.integers(0, 2)))
    ]


@given(one_slice(), st.lists(small_jobs(), min_size=9, max_size=9))
def test_back_fill_never_delays_the_first_gang_past_what_it_was_told(
    world: World, arrivals: list[list[Waits]]
) -> None:
    scheduler = Scheduler()
    told: dict[JobId, datetime] = {}
    for minute, jobs in enumerate(arrivals):
        for number, job in enumerate(jobs):
            world.submit(replace(job, job_id=f"{job.job_id}{minute}-{number}"))
        answer = until_settled(world, scheduler)
        # Whoever waits behind another gang is told no more than what is known of the first.
        for one in answer.reservations[:1]:
            # As of now, where nothing but what is being stopped is in its way: how long that takes nobody knows.
            if one.starts_by is not None and one.starts_by > world.now:
                known = told.get(one.job_id, one.starts_by)
                told[one.job_id] = min(known, one.starts_by)
        for job_id, moment in told.items():
            assert job_id not in world.waiting or world.now < moment, f"{job_id} by {moment}"
        world.pass_time(1)


# --- a scheduler that remembers -----------------------------------------------------------------


@given(st.data())
def test_a_scheduler_that_remembers_answers_like_one_that_begins_anew(data: st.DataObject) -> None:
    """Work is placed, is stopped and ends; workers come, go and drain; jobs come; time passes."""
    world, remembers = data.draw(worlds(ends=[None, 2, 50])), Scheduler()
    for number in range(data.draw(st.integers(1, 8))):
        shown = world.snapshot()
        answer = remembers.schedule(shown)
        assert answer == schedule(shown)
        world.do(answer)
        happens = data.draw(st.sets(st.sampled_from(["stops", "time", "jobs", "drain", "gone"])))
        if "stops" in happens:
            world.finish_stops()
        if "time" in happens:
            world.pass_time(data.draw(st.sampled_from([1, 20, 40])))
        if "jobs" in happens:
            for job in data.draw(waiting()):
                world.submit(replace(job, job_id=f"{job.job_id}-{number}"))
        one = data.draw(st.sampled_from(sorted(world.fleet)))
        if "drain" in happens:
            view = world.fleet[one]
            why = "" if view.not_accepting else "draining"
            world.fleet[one] = replace(view, accepting=not why, not_accepting=why)
        if "gone" in happens and len(world.fleet) > 1:
            del world.fleet[one]
            world.attempts = [pair for pair in world.attempts if pair[0] != one]
