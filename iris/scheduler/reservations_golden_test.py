"""Gangs that are placed, gangs that wait, what is kept for them, and who may borrow it; by example."""

from dataclasses import replace
from datetime import datetime, timedelta

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.ids import JobId, WorkerId
from iris.model.pending import PendingCode
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.schedule import schedule
from iris.scheduler.snapshot import Reservation, Schedule, WorkerView
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
    worker,
)

LASTS = SchedulingPolicy().reservation_lasts
PAIR = gang("/g/pair", 2, cores(4))


def pairs(*names: str, free: float = 4) -> list[WorkerView]:
    """Slices of two workers each."""
    return [worker(f"{name}{number}", free, slice_id=name) for name in names for number in range(2)]


def kept_in(answer: Schedule) -> dict[str, str]:
    """Which gang has room kept in which group."""
    return {str(one.job_id): one.value for one in answer.reservations}


# --- placed ------------------------------------------------------------------------------------


def test_a_gang_is_placed_whole_in_one_group_or_not_at_all() -> None:
    fleet = [worker("a", 4, slice_id="x"), worker("b", 4, slice_id="y")]
    assert not schedule(snapshot_of(fleet, [PAIR])).placements
    assert places(schedule(snapshot_of(pairs("x"), [PAIR]))) == {
        "/g/pair/0": "x0",
        "/g/pair/1": "x1",
    }


def test_the_tightest_group_is_taken() -> None:
    fleet = [*pairs("wide", free=8), *pairs("tight")]
    assert set(places(schedule(snapshot_of(fleet, [PAIR]))).values()) == {"tight0", "tight1"}


def test_on_a_tpu_slice_member_i_runs_on_worker_i() -> None:
    order = [2, 0, 3, 1]
    fleet = [worker(f"vm{n}", 4, tpu_name="pod", tpu_worker_id=str(n)) for n in order]
    job = gang("/g/tpu", 4, cores(1), by="tpu-name")
    placed = places(schedule(snapshot_of(fleet, [job])))
    assert placed == {f"/g/tpu/{n}": f"vm{n}" for n in range(4)}


def test_groups_with_workers_to_be_avoided_come_last() -> None:
    job = replace(PAIR, avoid={0: ["x1"]})
    assert set(places(schedule(snapshot_of(pairs("x", "y"), [job]))).values()) == {"y0", "y1"}
    assert len(places(schedule(snapshot_of(pairs("x"), [job])))) == 2


# --- kept --------------------------------------------------------------------------------------

# On slice x half of each worker is busy, nobody knows for how long.
BUSY = (Runs("x0", "/o/old", cores(2), INTERACTIVE), Runs("x1", "/o/old", cores(2), INTERACTIVE))


def test_room_is_kept_for_a_gang_that_waits_and_smaller_work_waits_behind_it() -> None:
    jobs = [PAIR, Waits("/s/small", 4)]
    answer = schedule(snapshot_of(pairs("x"), jobs, BUSY))
    assert not answer.placements
    assert kept_in(answer) == {"/g/pair": "x"}
    (one,) = answer.reservations
    assert (one.workers, one.made_at, one.expires_at) == (("x0", "x1"), NOW, NOW + LASTS)
    assert one.starts_by is None, "nobody knows when the old work ends"
    reasons = {str(left.job_id): left.reason for left in answer.unplaced}
    assert reasons["/s/small"].code is PendingCode.WORKERS_RESERVED
    assert reasons["/s/small"].subject == "/g/pair"
    assert answer.job_reasons[one.job_id].code is PendingCode.GANG_INCOMPLETE
    assert "Room is kept for it there" in answer.job_reasons[one.job_id].hint


def test_a_gang_keeps_waiting_for_the_group_it_waited_for() -> None:
    runs = (*BUSY, Runs("y0", "/o/old", cores(1), INTERACTIVE))
    fleet = pairs("x", "y")
    old = reservation("x")
    assert kept_in(schedule(snapshot_of(fleet, [PAIR], runs))) == {"/g/pair": "y"}, "freest"
    answer = schedule(snapshot_of(fleet, [PAIR], runs, reservations=(old,)))
    assert kept_in(answer) == {"/g/pair": "x"}
    assert answer.reservations[0].made_at == old.made_at


def reservation(value: str, minutes_ago: float = 5, job: Waits = PAIR) -> Reservation:
    made_at = NOW - timedelta(minutes=minutes_ago)
    workers = (f"{value}0", f"{value}1")
    return Reservation(
        JobId(job.job_id),
        job.band,
        value,
        tuple(map(WorkerId, workers)),
        job.need,
        job.tasks,
        made_at,
        made_at + LASTS,
    )


def test_it_is_placed_elsewhere_as_soon_as_there_is_room_and_what_was_kept_is_free() -> None:
    jobs = [PAIR, Waits("/s/small", 4)]
    shown = snapshot_of(pairs("x", "y"), jobs, BUSY, reservations=(reservation("x"),))
    answer = schedule(shown)
    assert set(places(answer).values()) >= {"y0", "y1"}
    assert not answer.reservations
    assert answer.more, "others may use what was kept: it is looked again"


def test_of_two_gangs_each_has_a_group_of_its_own() -> None:
    runs = (*BUSY, *(replace(one, worker=one.worker.replace("x", "y")) for one in BUSY))
    jobs = [PAIR, replace(PAIR, job_id="/g/other")]
    answer = schedule(snapshot_of(pairs("x", "y"), jobs, runs))
    assert sorted(kept_in(answer)) == ["/g/other", "/g/pair"]
    assert sorted(kept_in(answer).values()) == ["x", "y"]


def test_room_is_kept_for_so_many_gangs_at_most() -> None:
    jobs = [replace(PAIR, job_id=f"/g/n{number}") for number in range(5)]
    policy = SchedulingPolicy(max_reservations=1)
    answer = schedule(snapshot_of(pairs("x"), jobs, BUSY, policy=policy))
    assert kept_in(answer) == {"/g/n0": "x"}


def test_nothing_is_kept_where_the_gang_could_never_run() -> None:
    answer = schedule(snapshot_of(pairs("x"), [gang("/g/three", 3, cores(4))], BUSY))
    assert not answer.reservations
    assert "No group that exists holds 3" in answer.unplaced[0].reason.hint


def test_a_users_turn_does_not_take_what_is_kept_for_another_but_an_earlier_band_does() -> None:
    # The small job's user holds nothing, so it is served before the gang's.
    holds = (*BUSY, Runs("z", "/g/holds", cores(1), INTERACTIVE))
    fleet = [*pairs("x"), worker("z", 1)]
    kept = (reservation("x"),)
    same_band = [PAIR, Waits("/s/small", 4)]
    assert not places(schedule(snapshot_of(fleet, same_band, holds, reservations=kept)))
    urgent = [PAIR, Waits("/s/small", 4, band=PRODUCTION)]
    assert len(places(schedule(snapshot_of(fleet, urgent, holds, reservations=kept)))) == 4


def test_a_reservation_expires_and_the_gang_rests_as_long_again() -> None:
    def at(moment: datetime, *before: Reservation) -> Schedule:
        jobs = [PAIR, Waits("/s/small", 4)]
        return schedule(snapshot_of(pairs("x"), jobs, BUSY, reservations=before, now=moment))

    first = at(NOW)
    assert (len(first.placements), first.wake_at) == (0, NOW + LASTS)
    expired = at(NOW + LASTS, *first.reservations)
    assert len(expired.placements) == 4, "the small work has come to its turn"
    assert expired.reservations == first.reservations
    assert expired.wake_at == NOW + 2 * LASTS
    again = at(NOW + 2 * LASTS, *expired.reservations)
    assert len(again.placements) == 0
    assert again.reservations[0].made_at == NOW + 2 * LASTS


def test_what_is_kept_stays_kept_when_a_pass_ends_early() -> None:
    fleet = [*pairs("x"), worker("z", 9)]
    jobs = [Waits("/p/many", 9, band=PRODUCTION), PAIR]
    policy = SchedulingPolicy(max_placements=3)
    kept = (reservation("x"),)
    answer = schedule(snapshot_of(fleet, jobs, BUSY, policy=policy, reservations=kept))
    assert (answer.more, answer.reservations) == (True, kept)


# --- borrowed ----------------------------------------------------------------------------------


def with_ends(minutes: float | None) -> tuple[Runs, ...]:
    return tuple(replace(one, left=minutes) for one in BUSY)


def borrowed(work_minutes: float | None, ends: float | None, need: float = 1) -> int:
    """How many of four small tasks, gone after so long, find places beside the waiting gang, whose
    way is free after so long.
    """
    jobs = [PAIR, Waits("/s/small", 4, cores(need), minutes=work_minutes)]
    return len(places(schedule(snapshot_of(pairs("x"), jobs, with_ends(ends)))))


def test_kept_room_is_lent_to_work_that_is_gone_in_time() -> None:
    assert borrowed(work_minutes=20, ends=20) == 4
    assert borrowed(work_minutes=5, ends=20) == 4
    assert borrowed(work_minutes=21, ends=20) == 0


def test_where_nobody_knows_nothing_is_lent() -> None:
    assert borrowed(work_minutes=None, ends=20) == 0
    assert borrowed(work_minutes=1, ends=None) == 0


def test_no_more_is_lent_than_there_is() -> None:
    assert borrowed(work_minutes=5, ends=20, need=1.5) == 2
    assert borrowed(work_minutes=5, ends=20, need=3) == 0


def test_the_estimate_is_when_enough_has_ended_not_when_all_has() -> None:
    runs = (replace(BUSY[0], left=10), replace(BUSY[1], left=30))
    (one,) = schedule(snapshot_of(pairs("x"), [gang("/g/p", 2, cores(4))], runs)).reservations
    assert one.starts_by == NOW + timedelta(minutes=30)
    (one,) = schedule(snapshot_of(pairs("x"), [gang("/g/p", 2, cores(3))], runs)).reservations
    assert one.starts_by == NOW + timedelta(minutes=30), "one on each worker"
    single = gang("/g/p", 3, cores(2))
    (one,) = schedule(snapshot_of(pairs("x"), [single], runs)).reservations
    assert one.starts_by == NOW + timedelta(minutes=10)


def test_work_of_a_later_band_may_borrow_too_and_constraints_hold() -> None:
    rule = (Constraint("slice-id", ConstraintOp.EQ, ("y",)),)
    jobs = [PAIR, Waits("/s/small", 4, band=BATCH, minutes=5)]
    assert len(places(schedule(snapshot_of(pairs("x"), jobs, with_ends(20))))) == 4
    jobs[1] = replace(jobs[1], constraints=rule)
    assert not places(schedule(snapshot_of(pairs("x"), jobs, with_ends(20))))


def test_room_that_is_kept_no_longer_is_offered_again_at_once() -> None:
    """The gang it was kept for is over its budget now; what it kept others from may start."""
    kept = Reservation(
        JobId("/g/pair"),
        BATCH,
        "x",
        (WorkerId("x0"), WorkerId("x1")),
        cores(4),
        2,
        NOW,
        NOW + LASTS,
    )
    waits = Waits("/a/one", 1, cores(4), band=BATCH)
    answer = schedule(snapshot_of(pairs("x"), [waits], reservations=(kept,)))
    assert not answer.placements and answer.more, "it looks again"
    again = schedule(snapshot_of(pairs("x"), [waits], reservations=answer.reservations))
    assert len(again.placements) == 1 and not again.more
