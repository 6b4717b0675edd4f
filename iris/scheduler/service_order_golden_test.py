"""Who is served first: bands, shares, budgets, the order of submission; by example."""

from iris.model.pending import PendingCode
from iris.model.resources import Resources
from iris.scheduler.policy import SchedulingPolicy, UserPolicy
from iris.scheduler.schedule import schedule
from iris.scheduler.work_fixture import (
    BATCH,
    CHIP,
    INTERACTIVE,
    PRODUCTION,
    Runs,
    Waits,
    cores,
    gang,
    places,
    snapshot_of,
    worker,
)


def counts(policy: SchedulingPolicy, runs: tuple[Runs, ...], *jobs: Waits) -> dict[str, int]:
    """How many tasks of each job find places on ten cores."""
    fleet = [worker(f"w{number}", 1) for number in range(10)]
    placed = places(schedule(snapshot_of(fleet, jobs, runs, policy=policy)))
    names = [task.rpartition("/")[0] for task in placed]
    return {job.job_id: names.count(job.job_id) for job in jobs}


def test_an_earlier_band_gets_everything_before_a_later_one() -> None:
    jobs = (
        Waits("/a/batch", 9, band=BATCH),
        Waits("/b/interactive", 9, band=INTERACTIVE),
        Waits("/c/production", 9, band=PRODUCTION),
    )
    assert counts(SchedulingPolicy(), (), *jobs) == {
        "/a/batch": 0,
        "/b/interactive": 1,
        "/c/production": 9,
    }


def test_bands_hold_between_gangs_and_single_tasks_in_both_directions() -> None:
    fleet = [worker(f"w{number}", 1, slice_id="s") for number in range(4)]
    production_gang = gang("/u/gang", 4, cores(1), band=PRODUCTION)
    first = schedule(snapshot_of(fleet, [Waits("/u/batch", 4, band=BATCH), production_gang]))
    assert {task.rpartition("/")[0] for task in places(first)} == {"/u/gang"}
    batch_gang = gang("/u/gang", 4, cores(1), band=BATCH)
    second = schedule(snapshot_of(fleet, [batch_gang, Waits("/u/one", 1, band=PRODUCTION)]))
    assert places(second) == {"/u/one/0": "w0"}


def test_what_an_earlier_band_cannot_use_goes_to_a_later_one() -> None:
    fleet = [worker("small", 2), worker("large", 2)]
    jobs = [Waits("/u/big", need=cores(3), band=PRODUCTION), Waits("/u/small", 4, band=BATCH)]
    assert len(places(schedule(snapshot_of(fleet, jobs)))) == 4


def test_one_users_work_is_served_in_the_order_of_submission() -> None:
    jobs = (Waits("/a/first", 6), Waits("/a/second", 6, need=cores(0.5)), Waits("/a/third", 6))
    assert counts(SchedulingPolicy(), (), *jobs) == {"/a/first": 6, "/a/second": 6, "/a/third": 1}


def test_users_with_the_same_wishes_get_the_same() -> None:
    jobs = (Waits("/a/x", 20), Waits("/b/x", 20))
    assert counts(SchedulingPolicy(), (), *jobs) == {"/a/x": 5, "/b/x": 5}


def test_in_a_large_fleet_nobody_is_ahead_by_more_than_a_thousandth() -> None:
    fleet = [worker(f"w{number}", 40) for number in range(100)]
    jobs = [Waits("/a/x", 2500), Waits("/b/x", 2500), Waits("/c/x", 2500)]
    placed = places(schedule(snapshot_of(fleet, jobs)))
    names = [task.rpartition("/")[0] for task in placed]
    got = sorted(names.count(job.job_id) for job in jobs)
    assert sum(got) == 4000
    assert got[-1] - got[0] <= 4 + 1  # cores of 4,000, and a task


def test_what_a_user_holds_already_counts_but_only_in_that_band() -> None:
    jobs = (Waits("/a/x", 20), Waits("/b/x", 20))
    holds = tuple(Runs(f"w{number}", "/a/old", band=INTERACTIVE) for number in range(4))
    assert counts(SchedulingPolicy(), holds, *jobs) == {"/a/x": 1, "/b/x": 5}
    other_band = tuple(Runs(f"w{number}", "/a/old", band=PRODUCTION) for number in range(4))
    assert counts(SchedulingPolicy(), other_band, *jobs) == {"/a/x": 3, "/b/x": 3}


def test_shares_are_in_proportion_to_weights() -> None:
    policy = SchedulingPolicy(users={"a": UserPolicy(weight=4.0)})
    jobs = (Waits("/a/x", 20), Waits("/b/x", 20))
    assert counts(policy, (), *jobs) == {"/a/x": 8, "/b/x": 2}


def test_the_dominant_resource_decides() -> None:
    """Nine cores and 18 GiB, tasks of 1 core and 4 GiB, and of 3 cores and 1 GiB: three and two,
    the example of the paper.
    """
    fleet = [worker("w", amount=cores(9, memory=18))]
    jobs = [Waits("/a/x", 9, cores(1, memory=4)), Waits("/b/x", 9, cores(3, memory=1))]
    placed = [task.split("/")[1] for task in places(schedule(snapshot_of(fleet, jobs)))]
    assert (placed.count("a"), placed.count("b")) == (3, 2)


def test_what_one_user_cannot_use_goes_to_the_others() -> None:
    jobs = (Waits("/a/x", 2), Waits("/b/x", 20))
    assert counts(SchedulingPolicy(), (), *jobs) == {"/a/x": 2, "/b/x": 8}


def budget(**limits: int) -> SchedulingPolicy:
    """User a may have so much."""
    return SchedulingPolicy(users={"a": UserPolicy(budget=limits)})


def test_a_budget_bounds_what_all_of_a_users_work_holds_in_all_bands() -> None:
    jobs = (Waits("/a/x", 20), Waits("/b/x", 2))
    assert counts(budget(cpu=3000), (), *jobs) == {"/a/x": 3, "/b/x": 2}
    holds = (Runs("w0", "/a/old", band=BATCH), Runs("w1", "/a/older", band=PRODUCTION))
    assert counts(budget(cpu=3000), holds, *jobs) == {"/a/x": 1, "/b/x": 2}


def test_work_over_budget_says_so_with_the_numbers_and_asks_for_no_machines() -> None:
    shown = snapshot_of([worker("w", 8)], [Waits("/a/x", 5)], policy=budget(cpu=2000))
    (left,) = schedule(shown).unplaced
    assert (left.reason.code, left.reason.subject) == (PendingCode.BUDGET_EXHAUSTED, "cpu")
    assert (left.reason.needed, left.reason.nearest) == ("1 core", "a holds 2 cores of 2 cores")
    assert "once tasks of a have ended" in left.reason.hint
    assert left.within_budget == 0


def test_within_budget_says_for_how_many_tasks_machines_would_be_of_use() -> None:
    shown = snapshot_of([worker("w", 1)], [Waits("/a/x", 9)], policy=budget(cpu=4000))
    (left,) = schedule(shown).unplaced
    assert (left.reason.code, left.within_budget) == (PendingCode.INSUFFICIENT_RESOURCE, 3)


def test_a_gang_is_within_budget_as_a_whole_or_not_at_all() -> None:
    fleet = [worker(f"w{number}", 1, slice_id="s") for number in range(4)]
    shown = snapshot_of(fleet, [gang("/a/g", 3, cores(1))], policy=budget(cpu=2000))
    (left,) = schedule(shown).unplaced
    assert (left.reason.code, left.within_budget) == (PendingCode.BUDGET_EXHAUSTED, 0)
    assert "can never run within this budget" in left.reason.hint
    enough = snapshot_of(fleet, [gang("/a/g", 3, cores(1))], policy=budget(cpu=3000))
    assert len(places(schedule(enough))) == 3


def test_budgets_know_accelerators_and_ports() -> None:
    fleet = [worker("w", amount=cores(8, ports=8, chips=8))]
    jobs = [Waits("/a/x", 8, cores(1, chips=2))]
    assert len(places(schedule(snapshot_of(fleet, jobs, policy=budget(**{CHIP: 4}))))) == 2
    jobs = [Waits("/a/x", 8, cores(1, ports=1))]
    assert len(places(schedule(snapshot_of(fleet, jobs, policy=budget(ports=3))))) == 3


def test_a_user_over_budget_holds_up_nobody() -> None:
    jobs = (Waits("/a/x", 5), Waits("/b/x", 5))
    assert counts(budget(cpu=0), (), *jobs) == {"/a/x": 0, "/b/x": 5}


def test_ports_are_given_away_like_everything_else() -> None:
    fleet = [worker("w", amount=cores(8, ports=3))]
    answer = schedule(snapshot_of(fleet, [Waits("/u/x", 3, cores(1, ports=2))]))
    assert len(places(answer)) == 1
    assert answer.unplaced[0].reason.subject == "ports"


def test_a_worker_to_be_avoided_is_used_only_if_no_other_fits() -> None:
    fleet = [worker("bad", 1), worker("good", 2)]
    job = Waits("/u/x", avoid={0: ["bad"]})
    assert places(schedule(snapshot_of(fleet, [job]))) == {"/u/x/0": "good"}
    assert places(schedule(snapshot_of(fleet[:1], [job]))) == {"/u/x/0": "bad"}


def test_the_fullest_worker_is_filled_first_and_accelerators_are_spared() -> None:
    fleet = [
        worker("tpu", amount=cores(1, chips=4)),
        worker("empty", 8),
        worker("full", amount=cores(2), total=Resources(8000)),
    ]
    placed = places(schedule(snapshot_of(fleet, [Waits("/u/x", 11)])))
    assert list(placed.values()) == ["full"] * 2 + ["empty"] * 8 + ["tpu"]


def test_a_pass_places_so_many_at_most_and_says_that_there_is_more() -> None:
    fleet = [worker("w", 10)]
    shown = snapshot_of(fleet, [Waits("/u/x", 9)], policy=SchedulingPolicy(max_placements=4))
    answer = schedule(shown)
    assert (len(answer.placements), answer.more) == (4, True)
    assert not answer.unplaced, "what was not looked at has no reason"
