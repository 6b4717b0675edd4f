"""What a turn does though nothing of it needs a store or a stream."""

from datetime import timedelta
from random import Random

from iris.controller.brain import Brain
from iris.controller.state import events
from iris.controller.state.machine import ControllerState
from iris.controller.state.scenario import WORKER_TOTAL
from iris.model.ids import SliceId, WorkerId
from iris.scheduler.policy import SchedulingPolicy
from iris.testing.clock import FakeClock
from iris.testing.ids import CountedIds

LOST_AFTER = 30.0


def attached(clock: FakeClock) -> events.WorkerAttached:
    return events.WorkerAttached(
        clock.now(), WorkerId("w"), "one", SliceId("s"), "cpu", WORKER_TOTAL, (), "", "", "", (), (), 0.5
    )  # fmt: skip


async def test_a_worker_that_was_forgotten_between_its_hello_and_its_turn_is_watched() -> None:
    clock = FakeClock()
    brain = Brain(
        ControllerState(),
        SchedulingPolicy(),
        clock=clock,
        ids=CountedIds(),
        chance=Random(0),
        lost_after=LOST_AFTER,
        retention=timedelta(days=1),
    )
    brain.apply(attached(clock))
    brain.finish()
    # It says Hello again; before that has its turn, the slice is gone and so is the worker.
    brain.silence.heard(WorkerId("w"), clock.monotonic())
    brain.apply(events.SliceGone(clock.now(), SliceId("s"), "taken back", 0.5))
    brain.apply(attached(clock))
    brain.finish()
    await clock.advance(LOST_AFTER)
    lost = [event for event in brain.finish().events if isinstance(event, events.WorkerLost)]
    assert [event.worker_id for event in lost] == ["w"]
    assert len(brain.state.fleet) == 0
