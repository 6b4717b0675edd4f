"""Bugs outside virtual time: in the shells and in the file. Each has a check of its own instead of the
simulator, which runs the real shell on a clock that is turned by hand.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import Mock, patch

from iris.autoscaler import autoscaler as autoscaler_module
from iris.autoscaler.autoscaler import Autoscaler
from iris.autoscaler.calls import PlatformCalls
from iris.autoscaler.demand import Demand, FleetView, ScalingReport
from iris.controller.brain import Brain
from iris.controller.housekeeping import Housekeeping
from iris.controller.loop import ControlLoop
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import JobRecord
from iris.controller.store import Changes, Store, opening
from iris.controller.store.database import Database
from iris.controller.watch import WatchHub
from iris.host.clock import Clock
from iris.model.errors import DataLoss
from iris.model.fleet import ScaleGroup, VmState
from iris.model.ids import JobId, SliceId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.scheduler.policy import SchedulingPolicy
from iris.simulation.scenario import DEFAULT_AUTOSCALING
from iris.testing.clock import FakeClock, settle
from iris.testing.fake_planner import FakePlanner
from iris.testing.ids import CountedIds
from iris.testing.platform_fakes import FakeVmManager

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
    shared: list[PlatformCalls] = []

    def calls(clock: Clock, timeout: timedelta, limit: int) -> PlatformCalls:
        if not shared:
            shared.append(PlatformCalls(clock, timeout, 1))
        return shared[0]

    return patch.object(autoscaler_module, "PlatformCalls", calls)


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
