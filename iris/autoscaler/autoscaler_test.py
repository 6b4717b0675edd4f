"""The shell against a platform that is slow, hangs, fails and runs out, on a clock that is turned
by hand.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from iris.autoscaler.autoscaler import TAG_REQUEST, Autoscaler
from iris.autoscaler.demand import Demand, ScalingAction, ScalingReason, SliceOccupancy
from iris.autoscaler.scaling_cases import SETTINGS, cpu_group, demand, tpu_group
from iris.autoscaler.scene_fixture import Scene, until
from iris.model.errors import FailedPrecondition, ResourceExhausted, Unavailable
from iris.model.fleet import VmState
from iris.model.ids import JobId
from iris.model.pending import PendingCode
from iris.model.resources import Resources
from iris.testing.clock import settle
from iris.testing.platform_fakes import FakeVmGroup

IDLE_TIMEOUT = SETTINGS.idle_timeout.total_seconds()
CALL_TIMEOUT = SETTINGS.call_timeout.total_seconds()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    if made.autoscaler is not None:
        await made.autoscaler.stop()


async def test_demand_buys_and_idleness_gives_back(scene: Scene) -> None:
    cpu = scene.platform(cpu_group())
    await scene.start()
    await scene.observe(demand(tasks=4))
    assert list(cpu.slices) == ["cpu-1"]
    (up,) = scene.decisions()
    assert (up.action, up.reason, up.slice_id, up.job_id) == (
        ScalingAction.SCALE_UP,
        ScalingReason.DEMAND,
        "cpu-1",
        "/u/a",
    )
    await scene.complete()
    await scene.clock.advance(IDLE_TIMEOUT)
    assert scene.fleet.log == ["drain cpu-1", "gone cpu-1"]
    assert cpu.slices == {}
    assert scene.decisions()[-1].reason is ScalingReason.IDLE
    assert scene.report.groups[0].slices == ()


async def test_the_same_demand_buys_once_however_often_it_is_shown(scene: Scene) -> None:
    cpu = scene.platform(cpu_group())
    await scene.start()
    cpu.create_gate.clear()
    for _ in range(3):
        await scene.observe(demand(tasks=4))
    cpu.create_gate.set()
    for _ in range(3):
        await scene.observe(demand(tasks=4), cpu_1=SliceOccupancy(0, 0, None))
    assert len(cpu.bought) == 1


async def test_requests_are_labelled(scene: Scene) -> None:
    scene.settings = replace(SETTINGS, tags=(("cluster", "c1"),))
    cpu = scene.platform(cpu_group())
    await scene.start()
    await scene.observe(demand(tasks=8))
    assert cpu.tags == [
        {"cluster": "c1", TAG_REQUEST: "request-1"},
        {"cluster": "c1", TAG_REQUEST: "request-2"},
    ]


async def test_with_nothing_to_do_it_waits_for_nothing_but_news(scene: Scene) -> None:
    scene.platform(cpu_group())
    await scene.start()
    await settle()
    assert scene.clock.sleepers == 0
    reports = len(scene.fleet.reports)
    await scene.clock.advance(1_000_000)
    assert len(scene.fleet.reports) == reports


async def test_it_sleeps_no_longer_than_until_the_plan_would_change(scene: Scene) -> None:
    scene.platform(cpu_group(least=1))
    await scene.start()
    await until(lambda: scene.clock.sleepers == 1)
    await scene.clock.advance(SETTINGS.boot_timeout.total_seconds() - 1)
    assert scene.decisions(ScalingAction.SCALE_DOWN) == []
    await scene.clock.advance(1)
    assert [one.reason for one in scene.decisions(ScalingAction.SCALE_DOWN)] == [
        ScalingReason.BOOT_FAILED
    ]


async def test_news_of_many_slices_is_gathered(scene: Scene) -> None:
    scene.settings = replace(SETTINGS, max_parallel_calls=1_000)
    cpu = scene.platform(cpu_group(cores=1, most=400))
    await scene.start()
    await scene.observe(demand(tasks=400))
    assert len(cpu.bought) == 400
    await scene.clock.advance(1.0)
    before = len(scene.fleet.reports)
    for one in cpu.bought:
        one.set_state(VmState.BOOTING)
        await settle(2)
    assert len(scene.fleet.reports) - before <= 1
    await scene.clock.advance(1.0)
    assert {one.state for one in scene.report.groups[0].slices} == {VmState.BOOTING}


class TestSlowPlatforms:
    async def test_a_hanging_call_holds_up_no_other_group(self, scene: Scene) -> None:
        slow = scene.platform(cpu_group("slow", cores=1, most=1, priority=1))
        slow.create_gate.clear()
        fast = scene.platform(cpu_group("fast", cores=1))
        await scene.start()
        await scene.observe(demand(tasks=3))
        assert (len(slow.bought), len(fast.bought)) == (0, 2)

    async def test_it_ends_at_its_deadline_and_the_group_rests(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group())
        cpu.create_gate.clear()
        await scene.start()
        await scene.observe(demand())
        await scene.clock.advance(CALL_TIMEOUT)
        assert "did not end within 30 s" in scene.report.groups[0].problem
        assert scene.report.outlook[JobId("/u/a")].code is PendingCode.GROUP_BACKOFF
        cpu.create_gate.set()
        assert len(cpu.tags) == 1
        await scene.clock.advance(SETTINGS.backoff_min.total_seconds())
        assert (len(cpu.tags), len(cpu.bought)) == (2, 1)

    async def test_a_slice_that_was_bought_all_the_same_is_found(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group())
        cpu.hang_after_create = True
        await scene.start()
        await scene.observe(demand())
        await scene.clock.advance(CALL_TIMEOUT)
        await scene.clock.advance(SETTINGS.backoff_max.total_seconds())
        assert [one.slice_id for one in scene.report.groups[0].slices] == ["cpu-1"]
        assert len(cpu.bought) == 1

    async def test_a_slice_whose_call_did_not_answer_is_looked_for_until_it_is_known(
        self, scene: Scene
    ) -> None:
        cpu = scene.platform(cpu_group())
        cpu.hang_after_create = True
        await scene.start()
        await scene.observe(demand())
        cpu.discover_errors += [Unavailable("no answer")] * 2
        await scene.clock.advance(CALL_TIMEOUT)
        assert scene.report.groups[0].slices == ()
        for _ in range(3):
            await scene.clock.advance(SETTINGS.backoff_max.total_seconds())
        assert [one.slice_id for one in scene.report.groups[0].slices] == ["cpu-1"]

    async def test_only_so_many_calls_at_once(self, scene: Scene) -> None:
        scene.settings = replace(SETTINGS, max_parallel_calls=3)
        cpu = scene.platform(cpu_group(cores=1))
        cpu.create_gate.clear()
        await scene.start()
        await scene.observe(demand(tasks=10))
        assert cpu.most_creating == 3
        cpu.create_gate.set()
        await until(lambda: len(cpu.bought) == 10)
        assert cpu.most_creating == 3

    async def test_many_slices_are_ended_side_by_side(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group(cores=1, most=12))
        await scene.start()
        await scene.observe(demand(tasks=12))
        await scene.complete()
        for one in cpu.bought:
            one.terminate_gate.clear()
            one.set_state(VmState.PREEMPTED)
        await settle()
        assert [one.terminations for one in cpu.bought] == [1] * 12
        # Their attempts are known to be lost though no call has come back yet.
        assert scene.fleet.log == [f"gone {one.slice_id}" for one in cpu.bought]


class TestFailures:
    async def test_a_failed_call_makes_the_group_rest_longer_each_time(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group())
        cpu.create_errors = [Unavailable("no stock")] * 3
        await scene.start()
        await scene.observe(demand())
        for calls, rest in ((1, 5), (2, 10), (3, 20)):
            assert len(cpu.tags) == calls
            await scene.clock.advance(rest - 1)
            assert len(cpu.tags) == calls
            await scene.clock.advance(1)
        assert len(cpu.bought) == 1
        await scene.complete()
        # One that came up halves the row, and the next ends it.
        assert scene.report.groups[0].problem == "no stock"
        await scene.observe(demand(tasks=8), cpu_1=SliceOccupancy(1, 1, None))
        await scene.complete()
        assert "3 failed to boot" in scene.report.groups[0].problem

    async def test_an_exception_nobody_thought_of_is_a_failed_call(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group())
        cpu.create_errors = [KeyError("zone")]
        await scene.start()
        await scene.observe(demand())
        assert "KeyError: 'zone'" in scene.report.groups[0].problem
        await scene.clock.advance(5)
        assert len(cpu.bought) == 1

    async def test_that_a_platform_accepts_a_request_does_not_end_the_row(
        self, scene: Scene
    ) -> None:
        cpu = scene.platform(cpu_group())
        await scene.start()
        await scene.observe(demand())
        cpu.bought[0].set_state(VmState.FAILED, "kernel panic")
        await settle()
        assert "kernel panic" in scene.report.groups[0].problem
        await scene.clock.advance(5)
        assert len(cpu.bought) == 2
        cpu.bought[1].set_state(VmState.FAILED, "kernel panic")
        await settle()
        await scene.clock.advance(9)
        assert len(cpu.bought) == 2
        await scene.clock.advance(1)
        assert len(cpu.bought) == 3

    async def test_a_lost_slice_is_told_cleared_away_and_replaced(self, scene: Scene) -> None:
        tpu = scene.platform(tpu_group(most=1))
        await scene.start()
        wanted = Demand(JobId("/u/g"), Resources(100), (), None, 1)
        await scene.observe(wanted)
        await scene.complete()
        first = tpu.bought[0]
        first.set_state(VmState.PREEMPTED, "maintenance")
        await scene.observe(wanted)
        assert scene.fleet.log == ["gone tpu-1"]
        assert first.terminations == 1
        assert list(tpu.slices) == ["tpu-2"]
        lost = [one for one in scene.decisions() if one.reason is ScalingReason.SLICE_LOST]
        assert "maintenance" in lost[0].summary

    async def test_after_a_slice_was_taken_back_while_it_booted_one_is_tried(
        self, scene: Scene
    ) -> None:
        cpu = scene.platform(cpu_group(cores=1))
        await scene.start()
        await scene.observe(demand(tasks=3))
        for one in tuple(cpu.slices.values()):
            one.set_state(VmState.PREEMPTED)
        await scene.observe(demand(tasks=3))
        assert len(cpu.bought) == 3
        await scene.clock.advance(SETTINGS.interval.total_seconds())
        # One found out that there is capacity again, and the others followed.
        assert len(cpu.slices) == 3
        assert len(cpu.bought) == 6

    async def test_what_cannot_be_ended_is_tried_until_it_can(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group(most=1))
        await scene.start()
        await scene.observe(demand())
        await scene.complete()
        one = cpu.bought[0]
        one.terminate_errors = [Unavailable("busy"), RuntimeError("bug")]
        await scene.clock.advance(IDLE_TIMEOUT)
        assert (one.terminations, scene.fleet.log) == (1, ["drain cpu-1"])
        (shown,) = scene.report.groups[0].slices
        assert (shown.state, shown.problem) == (VmState.STOPPING, "it could not be ended: busy")
        await scene.clock.advance(5)
        assert one.terminations == 2
        await scene.clock.advance(10)
        assert (one.terminations, scene.fleet.log) == (3, ["drain cpu-1", "gone cpu-1"])

    async def test_a_hanging_end_is_cancelled_and_tried_again(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group())
        await scene.start()
        await scene.observe(demand())
        await scene.complete()
        cpu.bought[0].terminate_gate.clear()
        await scene.clock.advance(IDLE_TIMEOUT)
        await scene.clock.advance(CALL_TIMEOUT)
        cpu.bought[0].terminate_gate.set()
        await scene.clock.advance(SETTINGS.backoff_min.total_seconds())
        assert cpu.slices == {}
        assert scene.fleet.log[-1] == "gone cpu-1"

    async def test_workers_that_come_too_late_do_not_end_the_row(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group())
        await scene.start()
        await scene.observe(demand())
        cpu.bought[0].terminate_gate.clear()
        await scene.clock.advance(SETTINGS.boot_timeout.total_seconds())
        assert cpu.bought[0].terminations == 1
        await scene.complete(demand())
        assert scene.report.outlook[JobId("/u/a")].code is PendingCode.GROUP_BACKOFF


class TestQuota:
    async def test_a_used_up_budget_is_told_and_not_asked_again_at_once(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group(cores=1))
        cpu.create_errors = [
            None,
            ResourceExhausted("1 of 1 cores in use"),
            ResourceExhausted("again"),
        ]
        await scene.start()
        await scene.observe(demand(tasks=2))
        assert (len(cpu.bought), len(cpu.tags)) == (1, 2)
        held = scene.decisions(ScalingAction.HOLD)
        assert [one.reason for one in held] == [ScalingReason.QUOTA]
        assert "1 of 1 cores in use" in held[0].summary
        await scene.observe(demand(tasks=2))
        assert len(cpu.tags) == 2
        await scene.clock.advance(SETTINGS.interval.total_seconds())
        assert len(cpu.tags) == 3
        assert len(scene.decisions(ScalingAction.HOLD)) == 1

    async def test_it_is_asked_again_as_soon_as_a_slice_of_any_group_has_gone(
        self, scene: Scene
    ) -> None:
        scene.settings = replace(SETTINGS, interval=SETTINGS.boot_timeout)
        other = scene.platform(cpu_group("other", cores=1, priority=1, most=1))
        cpu = scene.platform(cpu_group("cpu", cores=8))
        await scene.start()
        await scene.observe(demand())
        cpu.create_errors = [ResourceExhausted("no cores left")]
        large = demand("large", Resources(8000))
        await scene.complete(large)
        assert cpu.bought == []
        await scene.clock.advance(IDLE_TIMEOUT)
        assert other.slices == {}
        assert len(cpu.bought) == 1

    async def test_another_group_takes_over(self, scene: Scene) -> None:
        first = scene.platform(cpu_group("first", priority=1))
        second = scene.platform(cpu_group("second", priority=2))
        first.create_errors = [ResourceExhausted("quota")]
        await scene.start()
        await scene.observe(demand())
        assert (len(first.bought), len(second.bought)) == (0, 1)

    async def test_min_slices_that_cannot_be_had_are_told_as_well(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group(least=1))
        cpu.create_errors = [ResourceExhausted("quota")]
        await scene.start()
        await settle()
        assert scene.decisions()[0].reason is ScalingReason.QUOTA
        await scene.clock.advance(SETTINGS.interval.total_seconds())
        assert len(cpu.bought) == 1


class TestGivingBack:
    async def test_a_slice_that_has_work_after_all_is_kept(self, scene: Scene) -> None:
        scene.platform(cpu_group())
        await scene.start()
        await scene.observe(demand())
        await scene.complete()
        scene.fleet.working.add("cpu-1")
        await scene.clock.advance(IDLE_TIMEOUT)
        assert scene.fleet.log == ["drain cpu-1"]
        await scene.clock.advance(IDLE_TIMEOUT)
        assert scene.fleet.log == ["drain cpu-1"]
        assert scene.decisions(ScalingAction.SCALE_DOWN) == []
        assert scene.report.groups[0].slices[0].state is VmState.READY

    async def test_it_is_asked_for_again_once_there_is_news(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group())
        await scene.start()
        await scene.observe(demand())
        await scene.complete()
        scene.fleet.working.add("cpu-1")
        await scene.clock.advance(IDLE_TIMEOUT)
        scene.fleet.working.clear()
        await scene.complete()
        await scene.clock.advance(IDLE_TIMEOUT)
        assert cpu.slices == {}

    async def test_no_task_is_left_of_a_slice_that_has_gone(self, scene: Scene) -> None:
        scene.platform(cpu_group())
        await scene.start()
        await settle()
        before = len(asyncio.all_tasks())
        await scene.observe(demand())
        await scene.complete()
        await scene.clock.advance(IDLE_TIMEOUT)
        assert scene.fleet.log[-1] == "gone cpu-1"
        assert len(asyncio.all_tasks()) == before

    async def test_idle_slices_go_back_all_at_once(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group(cores=1))
        await scene.start()
        await scene.observe(demand(tasks=10))
        await scene.complete()
        for one in cpu.bought:
            one.terminate_gate.clear()
        await scene.clock.advance(IDLE_TIMEOUT)
        assert [one.terminations for one in cpu.bought] == [1] * 10


class TestStart:
    async def test_slices_from_before_are_adopted(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group())
        found = cpu.add_slice()
        autoscaler = await scene.start()
        await scene.observe(demand())
        assert len(cpu.bought) == 1
        assert [one.slice_id for one in autoscaler.report().groups[0].slices] == [found.slice_id]
        await scene.complete()
        await scene.clock.advance(IDLE_TIMEOUT)
        assert found.terminations == 1

    async def test_nothing_is_bought_before_it_is_known_what_there_is(self, scene: Scene) -> None:
        cpu = scene.platform(cpu_group())
        cpu.add_slice()
        cpu.discover_errors = [Unavailable("the cloud is away"), Unavailable("still")]
        await scene.start()
        await scene.observe(demand(tasks=8))
        assert scene.report.groups[0].problem == "its slices could not be listed: the cloud is away"
        await scene.clock.advance(5)
        assert len(cpu.bought) == 1
        await scene.clock.advance(10)
        # One was there already, one more is needed.
        assert len(cpu.bought) == 2
        assert len(scene.report.groups[0].slices) == 2

    async def test_only_once(self, scene: Scene) -> None:
        autoscaler = await scene.start()
        with pytest.raises(FailedPrecondition):
            await autoscaler.start(scene.fleet)


class TestEnd:
    async def test_stop_leaves_no_task_whatever_was_under_way(self, scene: Scene) -> None:
        before = asyncio.all_tasks()
        cpu = scene.platform(cpu_group(cores=1))
        autoscaler = await scene.start()
        await scene.observe(demand(tasks=2))
        await scene.complete()
        cpu.bought[0].terminate_gate.clear()
        await scene.clock.advance(IDLE_TIMEOUT)
        cpu.create_gate.clear()
        await scene.observe(demand(tasks=5))
        assert len(asyncio.all_tasks()) > len(before) + 3
        await autoscaler.stop()
        await autoscaler.stop()
        assert asyncio.all_tasks() == before
        assert cpu.bought[0].slice_id in cpu.slices

    async def test_stop_without_start(self, scene: Scene) -> None:
        await Autoscaler([], SETTINGS, clock=scene.clock, ids=scene.ids).stop()

    async def test_an_unexpected_exception_ends_everything_and_is_told(self, scene: Scene) -> None:
        scene.platform(cpu_group())
        before = asyncio.all_tasks()
        autoscaler = await scene.start()
        scene.fleet.broken = ZeroDivisionError("a bug")
        await scene.observe(demand())
        async with asyncio.timeout(30):
            error = await autoscaler.wait_failed()
        assert isinstance(error, BaseExceptionGroup)
        assert error.subgroup(ZeroDivisionError) is not None
        assert asyncio.all_tasks() == before

    async def test_being_stopped_is_no_failure(self, scene: Scene) -> None:
        autoscaler = await scene.start()
        failed = asyncio.create_task(autoscaler.wait_failed())
        await autoscaler.stop()
        await settle()
        assert not failed.done()
        failed.cancel()


class TestAnswers:
    async def test_fitting_groups(self, scene: Scene) -> None:
        scene.platform(cpu_group("b"))
        scene.platform(cpu_group("a", priority=1))
        autoscaler = await scene.start()
        assert autoscaler.fitting_groups(demand()) == (("a", "b"), None)
        none, reason = autoscaler.fitting_groups(demand("x", Resources(5000)))
        assert none == ()
        assert reason is not None
        assert reason.code is PendingCode.NO_GROUP_FITS

    async def test_a_report_is_told_only_when_it_is_another_one(self, scene: Scene) -> None:
        scene.platform(cpu_group(most=1))
        await scene.start()
        await scene.observe(demand(tasks=9))
        reports = len(scene.fleet.reports)
        for _ in range(5):
            await scene.observe(demand(tasks=9))
        assert len(scene.fleet.reports) == reports

    async def test_a_hold_is_recorded_once_and_again_when_its_reason_changes(
        self, scene: Scene
    ) -> None:
        cpu = scene.platform(cpu_group(most=1))
        cpu.create_errors = [Unavailable("no stock")]
        await scene.start()
        for _ in range(3):
            await scene.observe(demand(tasks=9))
        await scene.clock.advance(5)
        await scene.complete(demand(tasks=9))
        jobs_holds = [one.reason for one in scene.decisions(ScalingAction.HOLD)]
        assert jobs_holds == [
            ScalingReason.AT_MAX_SLICES,
            ScalingReason.BOOT_FAILED,
            ScalingReason.BACKING_OFF,
            ScalingReason.AT_MAX_SLICES,
        ]


async def test_a_change_of_a_slice_wakes_it(scene: Scene) -> None:
    cpu = scene.platform(cpu_group())
    await scene.start()
    await scene.observe(demand())
    one: FakeVmGroup = cpu.bought[0]
    one.set_state(VmState.BOOTING)
    await settle()
    assert scene.report.groups[0].slices[0].state is VmState.BOOTING
