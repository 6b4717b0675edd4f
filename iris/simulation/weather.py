"""Which faults are blowing at this moment, for those who are exposed to them."""

from iris.simulation.clock import Agenda, Chances
from iris.simulation.scenario import Fault, FaultKind

# These last: whoever does something meanwhile is exposed. All others happen once, at `at`.
WINDOWS = frozenset(
    {
        FaultKind.LOSE,
        FaultKind.DELAY,
        FaultKind.DOUBLE,
        FaultKind.REORDER,
        FaultKind.PARTITION,
        FaultKind.REFUSE_SLICES,
        FaultKind.FAIL_BOOTS,
        FaultKind.SLOW_CLOUD,
        FaultKind.SHORT_LIVED_SLICES,
        FaultKind.SCARCE_SLICES,
    }
)


class Weather:
    """Windows open and close by themselves, by the agenda.

    Attributes:
        blows: Whether any window is open: a quick answer for the usual case.
    """

    def __init__(self, agenda: Agenda, chances: Chances, faults: tuple[Fault, ...]) -> None:
        self._chances = chances
        self._open: dict[FaultKind, list[Fault]] = {}
        self._cut_off: dict[str, dict[str, bool]] = {}
        self.blows = False
        for fault in faults:
            if fault.kind in WINDOWS and fault.lasts > 0:
                agenda.at(fault.at, lambda fault=fault: self._begin(fault))  # type: ignore[misc]
                agenda.at(
                    fault.at + fault.lasts,
                    lambda fault=fault: self._end(fault),  # type: ignore[misc]
                )

    def amount(self, kind: FaultKind, target: str = "") -> float:
        """The worst of that kind now; 0 without any."""
        if not self.blows:
            return 0.0
        return max(
            (
                fault.amount
                for fault in self._open.get(kind, ())
                if not fault.target or fault.target == target
            ),
            default=0.0,
        )

    def is_cut_off(self, name: str) -> bool:
        """Whether no message reaches that worker or leaves it."""
        if not self.blows:
            return False
        return any(
            self._is_cut_off_by(fault, name) for fault in self._open.get(FaultKind.PARTITION, ())
        )

    def _is_cut_off_by(self, fault: Fault, name: str) -> bool:
        known = self._cut_off[fault.name]
        if name not in known:
            known[name] = self._chances.of(fault.name, name).random() < fault.amount
        return known[name]

    def _begin(self, fault: Fault) -> None:
        self._open.setdefault(fault.kind, []).append(fault)
        if fault.kind is FaultKind.PARTITION:
            self._cut_off[fault.name] = {}
        self.blows = True

    def _end(self, fault: Fault) -> None:
        self._open[fault.kind].remove(fault)
        self.blows = any(self._open.values())
