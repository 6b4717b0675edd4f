"""Why work waits: each reason, with how many workers each rule turned down, the nearest miss and a
hint; by example.
"""

from dataclasses import replace

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.pending import PendingCode, PendingReason
from iris.scheduler.schedule import Scheduler, schedule
from iris.scheduler.snapshot import WorkerView
from iris.scheduler.work_fixture import CHIP, Runs, Waits, cores, gang, snapshot_of, worker


def why(fleet: list[WorkerView], job: Waits, *runs: Runs) -> PendingReason:
    """Why the job, alone, waits."""
    # What runs is of the same band: nobody makes room for anybody.
    (left,) = schedule(
        snapshot_of(fleet, [job], [replace(r, band=job.band) for r in runs])
    ).unplaced
    return left.reason


def rules(reason: PendingReason) -> list[tuple[str, str, int]]:
    return [(one.rule.name, one.subject, one.workers) for one in reason.rules]


def test_there_are_no_workers() -> None:
    reason = why([], Waits("/u/x", need=cores(2)))
    assert (reason.code, reason.needed) == (PendingCode.NO_WORKERS, "2 cores")


def test_no_worker_is_large_enough_whatever_runs_there() -> None:
    fleet = [worker("a", 4), worker("b", 6)]
    reason = why(fleet, Waits("/u/x", need=cores(8)))
    assert (reason.code, reason.subject) == (PendingCode.INSUFFICIENT_RESOURCE, "cpu")
    assert (reason.needed, reason.nearest) == ("8 cores", "6 cores on b")
    assert reason.hint == "No worker that exists has that much."
    assert rules(reason) == [("INSUFFICIENT_RESOURCE", "cpu", 2)]


def test_large_enough_workers_are_busy() -> None:
    fleet = [worker("a", 8), worker("b", 8), worker("tiny", 1)]
    reason = why(
        fleet,
        Waits("/u/x", need=cores(8)),
        Runs("a", "/o/a", cores(6)),
        Runs("b", "/o/b", cores(1)),
    )
    assert (reason.code, reason.subject) == (PendingCode.INSUFFICIENT_RESOURCE, "cpu")
    assert (reason.needed, reason.nearest) == ("8 cores", "7 cores free on b")
    assert "once enough of what runs has ended" in reason.hint
    assert rules(reason) == [
        ("INSUFFICIENT_RESOURCE", "cpu", 2),
        ("INSUFFICIENT_RESOURCE", "cpu", 1),
    ]


def test_the_resource_that_is_furthest_away_is_named_and_accelerators_before_others() -> None:
    fleet = [worker("a", amount=cores(4, memory=1, chips=2))]
    reason = why(fleet, Waits("/u/x", need=cores(5, memory=64)))
    assert (reason.subject, reason.needed) == ("memory", "64 GiB memory")
    reason = why(fleet, Waits("/u/x", need=cores(8, chips=4)))
    assert (reason.subject, reason.nearest) == (CHIP, f"2 {CHIP} on a")


def test_the_workers_that_would_do_take_no_work() -> None:
    fleet = [worker("a", 4, refuses="draining"), worker("b", 4, refuses="silent"), worker("c", 1)]
    reason = why(fleet, Waits("/u/x", need=cores(4)))
    assert (reason.code, reason.subject) == (PendingCode.WORKERS_UNAVAILABLE, "draining")
    assert rules(reason) == [
        ("WORKERS_UNAVAILABLE", "draining", 1),
        ("WORKERS_UNAVAILABLE", "silent", 1),
        ("INSUFFICIENT_RESOURCE", "cpu", 1),
    ]


def test_a_worker_that_is_not_well_is_named_with_its_problem() -> None:
    full = replace(worker("b", 4, refuses="unhealthy"), problem="disk: 120 MiB free, needs 1 GiB")
    reason = why([worker("a", 4, refuses="draining"), full], Waits("/u/x", need=cores(4)))
    assert (reason.code, reason.subject) == (PendingCode.WORKERS_UNAVAILABLE, "unhealthy")
    assert reason.nearest == "b (disk: 120 MiB free, needs 1 GiB)"
    assert rules(reason) == [
        ("WORKERS_UNAVAILABLE", "draining", 1),
        ("WORKERS_UNAVAILABLE", "unhealthy", 1),
    ]


def test_what_is_told_of_a_problem_is_what_it_is_now() -> None:
    remembers, wide = Scheduler(), worker("w", 4, refuses="unhealthy")
    for problem in ("disk: 7 MiB free", "disk: 6 MiB free"):
        fleet = [replace(wide, problem=problem)]
        (left,) = remembers.schedule(snapshot_of(fleet, [Waits("/u/x", need=cores(4))])).unplaced
        assert left.reason.nearest == f"w ({problem})"


def test_a_constraint_that_nobody_satisfies_shows_what_there_is() -> None:
    fleet = [worker("a", zone="x"), worker("b", zone="y")]
    reason = why(fleet, Waits("/u/x", constraints=(Constraint("zone", ConstraintOp.EQ, ("z",)),)))
    assert (reason.code, reason.subject) == (PendingCode.CONSTRAINT_UNMET, "zone")
    assert (reason.needed, reason.nearest) == ("zone = z", "zone = x, y")


def test_the_rule_that_the_workers_which_came_furthest_failed_is_told() -> None:
    both = (
        Constraint("zone", ConstraintOp.EQ, ("x",)),
        Constraint("gen", ConstraintOp.GE, ("5",)),
    )
    fleet = [worker("a", zone="x", gen="4"), worker("b", zone="y", gen="9")]
    reason = why(fleet, Waits("/u/x", constraints=both))
    assert (reason.subject, reason.nearest) == ("gen", "gen = 4")
    assert sorted(rules(reason)) == [
        ("CONSTRAINT_UNMET", "gen", 1),
        ("CONSTRAINT_UNMET", "zone", 1),
    ]


def test_a_preference_that_nobody_satisfies_holds_up_nothing() -> None:
    wish = Constraint("zone", ConstraintOp.EQ, ("z",), required=False)
    shown = snapshot_of([worker("a")], [Waits("/u/x", constraints=(wish,))])
    assert len(schedule(shown).placements) == 1


def test_a_gang_is_told_of_the_nearest_group() -> None:
    fleet = [worker(f"{name}{n}", 4, slice_id=name) for name in "ab" for n in range(2)]
    runs = [
        Runs("a0", "/o/x", cores(1)),
        Runs("b0", "/o/x", cores(1)),
        Runs("b1", "/o/x", cores(1)),
    ]
    reason = why(fleet, gang("/u/g", 2, cores(4)), *runs)
    assert (reason.code, reason.subject) == (PendingCode.GANG_INCOMPLETE, "slice-id")
    assert reason.needed == "2 times 4 cores with one slice-id"
    assert reason.nearest == "slice-id = a with room for 1 of 2"


def test_a_gang_that_no_group_could_ever_hold_is_told_of_the_largest() -> None:
    fleet = [worker("a", 4, slice_id="a"), worker("b", 4, slice_id="b")]
    reason = why(fleet, gang("/u/g", 2, cores(4)))
    assert reason.code is PendingCode.GANG_INCOMPLETE
    assert "is the largest and holds 1" in reason.nearest


def test_a_gang_whose_group_by_no_worker_has_is_no_matter_of_resources() -> None:
    reason = why([worker("a", 4)], gang("/u/g", 2, cores(1), by="tpu-name"))
    assert (reason.code, reason.subject) == (PendingCode.CONSTRAINT_UNMET, "tpu-name")


def test_every_worker_is_counted_once() -> None:
    fleet = [
        worker("no-zone", 4),
        worker("tainted", 4, zone="x", taint__t="1"),
        worker("small", 1, zone="x"),
        worker("leaving", 4, zone="x", refuses="draining"),
        worker("busy", 4, zone="x"),
    ]
    rule = (Constraint("zone", ConstraintOp.EQ, ("x",)),)
    reason = why(fleet, Waits("/u/x", need=cores(4), constraints=rule), Runs("busy", "/o/x"))
    assert sum(one.workers for one in reason.rules) == len(fleet)
    assert reason.code is PendingCode.INSUFFICIENT_RESOURCE
    assert reason.nearest == "3 cores free on busy"


def test_one_sentence_says_it_all() -> None:
    reason = why([worker("a", 4)], Waits("/u/x", need=cores(8)))
    assert reason.summary() == (
        "too little of a resource (cpu): needs 8 cores, nearest is 4 cores on a. "
        "No worker that exists has that much."
    )
