"""Demand falls to the next group on quota, on missing capacity and on churn, and comes back."""

from dataclasses import replace
from datetime import datetime

from iris.autoscaler.demand import FleetView, ScalingAction, ScalingReason
from iris.autoscaler.groups import Backoff, Exhausted, GroupState
from iris.autoscaler.pace import NO_PACE
from iris.autoscaler.plan import Plan, plan
from iris.autoscaler.scaling_cases import NOW, SETTINGS, cpu_group, demand, gang, seconds, view
from iris.model.ids import JobId
from iris.model.pending import PendingCode
from iris.model.resources import Resources

FIRST, SECOND = cpu_group("first", 1, priority=1), cpu_group("second", 1, priority=2)
CHURN = "of the 3 slices that it had in the last 30 min, 3 were soon lost and 0 failed to boot"
SLOW = replace(SETTINGS, launches_per_minute=6, launch_batch=2)


def run(seen: FleetView, *states: GroupState, now: datetime = NOW, slow: bool = False) -> Plan:
    return plan(seen, states, SLOW if slow else SETTINGS, now)


def bought(made: Plan) -> list[str]:
    return [one.scale_group for one in made.decisions if one.action is ScalingAction.SCALE_UP]


def reasons(made: Plan) -> set[ScalingReason]:
    return {one.reason for one in made.decisions}


class TestQuota:
    def refused(self, seconds_ago: float) -> GroupState:
        retry_at = NOW + SETTINGS.interval - seconds(seconds_ago)
        return GroupState(FIRST, exhausted=Exhausted("0 of 8 left", retry_at))

    def test_the_next_group_takes_over(self) -> None:
        made = run(view(demand(tasks=3)), self.refused(0), GroupState(SECOND))
        assert bought(made) == ["second"] * 3

    def test_then_one_request_finds_out(self) -> None:
        made = run(view(demand(tasks=3)), self.refused(10), GroupState(SECOND))
        assert bought(made) == ["first", "second", "second"]
        again = replace(self.refused(10), creating=1)
        assert bought(run(view(demand(tasks=3)), again, GroupState(SECOND))) == ["second"] * 2

    def test_held_demand_says_so(self) -> None:
        made = run(view(demand()), self.refused(0))
        assert reasons(made) == {ScalingReason.QUOTA}
        why = made.outlook[JobId("/u/a")]
        assert (why.code, why.nearest) == (PendingCode.CAPACITY_LIMIT, "first: 0 of 8 left")
        assert made.wake_at == NOW + SETTINGS.interval

    def test_on_this_machine_it_is_a_budget(self) -> None:
        state = self.refused(0)
        made = run(view(demand()), replace(state, group=replace(FIRST, platform="local")))
        assert reasons(made) == {ScalingReason.MACHINE_BUDGET}


class TestCapacity:
    def test_a_group_that_rests_is_passed_over_and_comes_back(self) -> None:
        until = NOW + seconds(5)
        resting = GroupState(FIRST, backoff=Backoff(1, until, "no stock"))
        assert bought(run(view(demand()), resting, GroupState(SECOND))) == ["second"]
        assert bought(run(view(demand()), resting, GroupState(SECOND), now=until)) == ["first"]


class TestChurn:
    def test_a_group_whose_slices_come_to_little_is_the_last(self) -> None:
        made = run(view(demand(tasks=12)), GroupState(FIRST, churn=CHURN), GroupState(SECOND))
        assert bought(made) == ["second"] * 10 + ["first"] * 2
        assert [one.reason for one in made.decisions] == (
            [ScalingReason.CHURN] * 10 + [ScalingReason.DEMAND] * 2
        )
        assert made.decisions[0].summary.endswith(f" first is passed over: {CHURN}.")

    def test_for_gangs_too(self) -> None:
        wanted = gang(tasks=2, group_by="scale-group", need=Resources(1000))
        made = run(view(wanted), GroupState(FIRST, churn=CHURN), GroupState(SECOND))
        assert bought(made) == ["second"] * 2

    def test_what_it_has_on_its_way_is_used_first(self) -> None:
        made = run(view(demand()), GroupState(FIRST, churn=CHURN, creating=1), GroupState(SECOND))
        assert bought(made) == []

    def test_it_comes_back(self) -> None:
        assert bought(run(view(demand()), GroupState(FIRST), GroupState(SECOND))) == ["first"]

    def test_a_group_that_could_not_sell_anyway_is_no_reason(self) -> None:
        full = GroupState(replace(FIRST, max_slices=1), creating=1, churn=CHURN)
        made = run(view(demand(tasks=2)), full, GroupState(SECOND))
        assert [one.reason for one in made.decisions] == [ScalingReason.DEMAND]

    def test_where_all_churn_priority_decides(self) -> None:
        made = run(view(demand()), GroupState(FIRST, churn=CHURN), GroupState(SECOND, churn=CHURN))
        assert bought(made) == ["first"]


class TestRate:
    def test_no_more_than_a_batch_is_bought_and_nothing_dearer_instead(self) -> None:
        made = run(view(demand(tasks=5)), GroupState(FIRST), GroupState(SECOND), slow=True)
        assert bought(made) == ["first"] * 2
        held = [one for one in made.decisions if one.action is ScalingAction.HOLD]
        assert [(one.reason, one.scale_group) for one in held] == [
            (ScalingReason.RATE_LIMIT, "first")
        ]
        assert "first is at its launch rate until 12:00:10 UTC" in held[0].summary
        assert made.wake_at == NOW + seconds(10)

    def test_it_wakes_when_the_next_may_be_asked_for(self) -> None:
        state = GroupState(FIRST, creating=2, pace=NO_PACE.after(2, NOW, SLOW))
        made = run(view(demand(tasks=5)), state, slow=True)
        assert (bought(made), made.wake_at) == ([], NOW + seconds(10))
        made = run(view(demand(tasks=5)), state, slow=True, now=NOW + seconds(10))
        assert bought(made) == ["first"]

    def test_a_gang_of_more_than_a_batch_comes_bit_by_bit(self) -> None:
        wanted = gang(tasks=3, group_by="scale-group", need=Resources(1000))
        made = run(view(wanted), GroupState(FIRST), GroupState(SECOND), slow=True)
        assert bought(made) == ["first"] * 2
        state = GroupState(FIRST, creating=2, pace=NO_PACE.after(2, NOW, SLOW))
        made = run(view(wanted), state, slow=True, now=NOW + seconds(10))
        assert bought(made) == ["first"]

    def test_at_max_slices_the_rate_is_no_obstacle(self) -> None:
        pace = NO_PACE.after(2, NOW, SLOW)
        full = GroupState(replace(FIRST, max_slices=2), creating=2, pace=pace)
        made = run(view(demand(tasks=3)), full, slow=True)
        assert reasons(made) == {ScalingReason.AT_MAX_SLICES}
        made = run(view(demand(tasks=3)), full, GroupState(SECOND), slow=True)
        assert bought(made) == ["second"]
