"""Which faults a scenario has: how many of each kind, when, and how bad."""

from collections.abc import Callable, Collection
from random import Random

from iris.simulation.clock import Chances
from iris.simulation.scenario import CrashPoint, Fault, FaultKind

# Everything is well at first, so that there is something to lose.
_FIRST_SECONDS = 20.0


def plan_faults(
    chances: Chances, kinds: Collection[FaultKind], seconds: float
) -> tuple[Fault, ...]:
    """All within the time given; one list for each kind, from a stream of its own."""
    faults: list[Fault] = []
    for kind in FaultKind:
        if kind not in kinds:
            continue
        chance = chances.of("faults", kind.value)
        most, make = _KINDS[kind]
        for number in range(chance.randint(1, most)):
            at = round(chance.uniform(_FIRST_SECONDS, seconds), 2)
            lasts, amount, target = make(chance)
            lasts = round(min(lasts, seconds + 60 - at), 2)
            faults.append(
                Fault(f"{kind.value} {number}", kind, at, lasts, round(amount, 3), target)
            )
    return tuple(sorted(faults, key=lambda fault: (fault.at, fault.name)))


_Make = Callable[[Random], tuple[float, float, str]]


def _window(shortest: float, longest: float, least: float, most: float) -> _Make:
    def make(chance: Random) -> tuple[float, float, str]:
        return chance.uniform(shortest, longest), chance.uniform(least, most), ""

    return make


def _of_a_group(make: _Make) -> _Make:
    def narrowed(chance: Random) -> tuple[float, float, str]:
        lasts, amount, _ = make(chance)
        return lasts, amount, chance.choice(("", "cpu", "spot", "pair", "pod"))

    return narrowed


def _at_once(least: float, most: float) -> _Make:
    return _of_a_group(lambda chance: (0.0, chance.uniform(least, most), ""))


def _restart(chance: Random) -> tuple[float, float, str]:
    return chance.choice((0.5, 3.0, 45.0)), chance.uniform(0.1, 0.6), ""


def _unhealthy(chance: Random) -> tuple[float, float, str]:
    return chance.choice((2.0, 20.0, 90.0)), chance.uniform(0.1, 0.6), ""


def _drain(chance: Random) -> tuple[float, float, str]:
    return chance.choice((5.0, 40.0, 150.0)), chance.uniform(0.1, 0.4), ""


def _crash(chance: Random) -> tuple[float, float, str]:
    return chance.choice((0.5, 5.0, 40.0)), 0.0, chance.choice(tuple(CrashPoint)).value


def _jump(chance: Random) -> tuple[float, float, str]:
    return 0.0, chance.choice((-600.0, -30.0, -1.0, 1.0, 30.0, 200.0)), ""


# How many at most, and how bad.
_KINDS: dict[FaultKind, tuple[int, _Make]] = {
    FaultKind.LOSE: (3, _window(5.0, 60.0, 0.01, 0.3)),
    FaultKind.DELAY: (2, _window(10.0, 60.0, 0.1, 5.0)),
    FaultKind.DOUBLE: (2, _window(10.0, 90.0, 0.05, 0.5)),
    FaultKind.REORDER: (2, _window(10.0, 90.0, 0.05, 0.3)),
    FaultKind.PARTITION: (3, _window(3.0, 70.0, 0.1, 0.8)),
    FaultKind.BREAK_STREAMS: (4, _at_once(0.1, 1.0)),
    FaultKind.RESTART_WORKERS: (3, _restart),
    FaultKind.KILL_VMS: (2, _at_once(0.05, 0.3)),
    FaultKind.PREEMPT_SLICES: (3, _at_once(0.1, 0.7)),
    FaultKind.REFUSE_SLICES: (2, _of_a_group(_window(10.0, 90.0, 1.0, 1.0))),
    FaultKind.FAIL_BOOTS: (2, _of_a_group(_window(10.0, 120.0, 0.3, 1.0))),
    FaultKind.SLOW_CLOUD: (2, _window(10.0, 90.0, 1.0, 80.0)),
    FaultKind.SHORT_LIVED_SLICES: (1, _of_a_group(_window(20.0, 120.0, 0.2, 0.9))),
    FaultKind.SCARCE_SLICES: (2, _of_a_group(_window(20.0, 120.0, 0.2, 0.9))),
    FaultKind.UNHEALTHY_WORKERS: (2, _unhealthy),
    FaultKind.DRAIN_WORKERS: (2, _drain),
    FaultKind.CRASH_CONTROLLER: (4, _crash),
    FaultKind.JUMP_CLOCK: (2, _jump),
}
