"""What is noted of a group's slices: which came up, and what became of them."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from iris.autoscaler.demand import FleetView, ScalingReason, SliceOccupancy
from iris.autoscaler.groups import Exhausted
from iris.autoscaler.health import Fate
from iris.autoscaler.memory import GroupMemory
from iris.autoscaler.scaling_cases import NOW, SETTINGS, busy, cpu_group, idle, seconds, view
from iris.autoscaler.slices import ManagedGroup
from iris.model.fleet import VmState
from iris.model.ids import SliceId, WorkerId
from iris.testing.clock import FakeClock
from iris.testing.ids import CountedIds
from iris.testing.platform_fakes import FakeVmManager

SHORT = SETTINGS.short_lived
ONE = SliceId("cpu-1")


@pytest.fixture
def manager() -> FakeVmManager:
    return FakeVmManager(cpu_group(), clock=FakeClock(), ids=CountedIds())


@pytest.fixture
def new_group(manager: FakeVmManager) -> Callable[[], ManagedGroup]:
    return lambda: ManagedGroup(manager, SETTINGS, unlisted="")


@pytest.fixture
def group(new_group: Callable[[], ManagedGroup], manager: FakeVmManager) -> ManagedGroup:
    """With one slice."""
    made = new_group()
    made.adopt(manager.add_slice(), NOW)
    return made


def fates(group: ManagedGroup) -> list[Fate]:
    return [fate for _, fate in group.health.fates]


def come_up(group: ManagedGroup, at: datetime = NOW) -> None:
    group.look(view(cpu_1=busy()), at)


class TestFates:
    def test_a_slice_that_lasts_has_survived(self, group: ManagedGroup) -> None:
        come_up(group)
        group.look(view(cpu_1=busy()), NOW + SHORT - seconds(1))
        assert fates(group) == []
        for _ in range(2):
            group.look(view(cpu_1=busy()), NOW + SHORT)
        assert fates(group) == [Fate.SURVIVED]
        group.let_go(ONE, ScalingReason.SLICE_LOST, NOW + SHORT)
        assert fates(group) == [Fate.SURVIVED]

    def test_one_that_is_soon_lost_is_short_lived(self, group: ManagedGroup) -> None:
        come_up(group)
        group.let_go(ONE, ScalingReason.SLICE_LOST, NOW + SHORT - seconds(1))
        assert fates(group) == [Fate.SHORT_LIVED]

    def test_one_that_goes_back_unused_has_done_its_duty(self, group: ManagedGroup) -> None:
        come_up(group)
        group.let_go(ONE, ScalingReason.IDLE, NOW + seconds(60))
        assert fates(group) == [Fate.SURVIVED]

    def test_one_that_goes_back_and_is_kept_after_all_is_judged_once(
        self, group: ManagedGroup
    ) -> None:
        come_up(group)
        group.let_go(ONE, ScalingReason.IDLE, NOW + seconds(60)).leaving = False
        group.look(view(cpu_1=busy()), NOW + SHORT)
        group.let_go(ONE, ScalingReason.SLICE_LOST, NOW + SHORT)
        assert fates(group) == [Fate.SURVIVED]

    def test_one_that_never_came_up_failed_to_boot(self, group: ManagedGroup) -> None:
        group.look(FleetView(), NOW)
        group.let_go(ONE, ScalingReason.BOOT_FAILED, NOW)
        group.request_failed("no stock", NOW)
        assert fates(group) == [Fate.BOOT_FAILED] * 2

    def test_one_that_was_taken_back_while_it_booted_lived_short(self, group: ManagedGroup) -> None:
        group.let_go(ONE, ScalingReason.SLICE_LOST, NOW)
        assert fates(group) == [Fate.SHORT_LIVED]

    def test_a_refusal_says_nothing_about_slices(self, group: ManagedGroup) -> None:
        group.refused("0 of 8 left", NOW)
        assert fates(group) == []
        assert group.backoff.failures == 0

    def test_losses_make_a_group_one_that_churns(
        self, new_group: Callable[[], ManagedGroup], manager: FakeVmManager
    ) -> None:
        group = new_group()
        for number in range(1, 4):
            group.adopt(manager.add_slice(), NOW)
            seen = {f"cpu_{number}": SliceOccupancy(1, 1, None)}
            group.look(view(**seen), NOW)
            group.let_go(SliceId(f"cpu-{number}"), ScalingReason.SLICE_LOST, NOW)
        group.look(FleetView(), NOW)
        assert "3 were soon lost" in group.state().churn
        assert "3 were soon lost" in group.report().problem
        group.look(FleetView(), NOW + SETTINGS.health_window)
        assert group.state().churn == ""


class TestRefusals:
    def test_only_a_request_that_finds_out_ends_it(self, group: ManagedGroup) -> None:
        before = group.ask(NOW)
        group.refused("0 of 8 left", NOW)
        group.granted(finds_out=before)
        assert group.exhausted == Exhausted("0 of 8 left", NOW + SETTINGS.interval)
        group.granted(finds_out=group.ask(NOW))
        assert group.exhausted is None

    def test_room_that_came_makes_it_ask_at_once(self, group: ManagedGroup) -> None:
        group.refused("0 of 8 left", NOW)
        group.room_came(NOW + seconds(1))
        assert group.exhausted == Exhausted("0 of 8 left", NOW + seconds(1))

    def test_it_is_forgotten_when_nobody_wants_a_slice(self, group: ManagedGroup) -> None:
        group.refused("0 of 8 left", NOW)
        group.look(FleetView(), NOW + SETTINGS.interval)
        assert group.exhausted is not None
        group.look(FleetView(), NOW + 2 * SETTINGS.interval)
        assert group.exhausted is None


class TestLeaving:
    def test_what_is_going_back_counts_against_max_slices(self, group: ManagedGroup) -> None:
        come_up(group)
        group.let_go(ONE, ScalingReason.IDLE, NOW)
        assert (group.state().slices, group.state().leaving) == ((), 1)

    def test_the_remains_of_a_lost_slice_do_not(
        self, group: ManagedGroup, manager: FakeVmManager
    ) -> None:
        come_up(group)
        manager.slices[ONE].set_state(VmState.PREEMPTED)
        group.let_go(ONE, ScalingReason.SLICE_LOST, NOW)
        assert (group.state().slices, group.state().leaving) == ((), 0)


class TestMemory:
    def test_a_slice_that_came_up_is_known_to_have_come_up(
        self,
        group: ManagedGroup,
        new_group: Callable[[], ManagedGroup],
        manager: FakeVmManager,
    ) -> None:
        come_up(group)
        later = new_group()
        later.recall(GroupMemory.from_bytes(group.memory().to_bytes()), NOW)
        for found in manager.slices.values():
            later.adopt(found, NOW + seconds(60))
        later.look(FleetView(), NOW + seconds(60))
        (one,) = later.state().slices
        assert (one.booted, one.incomplete_since) == (True, NOW + seconds(60))
        later.let_go(ONE, ScalingReason.SLICE_LOST, NOW + seconds(61))
        assert fates(later) == [Fate.SHORT_LIVED]

    def test_nothing_is_forgotten_before_it_is_known_what_there_is(
        self, group: ManagedGroup, new_group: Callable[[], ManagedGroup]
    ) -> None:
        come_up(group)
        later = new_group()
        later.recall(group.memory(), NOW)
        assert later.memory().booted == group.memory().booted
        before = later.signature()
        later.listed()
        assert later.memory().booted == {}
        assert later.signature() != before

    def test_a_new_slice_of_an_old_name_is_new(
        self,
        group: ManagedGroup,
        new_group: Callable[[], ManagedGroup],
        manager: FakeVmManager,
    ) -> None:
        come_up(group)
        later = new_group()
        later.recall(group.memory(), NOW)
        later.listed()
        later.adopt(manager.slices[ONE], NOW)
        assert not later.state().slices[0].booted

    def test_no_rest_is_longer_than_one_that_begins_now(
        self, group: ManagedGroup, new_group: Callable[[], ManagedGroup]
    ) -> None:
        """The clock was a year ahead, say."""
        ahead = NOW + timedelta(days=365)
        group.request_failed("no stock", ahead)
        group.refused("none left", ahead)
        later = new_group()
        later.recall(group.memory(), NOW)
        assert later.backoff.until == NOW + SETTINGS.backoff_max
        assert later.exhausted == Exhausted("none left", NOW + SETTINGS.interval)

    def test_its_signature_changes_when_it_does(self, group: ManagedGroup) -> None:
        seen = [group.signature()]

        def changed() -> bool:
            seen.append(group.signature())
            return seen[-1] != seen[-2]

        group.look(view(cpu_1=idle(0)), NOW)
        assert not changed()
        come_up(group)
        assert changed()
        come_up(group, NOW + SHORT)
        assert changed()
        come_up(group, NOW + SHORT + seconds(1))
        assert not changed()
        group.ask(NOW)
        assert changed()
        group.refused("none", NOW)
        assert changed()
        group.request_failed("none", NOW)
        assert changed()
        group.let_go(ONE, ScalingReason.IDLE, NOW)
        group.forget(ONE)
        assert changed()


class TestHealth:
    def test_a_platform_hears_of_workers_that_are_not_well_when_it_is_news(
        self, group: ManagedGroup, manager: FakeVmManager
    ) -> None:
        (made,) = manager.slices.values()
        sick = SliceOccupancy(1, 1, None, 1, ((WorkerId("cpu-1/0"), "disk: full"),))
        for seen in (busy(), sick, sick, busy()):
            group.look(view(cpu_1=seen), NOW)
        group.look(FleetView(), NOW)
        assert made.health == [{WorkerId("cpu-1/0"): "disk: full"}, {}]
