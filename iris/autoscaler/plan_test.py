"""What is bought and given back, case by case."""

from dataclasses import replace
from datetime import datetime

import pytest

from iris.autoscaler.demand import (
    Demand,
    FleetView,
    ScalingAction,
    ScalingDecision,
    ScalingReason,
    SliceOccupancy,
)
from iris.autoscaler.groups import Backoff, Exhausted, GroupState, after_failed_boot
from iris.autoscaler.plan import NO_PACKING, Plan, plan
from iris.autoscaler.scaling_cases import (
    NOW,
    SETTINGS,
    busy,
    cpu_group,
    demand,
    gang,
    idle,
    launching_slice,
    seconds,
    slice_of,
    tpu_group,
    view,
)
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import VmState
from iris.model.ids import JobId
from iris.model.pending import PendingCode
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import Toleration

CPU, TPU = cpu_group(), tpu_group()
EQ = ConstraintOp.EQ
LONG_AGO = NOW - seconds(3600)


def run(seen: FleetView, *groups: GroupState, now: datetime = NOW) -> Plan:
    return plan(seen, groups, SETTINGS, now)


def bought(made: Plan) -> list[str]:
    return [one.scale_group for one in made.decisions if one.action is ScalingAction.SCALE_UP]


def returned(made: Plan) -> list[str]:
    return [str(one.slice_id) for one in made.decisions if one.action is ScalingAction.SCALE_DOWN]


def holds(made: Plan) -> list[ScalingDecision]:
    return [one for one in made.decisions if one.action is ScalingAction.HOLD]


def packed(made: Plan) -> dict[str, int]:
    """Tasks by group."""
    found: dict[str, int] = {}
    for grant in (grant for grants in made.packing.grants.values() for grant in grants):
        tasks = sum(place.tasks for place in grant.places)
        found[grant.group] = found.get(grant.group, 0) + tasks
    return found


def unpacked(made: Plan) -> Plan:
    assert not made.packing.grants
    return replace(made, packing=NO_PACKING)


class TestBuying:
    @pytest.mark.parametrize(
        ("wanted", "slices"),
        [
            (demand(tasks=1), 1),
            (demand(tasks=4), 1),
            (demand(tasks=5), 2),
            (demand("a", Resources(3000), 3), 3),
            (demand(tasks=0), 0),
        ],
    )
    def test_as_many_slices_as_the_tasks_need(self, wanted: Demand, slices: int) -> None:
        assert bought(run(view(wanted), GroupState(CPU))) == ["cpu"] * slices

    def test_several_jobs_share_a_slice(self) -> None:
        made = run(view(demand("a", tasks=2), demand("b", tasks=2), demand("c")), GroupState(CPU))
        assert bought(made) == ["cpu", "cpu"]

    def test_what_is_on_its_way_is_counted_once(self) -> None:
        groups = GroupState(CPU, (launching_slice(CPU),), creating=1)
        assert bought(run(view(demand(tasks=8)), groups)) == []
        assert bought(run(view(demand(tasks=9)), groups)) == ["cpu"]
        assert bought(run(view(demand("a", tasks=5), demand("b", tasks=4)), groups)) == ["cpu"]

    def test_workers_that_the_view_shows_are_not_counted_again(self) -> None:
        group = cpu_group(vms=2)
        groups = GroupState(group, (launching_slice(group),))
        half = view(demand(tasks=5), cpu_1=idle(workers=1))
        assert bought(run(half, groups)) == ["cpu"]
        assert bought(run(view(demand(tasks=4), cpu_1=idle(workers=1)), groups)) == []

    def test_a_slice_that_was_complete_is_no_longer_on_its_way(self) -> None:
        lost_a_worker = slice_of(cpu_group(vms=2), booted=True, since=NOW)
        groups = GroupState(cpu_group(vms=2), (lost_a_worker,))
        assert bought(run(view(demand(), cpu_1=busy(workers=1)), groups)) == ["cpu"]

    def test_never_more_than_max_slices(self) -> None:
        group = cpu_group(most=3)
        state = GroupState(group, (slice_of(group),), creating=1)
        assert bought(run(view(demand(tasks=99), cpu_1=busy()), state)) == ["cpu"]

    def test_slices_that_are_going_back_still_count(self) -> None:
        assert bought(run(view(demand()), GroupState(cpu_group(most=1), leaving=1))) == []

    def test_min_slices_come_without_demand_and_serve_it(self) -> None:
        made = run(view(demand(tasks=4)), GroupState(cpu_group(least=2)))
        assert bought(made) == ["cpu", "cpu"]
        assert {one.reason for one in made.decisions} == {ScalingReason.BELOW_MIN_SLICES}

    def test_groups_are_a_waterfall(self) -> None:
        first, second = cpu_group("first", most=1, priority=1), cpu_group("second", priority=2)
        made = run(view(demand(tasks=9)), GroupState(second), GroupState(first))
        assert bought(made) == ["first", "second", "second"]
        assert made.outlook[JobId("/u/a")].nearest == "first for 4 of 9, second for 5 of 9"

    def test_constraints_choose_the_group(self) -> None:
        eu = cpu_group("eu", attributes={"zone": "eu"}, priority=9)
        rule = Constraint("zone", ConstraintOp.EQ, ("eu",))
        made = run(view(demand("a", None, 1, rule)), GroupState(CPU), GroupState(eu))
        assert bought(made) == ["eu"]

    def test_a_task_is_packed_only_where_its_constraints_will_hold(self) -> None:
        rule = Constraint("tpu-worker-id", ConstraintOp.EQ, ("0",))
        pinned = demand("a", Resources(1000), 3, rule)
        assert bought(run(view(pinned), GroupState(TPU))) == ["tpu"] * 3

    def test_a_demand_that_names_a_launching_slice_buys_none(self) -> None:
        rule = Constraint("slice-id", ConstraintOp.EQ, ("cpu-1",))
        state = GroupState(CPU, (launching_slice(CPU),))
        made = run(view(demand("a", None, 4, rule)), state)
        assert bought(made) == []
        assert made.outlook[JobId("/u/a")].code is PendingCode.LAUNCHING_CAPACITY
        assert bought(run(view(demand("a", None, 5, rule)), state)) == []


class TestPacking:
    """What one plan packed is there for the next one."""

    def test_demand_stays_where_it_was_packed(self) -> None:
        """Packed anew, the single tasks would move to the group they prefer, into what was bought
        for the gang.
        """
        preferred = cpu_group("preferred", 2, vms=2, most=2, priority=1)
        other = cpu_group("other", 4, priority=2)
        seen = view(demand("s", Resources(2000), 2), gang("g", 5, "scale-group", Resources(900)))
        first = run(seen, GroupState(preferred), GroupState(other, creating=1))
        assert bought(first) == ["preferred"] * 2
        assert packed(first) == {"other": 2, "preferred": 5}
        groups = (GroupState(preferred, creating=2), GroupState(other, creating=1))
        second = plan(seen, groups, SETTINGS, NOW, first.packing)
        assert (bought(second), second.packing) == ([], first.packing)
        named = (
            GroupState(preferred, (launching_slice(preferred),), creating=1),
            GroupState(other, (launching_slice(other),)),
        )
        third = plan(seen, named, SETTINGS, NOW, second.packing)
        assert (bought(third), packed(third)) == ([], packed(second))
        assert bought(plan(seen, named, SETTINGS, NOW, third.packing)) == []

    def test_but_not_on_machines_that_the_scheduler_has_seen_since(self) -> None:
        group = cpu_group(vms=2)
        wanted = demand(tasks=8)
        first = run(view(wanted), GroupState(group))
        half = (GroupState(group, (launching_slice(group),)),)
        seen = view(wanted, cpu_1=idle(workers=1))
        second = plan(seen, half, SETTINGS, NOW, first.packing)
        assert (bought(second), packed(second)) == (["cpu"], {"cpu": 8})

    def test_what_no_longer_fits_is_packed_anew(self) -> None:
        seen = view(demand(tasks=4), demand("b", Resources(900), 3))
        stale = run(seen, GroupState(CPU), GroupState(cpu_group("vanished", priority=1))).packing
        assert {grant.group for ones in stale.grants.values() for grant in ones} == {"vanished"}
        made = plan(seen, [GroupState(CPU, creating=2)], SETTINGS, NOW, stale)
        assert (bought(made), packed(made)) == ([], {"cpu": 7})
        assert bought(plan(seen, [GroupState(CPU)], SETTINGS, NOW, stale)) == ["cpu", "cpu"]

    @pytest.mark.parametrize("wanted", [demand(tasks=4), gang(tasks=4, group_by="slice-id")])
    def test_a_slice_is_found_again_once_it_has_a_name(self, wanted: Demand) -> None:
        """The first of two that were bought is gone already: what was packed into the second stays."""
        wanted = replace(wanted, resources=Resources(1000))
        seen = view(demand("b", Resources(1100), 3), wanted)
        first = run(seen, GroupState(CPU))
        assert bought(first) == ["cpu", "cpu"]
        named = (slice_of(CPU, 1), launching_slice(CPU, 2))
        left = view(wanted, cpu_1=busy())
        second = plan(left, [GroupState(CPU, named)], SETTINGS, NOW, first.packing)
        assert bought(second) == []
        (grant,) = (grant for ones in second.packing.grants.values() for grant in ones)
        assert {place.room for place in grant.places} == {"cpu-2"}

    def test_the_next_job_of_a_class_takes_over_what_was_packed_for_its_head(self) -> None:
        other = cpu_group("other", priority=200)
        groups = (GroupState(CPU, creating=1), GroupState(other, creating=1))
        alone = demand("head", Resources(900), 4, Constraint("scale-group", EQ, ("cpu",)))
        first = run(view(alone, demand("x", tasks=4)), *groups)
        assert (bought(first), packed(first)) == ([], {"cpu": 4, "other": 4})
        # /u/head has found a place, and /u/next asks for the same; /u/x would prefer cpu.
        following = (demand("x", tasks=4), replace(alone, job_id=JobId("/u/next"), tasks=3))
        second = plan(view(*following), groups, SETTINGS, NOW, first.packing)
        assert (bought(second), packed(second)) == ([], {"cpu": 3, "other": 4})
        assert second.outlook[JobId("/u/next")].code is PendingCode.LAUNCHING_CAPACITY

    def test_gangs_keep_their_slices_when_others_go_first(self) -> None:
        preferred, other = tpu_group("preferred", most=1, priority=1), tpu_group("other")
        there = Constraint("scale-group", EQ, ("preferred",))
        bound, free = replace(gang("x"), constraints=(there,)), gang("g")
        first = run(view(bound, free), GroupState(preferred), GroupState(other))
        assert bought(first) == ["preferred", "other"]
        groups = (GroupState(preferred, creating=1), GroupState(other, creating=1))
        second = plan(view(free, bound), groups, SETTINGS, NOW, first.packing)
        assert (bought(second), holds(second)) == ([], [])

    def test_users_of_one_kind_share_what_was_packed(self) -> None:
        first = run(view(demand("a", tasks=3)), GroupState(CPU))
        two = view(demand("b", tasks=1), demand("a", tasks=3))
        second = plan(two, [GroupState(CPU, creating=1)], SETTINGS, NOW, first.packing)
        assert (bought(second), packed(second)) == ([], {"cpu": 4})

    def test_holes_are_closed_before_more_is_bought(self) -> None:
        """What shared the first slice is gone; all that is left of it and of the second fits into one."""
        halves = demand("a", tasks=3)
        first = run(view(demand("gone", Resources(2000)), halves), GroupState(CPU))
        assert bought(first) == ["cpu", "cpu"]
        coming = [GroupState(CPU, creating=2)]
        whole = view(halves, demand("whole", Resources(4000)))
        second = plan(whole, coming, SETTINGS, NOW, first.packing)
        assert (bought(second), packed(second)) == ([], {"cpu": 4})
        two = view(halves, demand("whole", Resources(4000), 2))
        assert bought(plan(two, coming, SETTINGS, NOW, first.packing)) == ["cpu"]

    def test_it_does_not_grow_from_plan_to_plan(self) -> None:
        seen = view(demand("a", tasks=3), demand("b", tasks=3), gang(tasks=2, group_by="slice-id"))
        group = GroupState(CPU, creating=3)
        packing = run(seen, group).packing
        for _ in range(3):
            assert plan(seen, [group], SETTINGS, NOW, packing).packing == packing


class TestBands:
    def test_an_earlier_band_takes_what_comes_for_a_later_one(self) -> None:
        batch = replace(demand("b", tasks=4), band=PriorityBand.BATCH)
        full = GroupState(cpu_group(most=1))
        first = run(view(batch), full)
        assert bought(first) == ["cpu"]
        urgent = replace(demand("p", Resources(900), 4), band=PriorityBand.PRODUCTION)
        coming = GroupState(cpu_group(most=1), creating=1)
        second = plan(view(urgent, batch), [coming], SETTINGS, NOW, first.packing)
        assert bought(second) == []
        assert second.outlook[JobId("/u/p")].code is PendingCode.LAUNCHING_CAPACITY
        assert second.outlook[JobId("/u/b")].code is PendingCode.CAPACITY_LIMIT

    def test_a_slice_more_is_bought_if_that_is_needed(self) -> None:
        batch = replace(demand("b", tasks=4), band=PriorityBand.BATCH)
        first = run(view(batch), GroupState(CPU))
        urgent = replace(demand("p", tasks=4), band=PriorityBand.PRODUCTION)
        second = plan(
            view(urgent, batch), [GroupState(CPU, creating=1)], SETTINGS, NOW, first.packing
        )
        assert bought(second) == ["cpu"]
        third = plan(
            view(urgent, batch), [GroupState(CPU, creating=2)], SETTINGS, NOW, second.packing
        )
        assert bought(third) == []


class TestTaints:
    TAINTED = cpu_group("tainted", priority=1, attributes={"taint/gpu-only": "yes"})

    def test_only_for_those_who_tolerate_them(self) -> None:
        groups = (GroupState(self.TAINTED), GroupState(CPU))
        assert bought(run(view(demand()), *groups)) == ["cpu"]
        tolerant = replace(demand(), tolerations=(Toleration("gpu-only"),))
        assert bought(run(view(tolerant), *groups)) == ["tainted"]

    def test_what_comes_is_not_shared_with_those_who_do_not(self) -> None:
        state = GroupState(self.TAINTED, creating=1)
        tolerant = replace(demand("t"), tolerations=(Toleration("gpu-only", "yes"),))
        made = run(view(demand("a"), tolerant), state)
        assert (bought(made), packed(made)) == ([], {"tainted": 1})
        assert holds(made)[0].reason is ScalingReason.NOTHING_FITS
        why = made.outlook[JobId("/u/a")]
        assert (why.code, why.subject) == (PendingCode.NO_GROUP_FITS, "gpu-only")


class TestGangs:
    def test_a_slice_each(self) -> None:
        assert bought(run(view(gang("a"), gang("b")), GroupState(TPU))) == ["tpu", "tpu"]

    def test_small_gangs_share_a_slice(self) -> None:
        made = run(view(gang("a", tasks=2), gang("b", tasks=2)), GroupState(TPU))
        assert bought(made) == ["tpu"]

    def test_a_slice_on_its_way_is_enough(self) -> None:
        state = GroupState(TPU, (launching_slice(TPU),))
        assert bought(run(view(gang()), state)) == []
        assert bought(run(view(gang("a"), gang("b")), state)) == ["tpu"]

    def test_a_slice_half_of_whose_workers_are_there_is_on_its_way_for_a_gang(self) -> None:
        state = GroupState(TPU, (launching_slice(TPU),))
        assert bought(run(view(gang(), tpu_1=idle(workers=2)), state)) == []
        assert bought(run(view(gang(), tpu_1=busy(workers=2)), state)) == ["tpu"]

    def test_never_across_slices(self) -> None:
        state = GroupState(TPU, creating=2)
        assert bought(
            run(view(gang("a", tasks=3), gang("b", tasks=3), gang("c", tasks=2)), state)
        ) == ["tpu"]

    def test_the_smallest_slice_that_holds_it(self) -> None:
        large = cpu_group("large", vms=8)
        small = cpu_group("small", vms=4)
        wanted = gang(group_by="slice-id", need=Resources(4000))
        assert bought(run(view(wanted), GroupState(large), GroupState(small))) == ["small"]

    def test_the_next_group_when_the_first_is_full(self) -> None:
        first, second = tpu_group("first", most=0, priority=1), tpu_group("second", priority=2)
        full = GroupState(tpu_group("first", most=1, priority=1), leaving=1)
        assert bought(run(view(gang()), full, GroupState(second))) == ["second"]
        assert bought(run(view(gang()), GroupState(first), GroupState(second))) == ["second"]

    def test_a_gang_of_a_scale_group_gets_several_slices(self) -> None:
        wanted = gang(tasks=10, group_by="scale-group")
        assert bought(run(view(wanted), GroupState(TPU))) == ["tpu"] * 3

    def test_for_which_idle_ones_count_and_stay(self) -> None:
        wanted = gang(tasks=12, group_by="scale-group")
        slices = (slice_of(TPU, 1), launching_slice(TPU, 2))
        made = run(view(wanted, tpu_1=idle(4, LONG_AGO)), GroupState(TPU, slices))
        assert bought(made) == ["tpu"]
        assert returned(made) == []

    def test_or_none_if_there_cannot_be_enough(self) -> None:
        group = tpu_group(most=3)
        state = GroupState(group, (slice_of(group),))
        made = run(view(gang(tasks=12, group_by="scale-group"), tpu_1=busy(4)), state)
        assert bought(made) == []
        assert holds(made)[0].reason is ScalingReason.AT_MAX_SLICES


class TestHolds:
    def test_at_max_slices(self) -> None:
        group = cpu_group(most=1)
        made = run(view(demand(tasks=2), cpu_1=busy()), GroupState(group, (slice_of(group),)))
        (hold,) = holds(made)
        assert (hold.reason, hold.scale_group, hold.job_id) == (
            ScalingReason.AT_MAX_SLICES,
            "cpu",
            JobId("/u/a"),
        )
        why = made.outlook[JobId("/u/a")]
        assert (why.code, why.subject) == (PendingCode.CAPACITY_LIMIT, "cpu")
        assert why.nearest == "cpu has 1 of at most 1 slices"
        assert why.nearest in hold.summary

    def test_nothing_fits(self) -> None:
        made = run(view(demand("a", Resources(9000))), GroupState(CPU))
        (hold,) = holds(made)
        assert hold.reason is ScalingReason.NOTHING_FITS
        assert made.outlook[JobId("/u/a")].code is PendingCode.NO_GROUP_FITS

    def test_resting(self) -> None:
        until = NOW + seconds(20)
        state = GroupState(CPU, backoff=Backoff(3, until, "no stock"))
        made = run(view(demand()), state)
        assert (bought(made), holds(made)[0].reason) == ([], ScalingReason.BACKING_OFF)
        why = made.outlook[JobId("/u/a")]
        assert why.code is PendingCode.GROUP_BACKOFF
        assert why.nearest == "cpu rests until 12:00:20 UTC after 3 failed boots: no stock"
        assert made.wake_at == until
        assert bought(run(view(demand()), state, now=until)) == ["cpu"]

    def test_exhausted(self) -> None:
        retry_at = NOW + seconds(10)
        state = GroupState(CPU, exhausted=Exhausted("4 of 4 cores are in use", retry_at))
        made = run(view(demand()), state)
        assert (bought(made), holds(made)[0].reason) == ([], ScalingReason.QUOTA)
        assert made.outlook[JobId("/u/a")].nearest == "cpu: 4 of 4 cores are in use"
        assert made.wake_at == retry_at

    def test_not_yet_listed(self) -> None:
        made = run(view(demand()), GroupState(CPU, unlisted="the cloud is away"))
        assert bought(made) == []
        assert "the cloud is away" in made.outlook[JobId("/u/a")].nearest

    def test_a_group_that_rests_is_passed_over(self) -> None:
        first = GroupState(cpu_group("first", priority=1), backoff=Backoff(1, NOW + seconds(5)))
        made = run(view(demand()), first, GroupState(cpu_group("second", priority=2)))
        assert (bought(made), holds(made)) == (["second"], [])

    def test_part_of_a_job(self) -> None:
        made = run(view(demand(tasks=9)), GroupState(cpu_group(most=2)))
        assert bought(made) == ["cpu", "cpu"]
        assert holds(made)[0].summary.startswith("1 of 9 tasks of /u/a have no capacity coming")
        assert made.outlook[JobId("/u/a")].code is PendingCode.LAUNCHING_CAPACITY

    def test_every_unmet_demand_has_one(self) -> None:
        made = run(
            view(*(demand(f"j{i}") for i in range(5))), GroupState(cpu_group(most=1, cores=1))
        )
        assert [one.job_id for one in holds(made)] == [f"/u/j{i}" for i in range(1, 5)]

    def test_without_demand_nothing_is_held_and_nothing_wakes(self) -> None:
        state = GroupState(CPU, backoff=Backoff(1, NOW + seconds(5)))
        assert unpacked(run(view(), state)) == Plan()


class TestFailures:
    def test_a_boot_that_took_too_long(self) -> None:
        state = GroupState(TPU, (launching_slice(TPU, since=NOW - seconds(299)),))
        made = run(view(gang(), tpu_1=idle(workers=3)), state)
        assert (returned(made), made.wake_at) == ([], NOW + seconds(1))
        made = run(view(gang(), tpu_1=idle(workers=3)), state, now=NOW + seconds(1))
        assert returned(made) == ["tpu-1"]
        assert made.decisions[0].reason is ScalingReason.BOOT_FAILED
        assert "only 3 of its workers are there after 300 s" in made.decisions[0].summary
        assert made.backoffs["tpu"].failures == 1

    @pytest.mark.parametrize("end", [VmState.FAILED, VmState.PREEMPTED, VmState.TERMINATED])
    @pytest.mark.parametrize("booted", [True, False])
    def test_a_slice_that_is_gone(self, end: VmState, booted: bool) -> None:
        one = slice_of(CPU, 1, end, booted=booted, problem="out of memory")
        made = run(view(demand(), cpu_1=busy()), GroupState(CPU, (one,)))
        lost = booted or end is VmState.PREEMPTED
        reason = ScalingReason.SLICE_LOST if lost else ScalingReason.BOOT_FAILED
        assert (returned(made), made.decisions[0].reason) == (["cpu-1"], reason)
        assert "out of memory" in made.decisions[0].summary
        # A boot that failed makes the group rest; a slice that was lost is replaced at once.
        assert bought(made) == (["cpu"] if booted else [])

    def test_a_slice_that_is_taken_back_while_it_boots_shows_that_there_is_no_capacity(
        self,
    ) -> None:
        one = slice_of(CPU, 1, VmState.PREEMPTED, booted=False)
        made = run(view(demand()), GroupState(CPU, (one,)))
        exhausted = Exhausted("cpu-1 was taken back while it booted", NOW + SETTINGS.interval)
        assert (made.backoffs, made.exhausted) == ({}, {"cpu": exhausted})
        assert holds(made)[0].reason is ScalingReason.QUOTA
        assert made.wake_at == exhausted.retry_at

    def test_a_slice_most_of_whose_workers_stay_away(self) -> None:
        group = cpu_group(vms=3)
        away = slice_of(group, booted=True, since=NOW - seconds(300))
        made = run(view(cpu_1=idle(workers=1)), GroupState(group, (away,)))
        assert made.decisions[0].reason is ScalingReason.SLICE_LOST
        working = run(view(cpu_1=busy(workers=1)), GroupState(group, (away,)))
        assert returned(working) == []

    def test_a_gang_over_several_slices_is_not_shut_out_after_a_failed_boot(self) -> None:
        wide = gang("wide", 4, "scale-group", Resources(4000))
        made = run(view(wide), GroupState(CPU, backoff=Backoff(1, NOW, "no stock")))
        assert bought(made) == ["cpu"], "one is tried, though it alone is too little"
        coming = (launching_slice(CPU),)
        made = run(view(wide), GroupState(CPU, coming, backoff=Backoff(1, NOW, "no stock")))
        assert bought(made) == [], "until that has come up"
        small = cpu_group(most=3)
        made = run(view(wide), GroupState(small, backoff=Backoff(1, NOW, "no stock")))
        assert bought(made) == [], "there can never be enough"

    def test_one_slice_at_a_time_after_a_failed_boot(self) -> None:
        tried = GroupState(CPU, backoff=Backoff(1, NOW, "no stock"))
        made = run(view(demand(tasks=9)), tried)
        assert bought(made) == ["cpu"]
        assert holds(made)[0].reason is ScalingReason.BACKING_OFF
        trying = GroupState(CPU, creating=1, backoff=Backoff(1, NOW, "no stock"))
        assert bought(run(view(demand(tasks=9)), trying)) == []

    def test_slices_that_fail_together_are_one_failure(self) -> None:
        slices = tuple(slice_of(CPU, i, VmState.FAILED, booted=False) for i in range(3))
        made = run(view(), GroupState(CPU, slices))
        assert (len(returned(made)), made.backoffs["cpu"].failures) == (3, 1)


class TestBackoff:
    def test_it_doubles_up_to_its_cap(self) -> None:
        backoff, now, rests = Backoff(), NOW, []
        for _ in range(7):
            backoff = after_failed_boot(backoff, "no stock", now, SETTINGS)
            assert backoff.until is not None
            rests.append((backoff.until - now).total_seconds())
            now = backoff.until
        assert rests == [5, 10, 20, 40, 60, 60, 60]

    def test_any_number_of_failures_is_fine(self) -> None:
        backoff = after_failed_boot(Backoff(10_000, NOW), "no stock", NOW, SETTINGS)
        assert backoff.until == NOW + SETTINGS.backoff_max


class TestGivingBack:
    def test_all_idle_slices_at_once(self) -> None:
        slices = tuple(slice_of(CPU, i) for i in range(5))
        seen = {f"cpu_{i}": idle(since=LONG_AGO) for i in range(5)}
        made = run(view(**seen), GroupState(CPU, slices))
        assert returned(made) == [f"cpu-{i}" for i in range(5)]
        assert {one.reason for one in made.decisions} == {ScalingReason.IDLE}

    def test_not_before_the_timeout(self) -> None:
        state = GroupState(CPU, (slice_of(CPU),))
        seen = view(cpu_1=idle(since=NOW))
        due = NOW + SETTINGS.idle_timeout
        assert unpacked(run(seen, state)) == Plan(wake_at=due)
        assert returned(run(seen, state, now=due)) == ["cpu-1"]

    def test_the_one_that_has_been_idle_longest_goes_first_and_min_slices_stay(self) -> None:
        group = cpu_group(least=1)
        slices = (slice_of(group, 1), slice_of(group, 2))
        seen = view(cpu_1=idle(since=LONG_AGO), cpu_2=idle(since=LONG_AGO - seconds(1)))
        made = run(seen, GroupState(group, slices))
        assert (returned(made), made.wake_at) == (["cpu-2"], None)

    @pytest.mark.parametrize(
        "seen",
        [busy(), SliceOccupancy(0, 0, None)],
        ids=["busy", "never seen"],
    )
    def test_only_what_is_known_to_be_idle(self, seen: SliceOccupancy) -> None:
        made = run(view(cpu_1=seen), GroupState(CPU, (slice_of(CPU),)), now=NOW + seconds(7200))
        assert returned(made) == []

    def test_what_is_still_booting_is_not_idle(self) -> None:
        state = GroupState(TPU, (launching_slice(TPU),))
        assert returned(run(view(tpu_1=idle(2, LONG_AGO)), state)) == []

    def test_what_just_had_work_is_not_asked_for_again(self) -> None:
        state = GroupState(CPU, (slice_of(CPU, keep=True),))
        assert unpacked(run(view(cpu_1=idle(since=LONG_AGO)), state)) == Plan()

    def test_above_max_slices_idle_ones_go_at_once(self) -> None:
        group = cpu_group(most=1)
        slices = (slice_of(group, 1), slice_of(group, 2), slice_of(group, 3))
        seen = view(cpu_1=busy(), cpu_2=idle(), cpu_3=idle(since=NOW - seconds(1)))
        made = run(seen, GroupState(group, slices))
        assert returned(made) == ["cpu-3", "cpu-2"]
        assert {one.reason for one in made.decisions} == {ScalingReason.ABOVE_MAX_SLICES}
