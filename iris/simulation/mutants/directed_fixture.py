"""Bugs outside virtual time: in the shells and in the file. Each has a check of its own instead of the
simulator, which runs the real shell on a clock that is turned by hand.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import Mock, patch

from iris.autoscaler import autoscaler as autoscaler_module
from iris.autoscaler.autoscaler import Autoscaler
from iris.autoscaler.calls import GroupCalls, PlatformCalls
from iris.autoscaler.demand import Demand, FleetView, ScalingReport, SliceOccupancy
from iris.autoscaler.groups import GroupState
from iris.autoscaler.slices import ManagedGroup
from iris.controller.brain import Brain
from iris.controller.housekeeping import Housekeeping
from iris.controller.loop import ControlLoop
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import JobRecord
from iris.controller.store import Changes, Store, StoredScalingMemory, opening
from iris.controller.store.database import Database
from iris.controller.watch import WatchHub
from iris.host.clock import Clock
from iris.model.errors import DataLoss, Unavailable
from iris.model.fleet import ScaleGroup, VmState
from iris.model.ids import JobId, SliceId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.scheduler.policy import SchedulingPolicy
from iris.simulation.scenario import DEFAULT_AUTOSCALING
from iris.testing.clock import FakeClock, settle
from iris.testing.fake_planner import FakePlanner
from iris.testing.ids import CountedIds
from iris.testing.platform_fakes import FakeVmGroup, FakeVmManager

_CORE = Resources(1_000)


@dataclass(frozen=True, slots=True)
class DirectedMutant:
    """See Mutant. `check` gets an empty folder, and fails with an AssertionError if the bug is there."""

    name: str
    story: str
    put_back: Callable[[], AbstractContextManager[object]]
    check: Callable[[Path], None]


class _Fleet:
    """Says yes to everything."""

    async def drain_slice(self, slice_id: SliceId) -> bool:
        """See Fleet."""
        return True

    async def slice_gone(self, slice_id: SliceId, reason: str) -> None:
        """See Fleet."""

    def scaling_changed(self, report: ScalingReport) -> None:
        """See Fleet."""


def _managers(*names: str, most: int) -> tuple[FakeClock, list[FakeVmManager]]:
    clock, ids = FakeClock(), CountedIds()
    groups = [ScaleGroup(name, "fake", _CORE, max_slices=most) for name in names]
    return clock, [FakeVmManager(group, clock=clock, ids=ids) for group in groups]


def _check_deletes(folder: Path) -> None:
    """Many slices are lost at once, and to end the first of them takes for ever."""
    asyncio.run(_many_deletes())


async def _many_deletes() -> None:
    clock, (manager,) = _managers("cpu", most=54)
    slices = [manager.add_slice() for _ in range(54)]
    autoscaler = Autoscaler([manager], DEFAULT_AUTOSCALING, clock=clock, ids=CountedIds())
    await autoscaler.start(_Fleet())
    slices[0].terminate_gate.clear()
    for one in slices:
        one.set_state(VmState.PREEMPTED)
    for _ in range(100):
        await settle()
    left = len(manager.slices)
    await autoscaler.stop()
    assert left == 1, f"{left} of 54 slices wait behind one that cannot be ended"


def _check_replacement(folder: Path) -> None:
    """All slices are lost and cannot be ended; others come in their places nevertheless."""
    asyncio.run(_lost_and_replaced())


async def _lost_and_replaced() -> None:
    clock, (manager,) = _managers("cpu", most=8)
    slices = [manager.add_slice() for _ in range(8)]
    settings = replace(DEFAULT_AUTOSCALING, max_parallel_calls=4)
    autoscaler = Autoscaler([manager], settings, clock=clock, ids=CountedIds())
    await autoscaler.start(_Fleet())
    complete = SliceOccupancy(1, 0, clock.now())
    autoscaler.observe(FleetView(slices={one.slice_id: complete for one in slices}))
    await settle()
    for one in slices:
        one.terminate_gate.clear()
        one.set_state(VmState.PREEMPTED)
    await settle()
    autoscaler.observe(FleetView((Demand(JobId("/a/one"), _CORE, (), None, 8),)))
    for _ in range(20):
        await settle()
    bought = len(manager.bought) - len(slices)
    await autoscaler.stop()
    assert bought == 8, f"{bought} of 8 slices that were lost are replaced"


def _check_strangers(folder: Path) -> None:
    """A platform's answer names a slice of another kind: it is not ours to end."""
    asyncio.run(_stranger())


async def _stranger() -> None:
    clock, (ours, theirs) = _managers("cpu", "other", most=1)
    stranger = theirs.add_slice()
    ours.slices[stranger.slice_id] = stranger
    autoscaler = Autoscaler([ours], DEFAULT_AUTOSCALING, clock=clock, ids=CountedIds())
    await autoscaler.start(_Fleet())
    await clock.advance(DEFAULT_AUTOSCALING.boot_timeout.total_seconds())
    await autoscaler.stop()
    assert not stranger.terminations, "a slice that is not ours was ended"


def _check_restart(folder: Path) -> None:
    """A platform fails; a new process of the controller goes on resting."""
    asyncio.run(_restarted(folder / "controller.db"))


async def _restarted(path: Path) -> None:
    clock, (manager,) = _managers("cpu", most=1)
    manager.create_errors = [Unavailable("no stock")]
    for _ in range(2):
        store = Store.open(path)
        memory = StoredScalingMemory(lambda store=store: store)  # type: ignore[misc]
        autoscaler = Autoscaler(
            [manager], DEFAULT_AUTOSCALING, clock=clock, ids=CountedIds(), memory=memory
        )
        await autoscaler.start(_Fleet())
        autoscaler.observe(FleetView((Demand(JobId("/a/one"), _CORE, (), None, 1),)))
        await settle()
        await autoscaler.stop()
        store.close()
    assert not manager.bought, "the second process asked at once"


def _check_groups(folder: Path) -> None:
    """A platform that does not answer holds nobody up but itself."""
    asyncio.run(_hanging_platform())


async def _hanging_platform() -> None:
    clock, (hanging, quick) = _managers("hanging", "quick", most=1)
    autoscaler = Autoscaler([hanging, quick], DEFAULT_AUTOSCALING, clock=clock, ids=CountedIds())
    await autoscaler.start(_Fleet())
    hanging.create_gate.clear()
    demands = (Demand(JobId("/a/one"), _CORE, (), None, 2),)
    autoscaler.observe(FleetView(demands))
    for _ in range(20):
        await settle()
    bought = len(quick.bought)
    await autoscaler.stop()
    assert bought == 1, "nothing is bought of one platform while another does not answer"


def _check_loop(folder: Path) -> None:
    """Whatever goes wrong in the controller's loop is known to its process."""
    asyncio.run(_broken_loop(folder))


async def _broken_loop(folder: Path) -> None:
    store = Store.open(folder / "controller.db")
    clock, planner = FakeClock(), FakePlanner()
    brain = Brain(
        ControllerState(),
        SchedulingPolicy(),
        clock=clock,
        ids=CountedIds(),
        chance=Random(0),
        lost_after=30.0,
        retention=timedelta(days=1),
    )

    def breaks(view: FleetView) -> None:
        raise ZeroDivisionError("a bug")

    loop = ControlLoop(brain, store, planner, WatchHub(), Mock(spec=Housekeeping), clock=clock)
    with patch.object(planner, "observe", breaks):
        loop.start()
        assert loop._task is not None
        await asyncio.wait([loop._task])
    problem = loop.problem
    store.close()
    assert "a bug" in problem, "the loop has ended and nobody knows"


def _check_file(folder: Path) -> None:
    """A file that is damaged is not taken for the truth."""
    path = folder / "controller.db"
    database = Database.open(path, durable=False)
    spec = JobSpec(Entrypoint(("true",)), _CORE, env=(("TEXT", "x" * 3_000),))
    at = FakeClock().now()
    jobs = tuple(JobRecord(JobId(f"/a/job-{n}"), n, spec, at) for n in range(1, 50))
    database.commit((), Changes(jobs=jobs, next_number=50))
    database.close()
    content = bytearray(path.read_bytes())
    for at_byte in range(len(content) // 2, len(content) // 2 + 40_000):
        content[at_byte] ^= 0x5A
    path.write_bytes(content)
    try:
        Database.open(path, durable=False).close()
    except DataLoss:
        return
    raise AssertionError("a damaged file was opened")


def _one_call_at_a_time() -> AbstractContextManager[object]:
    make = PlatformCalls.__init__

    def narrow(self: PlatformCalls, clock: Clock, timeout: timedelta, limit: int) -> None:
        make(self, clock, timeout, 1)

    return patch.object(PlatformCalls, "__init__", narrow)


def _all_platforms_in_line() -> AbstractContextManager[object]:
    shared: list[GroupCalls] = []

    def calls(clock: Clock, timeout: timedelta, limit: int) -> GroupCalls:
        if not shared:
            shared.append(GroupCalls(clock, timeout, 1))
        return shared[0]

    return patch.object(autoscaler_module, "GroupCalls", calls)


def _clear_away_first() -> AbstractContextManager[object]:
    make = GroupCalls.__init__

    def one_line(self: GroupCalls, clock: Clock, timeout: timedelta, limit: int) -> None:
        make(self, clock, timeout, limit)
        self.asking = self.others

    return patch.object(GroupCalls, "__init__", one_line)


def _remains_keep_their_places() -> AbstractContextManager[object]:
    state = ManagedGroup.state

    def full(self: ManagedGroup) -> GroupState:
        return replace(state(self), leaving=sum(one.leaving for one in self.slices.values()))

    return patch.object(ManagedGroup, "state", full)


async def _nothing_is_kept(self: StoredScalingMemory) -> dict[str, bytes]:
    return {}


def _any_slice_is_ours() -> AbstractContextManager[object]:
    return patch.object(FakeVmGroup, "scale_group", property(lambda self: "cpu"))


def _quiet_end() -> AbstractContextManager[object]:
    async def quiet(self: Any) -> None:
        try:
            while not self._stopping:
                await self._turn()
                await self._wait()
        except Exception:  # noqa: BLE001 - the bug: nobody is told
            return

    return patch.object(ControlLoop, "_run", quiet)


@contextmanager
def _anything_is_opened() -> Iterator[None]:
    with ExitStack() as patches:
        for name in ("examine", "_check_rows"):
            patches.enter_context(patch.object(opening, name, lambda *arguments, **more: None))
        yield


DIRECTED: tuple[DirectedMutant, ...] = (
    DirectedMutant(
        "slices are ended one after the other",
        "After a wave of preemptions the remains are cleared away in line; one that hangs holds up "
        "all others.",
        _one_call_at_a_time,
        _check_deletes,
    ),
    DirectedMutant(
        "remains are cleared away first",
        "After a wave of preemptions, requests for new slices wait behind the calls that end the old.",
        _clear_away_first,
        _check_replacement,
    ),
    DirectedMutant(
        "remains keep their places",
        "A slice that was lost counts against max_slices until the platform has cleared it away.",
        _remains_keep_their_places,
        _check_replacement,
    ),
    DirectedMutant(
        "any slice is ours",
        "What a platform lists by mistake is adopted, and ended because it does not come up.",
        _any_slice_is_ours,
        _check_strangers,
    ),
    DirectedMutant(
        "a new process knows nothing",
        "Every restart of the controller asks a platform that fails, as if nothing had been.",
        lambda: patch.object(StoredScalingMemory, "load", _nothing_is_kept),
        _check_restart,
    ),
    DirectedMutant(
        "one platform holds up all",
        "A call to a cloud that does not answer keeps every other group from being served.",
        _all_platforms_in_line,
        _check_groups,
    ),
    DirectedMutant(
        "the loop ends quietly",
        "An exception ends the controller's loop; the process goes on as if nothing had happened.",
        _quiet_end,
        _check_loop,
    ),
    DirectedMutant(
        "a damaged file is loaded",
        "The stored state is corrupt, and the controller starts with it.",
        _anything_is_opened,
        _check_file,
    ),
)
