"""What goes wrong at one moment: machines, slices, streams, the controller, the clock."""

from collections.abc import Callable
from random import Random

from iris.model.fleet import VmState
from iris.model.ids import WorkerId
from iris.simulation.clock import Agenda, Chances, VirtualClock
from iris.simulation.cloud import Cloud, SimulatedSlice, SimulatedVm
from iris.simulation.scenario import CrashPoint, Fault, FaultKind
from iris.simulation.weather import WINDOWS

# Of the workers that are started anew, so many say goodbye.
_POLITE = 0.3


class Striker:
    """Puts the faults of a scenario on the agenda.

    Attributes:
        struck: How often each kind hit something.
    """

    def __init__(
        self,
        faults: tuple[Fault, ...],
        cloud: Cloud,
        *,
        agenda: Agenda,
        clock: VirtualClock,
        chances: Chances,
        restart: Callable[[float], None],
        drain: Callable[[WorkerId, float], None],
    ) -> None:
        self.struck: dict[FaultKind, int] = dict.fromkeys(FaultKind, 0)
        self._cloud = cloud
        self._clock = clock
        self._chances = chances
        self._restart = restart
        self._drain = drain
        self._armed: list[tuple[CrashPoint, float]] = []
        for fault in faults:
            if fault.kind not in WINDOWS:
                agenda.at(fault.at, lambda fault=fault: self._strike(fault))  # type: ignore[misc]

    def crash_due(self, point: CrashPoint) -> bool:
        """Whether the controller dies here; it is restarted."""
        for armed in self._armed:
            if armed[0] is point:
                self._armed.remove(armed)
                self.struck[FaultKind.CRASH_CONTROLLER] += 1
                self._restart(armed[1])
                return True
        return False

    def _strike(self, fault: Fault) -> None:
        chance = self._chances.of(fault.name)
        match fault.kind:
            case FaultKind.CRASH_CONTROLLER:
                self._armed.append((CrashPoint(fault.target), fault.lasts))
            case FaultKind.JUMP_CLOCK:
                self._clock.jump(fault.amount)
                self.struck[fault.kind] += 1
            case FaultKind.PREEMPT_SLICES:
                for one in self._slices(fault, chance):
                    self._cloud.preempt(one)
                    self.struck[fault.kind] += 1
            case _:
                for one, vm in self._vms(fault, chance):
                    self._strike_vm(fault, one, vm, chance)

    def _strike_vm(
        self, fault: Fault, one: SimulatedSlice, vm: SimulatedVm, chance: Random
    ) -> None:
        self.struck[fault.kind] += 1
        match fault.kind:
            case FaultKind.BREAK_STREAMS if vm.worker is not None:
                vm.worker.break_stream()
            case FaultKind.RESTART_WORKERS:
                polite = chance.random() < _POLITE
                self._cloud.restart_worker(one, vm, fault.lasts, politely=polite)
            case FaultKind.KILL_VMS:
                self._cloud.kill_vm(one, vm)
            case FaultKind.UNHEALTHY_WORKERS if vm.worker is not None:
                vm.worker.fall_ill(fault.lasts)
            case FaultKind.DRAIN_WORKERS:
                self._drain(vm.worker_id, fault.lasts)

    def _slices(self, fault: Fault, chance: Random) -> list[SimulatedSlice]:
        return [
            one
            for one in tuple(self._cloud.slices.values())
            if fault.target in ("", one.scale_group) and chance.random() < fault.amount
        ]

    def _vms(self, fault: Fault, chance: Random) -> list[tuple[SimulatedSlice, SimulatedVm]]:
        return [
            (one, vm)
            for one in tuple(self._cloud.slices.values())
            if fault.target in ("", one.scale_group)
            for vm in one.vms_now
            if vm.state is VmState.READY and chance.random() < fault.amount
        ]
