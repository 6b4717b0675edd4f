"""Whose place is given to more urgent work: each rule by example."""

from dataclasses import replace

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.pending import PendingCode
from iris.scheduler.policy import SchedulingPolicy, UserPolicy
from iris.scheduler.schedule import schedule
from iris.scheduler.work_fixture import (
    BATCH,
    INTERACTIVE,
    PRODUCTION,
    Runs,
    Waits,
    cores,
    gang,
    snapshot_of,
    stopped,
    worker,
)

ONE = (worker("w", 1),)


def only(*runs: Runs, wants: Waits, workers: int = 4, room: float = 1) -> set[str]:
    """What is stopped for a job on workers of one slice."""
    fleet = [worker(f"w{number}", room, slice_id="s") for number in range(workers)]
    return stopped(schedule(snapshot_of(fleet, [wants], runs)))


def test_only_work_of_a_strictly_later_band_makes_room() -> None:
    for band, wants, goes in (
        (BATCH, PRODUCTION, True),
        (BATCH, INTERACTIVE, True),
        (INTERACTIVE, PRODUCTION, True),
        (BATCH, BATCH, False),
        (INTERACTIVE, INTERACTIVE, False),
        (PRODUCTION, INTERACTIVE, False),
    ):
        found = only(Runs("w0", "/o/x", band=band), wants=Waits("/u/x", band=wants), workers=1)
        assert bool(found) is goes, (band, wants)


def test_free_room_goes_before_any_preemption() -> None:
    runs = [Runs("w0", "/o/x")]
    assert not only(*runs, wants=Waits("/u/x", band=PRODUCTION), workers=2)


def test_victims_of_the_latest_band_come_first_however_long_they_ran() -> None:
    runs = [
        Runs("w0", "/o/i", band=INTERACTIVE, minutes=1, uid="young"),
        Runs("w1", "/o/b", band=BATCH, minutes=999, uid="old batch"),
    ]
    wants = Waits("/u/x", band=PRODUCTION)
    assert only(*runs, wants=wants, workers=2) == {"old batch"}


def test_the_least_work_is_lost() -> None:
    runs = [Runs("w0", "/o/a", minutes=50, uid="old"), Runs("w1", "/o/b", minutes=5, uid="young")]
    wants = Waits("/u/x", band=INTERACTIVE)
    assert only(*runs, wants=wants, workers=2) == {"young"}
    # Half the time on four times the cores is more.
    runs = [
        Runs("w0", "/o/a", cores(4), minutes=5, uid="large"),
        Runs("w1", "/o/b", cores(1), minutes=10, uid="small"),
        Runs("w1", "/o/c", cores(3), PRODUCTION),
    ]
    assert only(*runs, wants=wants, workers=2, room=4) == {"small"}


def test_as_few_as_possible_and_whoever_is_not_needed_is_spared() -> None:
    runs = [
        Runs("w0", "/o/a", cores(1), minutes=1, uid="small and young"),
        Runs("w0", "/o/b", cores(3), minutes=2, uid="large enough alone"),
    ]
    wants = Waits("/u/x", need=cores(3), band=INTERACTIVE)
    assert only(*runs, wants=wants, workers=1, room=4) == {"large enough alone"}


def test_a_gang_makes_room_as_a_whole_wherever_it_runs() -> None:
    runs = [Runs(f"w{n}", "/o/gang", gang=True, uid=f"member {n}") for n in range(3)]
    wants = Waits("/u/x", band=PRODUCTION)
    assert only(*runs, wants=wants, workers=3) == {"member 0", "member 1", "member 2"}


def test_a_gangs_cost_is_that_of_all_its_members() -> None:
    members = [Runs(f"w{n}", "/o/gang", gang=True, minutes=5, uid=f"member {n}") for n in range(3)]
    single = Runs("w3", "/o/single", minutes=10, uid="single")
    wants = Waits("/u/x", band=INTERACTIVE)
    assert only(*members, single, wants=wants) == {"single"}
    assert only(*members, replace(single, minutes=16), wants=wants) == {one.uid for one in members}


def test_an_interactive_gang_takes_the_place_of_a_batch_gang() -> None:
    runs = [Runs(f"w{n}", "/o/gang", gang=True, uid=f"member {n}") for n in range(4)]
    wants = gang("/u/gang", 4, cores(1), band=INTERACTIVE)
    assert only(*runs, wants=wants) == {one.uid for one in runs}


def test_one_small_batch_task_does_not_hold_up_a_gang_of_256() -> None:
    runs = [Runs("w77", "/o/small", cores(0.1), uid="small")]
    wants = gang("/u/gang", 256, cores(1), band=PRODUCTION)
    assert only(*runs, wants=wants, workers=256) == {"small"}


def test_a_gang_takes_the_group_that_costs_least() -> None:
    fleet = [worker(f"{name}{n}", 1, slice_id=name) for name in "ab" for n in range(2)]
    runs = [
        Runs(f"{name}{n}", f"/o/{name}", minutes=9, uid=f"{name}{n}")
        for name in "ab"
        for n in range(2)
    ]
    runs[0] = replace(runs[0], minutes=99)
    answer = schedule(snapshot_of(fleet, [gang("/u/g", 2, cores(1), band=PRODUCTION)], runs))
    assert stopped(answer) == {"b0", "b1"}
    assert [one.value for one in answer.reservations] == ["b"]


def test_what_is_being_stopped_is_not_stopped_again_and_nothing_else_is_either() -> None:
    runs = [Runs("w0", "/o/a", stopping=True, uid="going"), Runs("w1", "/o/b", uid="stays")]
    fleet = [worker("w0", 1), worker("w1", 1)]
    answer = schedule(snapshot_of(fleet, [Waits("/u/x", band=PRODUCTION)], runs))
    assert not stopped(answer)
    (left,) = answer.unplaced
    assert (left.reason.code, left.waits_for_stop) == (PendingCode.WAITS_FOR_STOP, 1)


def test_room_that_was_made_is_kept_from_others_also_in_later_passes() -> None:
    """Half a worker is free, the other half coming: the large task gets it, the small one waits."""
    runs = [Runs("w", "/o/a", cores(2), stopping=True)]
    jobs = [
        Waits("/u/large", need=cores(4), band=PRODUCTION),
        Waits("/s/small", 2, band=BATCH),
    ]
    answer = schedule(snapshot_of([worker("w", 4)], jobs, runs))
    assert not answer.placements
    assert {str(one.job_id): one.reason.code for one in answer.unplaced} == {
        "/u/large": PendingCode.WAITS_FOR_STOP,
        "/s/small": PendingCode.WORKERS_RESERVED,
    }


def test_a_gang_waits_for_its_group_until_all_have_stopped() -> None:
    fleet = [worker(f"w{n}", 1, slice_id="s") for n in range(2)]
    wants = gang("/u/g", 2, cores(1), band=PRODUCTION)
    runs = [Runs("w0", "/o/a", stopping=True), Runs("w1", "/o/b", stopping=True)]
    answer = schedule(snapshot_of(fleet, [wants], runs))
    assert not answer.preemptions
    assert answer.job_reasons[answer.unplaced[0].job_id].code is PendingCode.WAITS_FOR_STOP
    assert answer.unplaced[0].waits_for_stop == 2
    half = schedule(snapshot_of(fleet, [wants, Waits("/s/x", band=BATCH)], runs[:1]))
    assert (half.placements, half.preemptions) == ((), ()), "w1 is kept for the gang"


def test_only_work_within_budget_has_others_stopped() -> None:
    policy = SchedulingPolicy(users={"u": UserPolicy(budget={"cpu": 2000})})
    fleet = [worker(f"w{n}", 1) for n in range(4)]
    runs = [Runs(f"w{n}", "/o/x", uid=f"x{n}") for n in range(4)]
    wants = Waits("/u/x", 4, band=PRODUCTION)
    assert len(stopped(schedule(snapshot_of(fleet, [wants], runs, policy=policy)))) == 2


def test_a_pass_stops_so_many_at_most_and_may_be_forbidden_to() -> None:
    fleet = [worker(f"w{n}", 1) for n in range(4)]
    runs = [Runs(f"w{n}", "/o/x", uid=f"x{n}") for n in range(4)]
    wants = Waits("/u/x", 4, band=PRODUCTION)
    few = SchedulingPolicy(max_preemptions=3)
    assert len(stopped(schedule(snapshot_of(fleet, [wants], runs, policy=few)))) == 3
    never = SchedulingPolicy(preemption=False)
    assert not stopped(schedule(snapshot_of(fleet, [wants], runs, policy=never)))


def test_workers_that_would_not_do_anyway_are_left_alone() -> None:
    rule = (Constraint("zone", ConstraintOp.EQ, ("a",)),)
    wants = Waits("/u/x", need=cores(2), band=PRODUCTION, constraints=rule)
    fleet = [
        worker("elsewhere", 2, zone="b"),
        worker("too-small", 1, zone="a"),
        worker("leaving", 2, zone="a", refuses="draining"),
        worker("tainted", 2, zone="a", taint__x="y"),
    ]
    runs = [Runs(str(one.worker_id), "/o/x") for one in fleet]
    assert not stopped(schedule(snapshot_of(fleet, [wants], runs)))


def test_a_gang_that_rests_after_its_reservation_expired_has_nobody_stopped() -> None:
    fleet = [worker(f"w{n}", 1, slice_id="s") for n in range(2)]
    wants = gang("/u/g", 2, cores(1), band=PRODUCTION)
    (made,) = schedule(
        snapshot_of(fleet, [wants], [Runs(f"w{n}", "/o/p", band=PRODUCTION) for n in range(2)])
    ).reservations
    runs = [Runs(f"w{n}", "/o/b") for n in range(2)]
    late = snapshot_of(fleet, [wants], runs, reservations=(made,), now=made.expires_at)
    assert not stopped(schedule(late))
