"""Virtual time passes only when something happens, in order."""

from datetime import timedelta

import pytest

from iris.model.errors import Internal
from iris.simulation.clock import START, Agenda, Chances, VirtualClock


def test_things_happen_in_the_order_of_their_time() -> None:
    clock, seen = VirtualClock(), []
    agenda = Agenda(clock)
    agenda.after(2.0, lambda: seen.append(("later", clock.monotonic())))
    agenda.after(1.0, lambda: seen.append(("first", clock.monotonic())))
    agenda.after(1.0, lambda: seen.append(("second", clock.monotonic())))
    while agenda.step():
        pass
    assert seen == [("first", 1.0), ("second", 1.0), ("later", 2.0)]


def test_what_is_cancelled_does_not_happen_and_takes_no_time() -> None:
    clock, seen = VirtualClock(), []
    agenda = Agenda(clock)
    agenda.after(5.0, lambda: seen.append("cancelled")).cancel()
    assert not agenda.step()
    assert seen == []
    assert clock.monotonic() == 0.0


def test_what_is_due_in_the_past_happens_now() -> None:
    clock = VirtualClock()
    agenda = Agenda(clock)
    agenda.after(3.0, lambda: None)
    agenda.step()
    agenda.at(1.0, lambda: None)
    agenda.step()
    assert clock.monotonic() == 3.0


def test_the_wall_clock_jumps_and_monotonic_time_does_not() -> None:
    clock = VirtualClock()
    clock.advance_to(10.0)
    clock.jump(-60.0)
    assert clock.now() == START + timedelta(seconds=-50)
    assert clock.monotonic() == 10.0
    clock.advance_to(5.0)
    assert clock.monotonic() == 10.0


async def test_nothing_sleeps_in_virtual_time() -> None:
    with pytest.raises(Internal, match="sleep for 1 s"):
        await VirtualClock().sleep(1.0)


def test_streams_of_random_numbers_are_independent_and_repeat() -> None:
    chances = Chances(7)
    first = [chances.of("job", 1).random() for _ in range(2)]
    assert first[0] == first[1]
    assert chances.of("job", 2).random() != first[0]
    assert Chances(8).of("job", 1).random() != first[0]
