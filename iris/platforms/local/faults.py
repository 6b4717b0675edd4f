"""Faults that wait for the next slices of one scale group."""

from dataclasses import dataclass
from datetime import timedelta

from iris.model.errors import ResourceExhausted
from iris.model.faults import Fault, FaultKind


@dataclass(frozen=True, slots=True)
class BootFault:
    """What is to happen to one slice while it comes up: that much later, and whether it fails then."""

    delay: timedelta = timedelta(0)
    fails: bool = False


NO_FAULT = BootFault()


class PendingFaults:
    """Each is for the next so many slices; those of one kind come one after the other. Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[FaultKind, list[Fault]] = {kind: [] for kind in FaultKind}

    def add(self, fault: Fault) -> None:
        """One more, behind those of its kind that wait."""
        self._waiting[fault.kind].extend([fault] * fault.count)

    def check_refusal(self, group: str) -> None:
        """Raises ResourceExhausted if the next slice is to be refused."""
        if self._take(FaultKind.REFUSE) is not None:
            raise ResourceExhausted(
                f"No slice of {group} is given: a fault was injected.", hint="The next may be."
            )

    def next_boot(self) -> BootFault:
        """What the next slice that comes up is in for."""
        delayed = self._take(FaultKind.DELAY)
        fails = self._take(FaultKind.FAIL) is not None
        return BootFault(delayed.delay if delayed else timedelta(0), fails)

    def _take(self, kind: FaultKind) -> Fault | None:
        waiting = self._waiting[kind]
        return waiting.pop(0) if waiting else None
