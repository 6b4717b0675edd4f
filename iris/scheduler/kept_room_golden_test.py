"""Several that want the same room: gangs that wait side by side, borrowers, and budgets, by example."""

from dataclasses import replace
from datetime import timedelta

from iris.model.ids import JobId, WorkerId
from iris.model.pending import PendingCode
from iris.scheduler.policy import SchedulingPolicy, UserPolicy
from iris.scheduler.schedule import Scheduler, schedule
from iris.scheduler.snapshot import Reservation, WorkerView
from iris.scheduler.work_fixture import (
    BATCH,
    INTERACTIVE,
    NOW,
    PRODUCTION,
    Runs,
    Waits,
    cores,
    gang,
    places,
    snapshot_of,
    stopped,
    worker,
)
from iris.scheduler.world_fixture import World

LASTS = SchedulingPolicy().reservation_lasts


def slice_of(count: int, name: str = "s", free: float = 4) -> list[WorkerView]:
    return [worker(f"{name}{n}", free, slice_id=name) for n in range(count)]


def busy(at: str, left: float | None, cpu: float = 4) -> Runs:
    """Work of the gangs' own band in their way."""
    return Runs(at, "/o/old", cores(cpu), INTERACTIVE, left=left)


def starts(answer_of: World) -> dict[str, float | None]:
    """In how many minutes each gang that has room kept starts at the latest."""
    return {
        str(one.job_id): None
        if one.starts_by is None
        else (one.starts_by - answer_of.now) / timedelta(minutes=1)
        for one in answer_of.reservations
    }


# --- gangs side by side ------------------------------------------------------------------------


def test_who_waits_behind_another_gang_is_told_of_what_is_left_by_it() -> None:
    runs = [busy("s0", 10), busy("s1", 10), busy("s2", 20), busy("s3", 30)]
    world = World(slice_of(4), [gang(f"/g/{n}", 2, cores(4)) for n in range(2)], runs)
    world.do(schedule(world.snapshot()))
    assert starts(world) == {"/g/0": 10, "/g/1": 30}


def test_what_is_kept_are_the_workers_that_the_estimate_counts_on() -> None:
    runs = [busy("s0", None), busy("s1", None), busy("s2", 20), busy("s3", 10)]
    world = World(slice_of(4), [gang("/g/g", 2, cores(4))], runs)
    world.do(schedule(world.snapshot()))
    assert starts(world) == {"/g/g": 20}
    assert world.reservations[0].workers == ("s2", "s3")


def test_no_more_is_kept_on_a_worker_than_will_have_room_there() -> None:
    """Half of each worker is taken for nobody knows how long, so it has room for one member."""
    runs = [busy("s0", 10, 2), busy("s0", None, 2), busy("s1", 10, 2), busy("s1", None, 2)]
    world = World(slice_of(2), [gang("/g/g", 2, cores(2))], runs)
    world.do(schedule(world.snapshot()))
    assert starts(world) == {"/g/g": 10}
    assert world.reservations[0].workers == ("s0", "s1")


def test_two_gangs_in_one_group_do_not_each_keep_what_the_other_needs() -> None:
    """Each wants three of four workers. What was kept for the second does not stop the first."""
    runs = [busy("s1", None, 2), busy("s2", 2, 2)]
    jobs = [gang("/g/first", 3, cores(4), minutes=5), gang("/h/second", 3, cores(4))]
    world, scheduler = World(slice_of(4), jobs, runs), Scheduler()
    for minutes_left in (2, 1):
        world.do(scheduler.schedule(world.snapshot()))
        assert starts(world) == {"/g/first": minutes_left, "/h/second": None}
        world.pass_time(1)
    for _ in range(6):
        world.do(scheduler.schedule(world.snapshot()))
        world.pass_time(1)
    assert sorted(str(job_id) for job_id in world.waiting) == []


def test_whoever_has_waited_longest_goes_first_also_when_the_other_is_served_first() -> None:
    """The second gang's user holds less, so its turn comes first; its room is the first gang's."""
    fleet = slice_of(3)
    elsewhere = [worker("z", 1)]
    first, second = gang("/g/first", 3, cores(4)), gang("/h/second", 2, cores(4))

    def kept(job: Waits, names: str, minutes_ago: int) -> Reservation:
        made_at = NOW - timedelta(minutes=minutes_ago)
        workers = tuple(WorkerId(name) for name in names.split())
        expires = made_at + LASTS
        return Reservation(
            JobId(job.job_id), INTERACTIVE, "s", workers, job.need, job.tasks, made_at, expires
        )

    before = (kept(first, "s0 s1", 9), kept(second, "s2", 5))
    holds = [Runs("z", "/g/holds", cores(1), INTERACTIVE)]
    shown = snapshot_of([*fleet, *elsewhere], [first, second], holds, reservations=before)
    answer = schedule(shown)
    assert {task.rpartition("/")[0] for task in places(answer)} == {"/g/first"}


def test_a_gang_that_rests_does_not_go_before_others() -> None:
    first, second = gang("/g/first", 2, cores(4)), gang("/h/second", 2, cores(4))
    expired = Reservation(JobId("/g/first"), INTERACTIVE, "s", (), cores(4), 2, NOW - LASTS, NOW)
    fresh = replace(
        expired,
        job_id=JobId("/h/second"),
        workers=(WorkerId("s0"), WorkerId("s1")),
        made_at=NOW,
        expires_at=NOW + LASTS,
    )
    answer = schedule(snapshot_of(slice_of(2), [first, second], reservations=(expired, fresh)))
    assert {task.rpartition("/")[0] for task in places(answer)} == {"/h/second"}


def test_a_gang_whose_group_is_gone_waits_for_another_as_long_as_a_new_one() -> None:
    runs = [busy("y0", None), busy("y1", None)]
    job, made_at = gang("/g/g", 2, cores(4)), NOW - timedelta(minutes=20)
    old = Reservation(
        JobId("/g/g"),
        INTERACTIVE,
        "x",
        (WorkerId("x0"), WorkerId("x1")),
        cores(4),
        2,
        made_at,
        made_at + LASTS,
    )
    # x1 is no more: x0 is kept at first, and no longer in the end.
    fleet = [worker("x0", 4, slice_id="x"), *slice_of(2, "y")]
    small = Waits("/a/small")
    # The small job's user holds nothing, so it is served before the gang's.
    holds = Runs("z", "/g/holds", cores(1), INTERACTIVE)
    shown = snapshot_of([*fleet, worker("z", 1)], [small, job], [*runs, holds], reservations=(old,))
    answer = schedule(shown)
    (new,) = answer.reservations
    assert (new.value, new.made_at, new.expires_at) == ("y", NOW, NOW + LASTS)
    assert not answer.placements and answer.more, "what was kept on x0 may be of use to others"


# --- borrowed ----------------------------------------------------------------------------------


def test_room_is_borrowed_only_from_those_who_start_later() -> None:
    """On w0 room is kept for a gang that starts nobody knows when, and for one that starts in 20
    minutes: no more is lent than the latter's.
    """
    fleet = [worker("w0", 6, one="1", two="1"), worker("w1", one="1"), worker("w2", two="1")]
    runs = [busy("w1", None), busy("w2", 20)]
    jobs = [
        gang("/g/one", 2, cores(4), by="one", band=PRODUCTION),
        gang("/g/two", 2, cores(2), by="two"),
        Waits("/s/small", 8, minutes=5),
    ]
    answer = schedule(snapshot_of(fleet, jobs, runs))
    assert list(places(answer).values()) == ["w0", "w0"]


def test_a_pass_that_ends_while_room_is_lent_goes_on_at_once() -> None:
    runs = [busy("s0", 20, 2), busy("s1", 20, 2)]
    jobs = [gang("/g/g", 2, cores(4)), Waits("/s/small", 4, minutes=5)]
    policy = SchedulingPolicy(max_placements=3)
    answer = schedule(snapshot_of(slice_of(2), jobs, runs, policy=policy))
    assert (len(answer.placements), answer.more) == (3, True)
    assert all(one.job_id != "/s/small" for one in answer.unplaced)


def test_what_was_lent_in_this_pass_is_known_to_be_back_in_time() -> None:
    """The borrower's user is served before the gang's."""
    runs = [busy("s0", 20, 2), busy("s1", 20, 2), Runs("z", "/g/holds", cores(1), INTERACTIVE)]
    fleet = [*slice_of(2), worker("z", 1)]
    world = World(fleet, [gang("/g/g", 2, cores(4))], runs)
    world.do(schedule(world.snapshot()))
    world.submit(Waits("/s/small", 4, minutes=5))
    answer = schedule(world.snapshot())
    assert len(answer.placements) == 4
    world.do(answer)
    assert starts(world) == {"/g/g": 20}


def test_nobody_is_told_a_start_that_the_reservation_does_not_reach() -> None:
    def hint(minutes: float) -> str:
        runs = [busy("s0", minutes), busy("s1", minutes)]
        answer = schedule(snapshot_of(slice_of(2), [gang("/g/g", 2, cores(4))], runs))
        return answer.job_reasons[JobId("/g/g")].hint

    assert "it starts by 2026-01-01 00:20:00 UTC" in hint(20)
    assert "it starts by" not in hint(45), "room is kept for 30 minutes only"


# --- preemption --------------------------------------------------------------------------------


def test_a_gang_that_goes_makes_room_for_all_that_wait() -> None:
    """Stopping the gang costs 6, the single 6.5; once the gang goes, s1 is had for 1 more."""
    runs = [
        Runs("s0", "/o/gang", cores(4), gang=True, minutes=1, uid="gang 0"),
        Runs("s1", "/o/gang", cores(2), gang=True, minutes=1, uid="gang 1"),
        Runs("s1", "/o/cheap", cores(2), minutes=0.5, uid="cheap"),
        Runs("s2", "/o/single", cores(4), minutes=1.625, uid="single"),
    ]
    wants = Waits("/u/x", 2, cores(4), PRODUCTION)
    answer = schedule(snapshot_of(slice_of(3), [wants], runs))
    assert stopped(answer) == {"gang 0", "gang 1", "cheap"}


def test_a_budget_has_work_stopped_once_whatever_the_number_of_jobs_that_wait() -> None:
    policy = SchedulingPolicy(users={"u": UserPolicy(budget={"cpu": 2000})})
    runs = [Runs(f"s{n}", "/o/x", uid=f"x{n}") for n in range(6)]
    fleet = slice_of(6, free=1)
    gangs = [gang(f"/u/gang{n}", 2, cores(1), band=PRODUCTION) for n in range(3)]
    assert len(stopped(schedule(snapshot_of(fleet, gangs, runs, policy=policy)))) == 2
    singles = [Waits(f"/u/n{n}", 2, cores(1), PRODUCTION) for n in range(2)]
    singles[1] = replace(singles[1], need=cores(0.5), band=INTERACTIVE)
    answer = schedule(snapshot_of(fleet, singles, runs, policy=policy))
    assert len(stopped(answer)) == 2
    assert [(one.waits_for_stop, one.within_budget) for one in answer.unplaced] == [(2, 2), (0, 0)]
    assert answer.unplaced[1].reason.code is PendingCode.INSUFFICIENT_RESOURCE


def test_room_that_is_kept_for_a_gang_beyond_the_budget_by_now_goes_to_others() -> None:
    policy = SchedulingPolicy(users={"u": UserPolicy(budget={"cpu": 3000})})
    fleet = [*(worker(f"s{n}", 1, slice_id="s") for n in range(2)), worker("w", 2)]
    jobs = [gang("/u/gang", 2, cores(1)), Waits("/u/large", 1, cores(2)), Waits("/u/small", 1)]
    world = World(fleet, jobs, [Runs("s1", "/o/old", cores(1))], policy=policy)
    scheduler, given, more = Scheduler(), dict[str, str](), True
    while more:
        answer = scheduler.schedule(world.snapshot())
        world.do(answer)
        given, more = given | places(answer), answer.more
    # Together with the large job the gang would hold 4 cores: nothing is kept for it then.
    assert given == {"/u/large/0": "w", "/u/small/0": "s0"}


def test_half_of_what_was_stopped_is_not_lost_to_later_work_while_the_rest_goes() -> None:
    runs = [
        Runs("w", "/o/a", cores(2), uid="a", stopping=True),
        Runs("w", "/o/b", cores(2), uid="b", stopping=True),
    ]
    jobs = [Waits("/u/large", 1, cores(4), PRODUCTION), Waits("/s/small", 4, band=BATCH)]
    both = schedule(snapshot_of([worker("w", 4)], jobs, runs))
    half = schedule(snapshot_of([worker("w", 4)], jobs, runs[:1]))
    assert (both.placements, half.placements) == ((), ())
    assert len(schedule(snapshot_of([worker("w", 4)], jobs)).placements) == 1


def test_a_gang_that_keeps_room_which_a_task_was_promised_is_looked_at_at_once() -> None:
    runs = [Runs("s0", "/o/x", cores(1))]
    large = Waits("/u/large", 1, cores(2), PRODUCTION)
    jobs = [large, gang("/u/gang", 1, cores(1), band=PRODUCTION)]
    world, scheduler = World(slice_of(1, free=2), jobs, runs), Scheduler()
    first = scheduler.schedule(world.snapshot())
    world.do(first)
    assert (len(stopped(first)), first.placements) == (1, ())
    assert first.more, "the gang keeps room by now that goes a long way for it"
    assert places(scheduler.schedule(world.snapshot())) == {"/u/gang/0": "s0"}
    alone = schedule(snapshot_of(slice_of(1, free=2), [large], runs))
    assert not alone.more
