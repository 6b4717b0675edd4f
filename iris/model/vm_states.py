"""A VM's life as a table: which state may follow which, and how a slice's state follows from its VMs'.

Every platform's VMs go through it (`VmLife`), whatever makes them come and go:

    REQUESTING    asked for; there is no machine yet
    BOOTING       there is a machine, or it is being made; nothing of ours runs there
    INITIALIZING  the worker has been started and has not registered yet
    READY         the worker has registered
    UNHEALTHY     it says that it is not well, or nobody hears of it
    STOPPING      it is being given back
    TERMINATED    given back
    FAILED        it did not come up, or has ended without having been told to
    PREEMPTED     its platform has taken it back
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from iris.model.errors import Internal
from iris.model.fleet import VmPhase, VmState

_LOST = frozenset({VmState.FAILED, VmState.PREEMPTED})
_UP = frozenset({VmState.READY, VmState.UNHEALTHY})

VM_TRANSITIONS: Mapping[VmState, frozenset[VmState]] = {
    VmState.REQUESTING: _LOST | {VmState.BOOTING, VmState.STOPPING},
    VmState.BOOTING: _LOST | {VmState.INITIALIZING, VmState.STOPPING},
    # UNHEALTHY: it has registered, and said so at once.
    VmState.INITIALIZING: _LOST | _UP | {VmState.STOPPING},
    VmState.READY: _LOST | {VmState.UNHEALTHY, VmState.STOPPING},
    VmState.UNHEALTHY: _LOST | {VmState.READY, VmState.STOPPING},
    # What is taken back while it is given back was not given back by us.
    VmState.STOPPING: frozenset({VmState.TERMINATED, VmState.PREEMPTED}),
    VmState.TERMINATED: frozenset(),
    VmState.FAILED: frozenset(),
    VmState.PREEMPTED: frozenset(),
}

# Where a life begins: as a request, or as a machine of an earlier process that was found and is yet to be heard of.
VM_BEGINNINGS = frozenset({VmState.REQUESTING, VmState.UNHEALTHY})

# The first that any VM is in is the slice's: one that is lost loses it, the slowest one keeps it from being ready.
_SLICE_ORDER = (
    VmState.PREEMPTED,
    VmState.FAILED,
    VmState.STOPPING,
    VmState.TERMINATED,
    VmState.REQUESTING,
    VmState.BOOTING,
    VmState.INITIALIZING,
    VmState.UNHEALTHY,
)
# One that goes from READY to UNHEALTHY and back all day is not remembered at length.
_KEPT_PHASES = 16


@dataclass(frozen=True, slots=True)
class VmLife:
    """One VM, from its request to its end; `begun` makes it, `after` goes on with it.

    Attributes:
        phases: Each state that it has been in, oldest first, the last one included; the latest 16.
    """

    phases: tuple[VmPhase, ...]

    @classmethod
    def begun(
        cls, at: datetime, state: VmState = VmState.REQUESTING, problem: str = ""
    ) -> "VmLife":
        """A new one. Raises Internal for a state in which none begins."""
        if state not in VM_BEGINNINGS:
            raise Internal(f"No VM begins its life {state.value}.")
        return cls((VmPhase(state, at, problem),))

    @property
    def state(self) -> VmState:
        """Where it stands."""
        return self.phases[-1].state

    @property
    def problem(self) -> str:
        """What is wrong with it; empty if nothing is."""
        return self.phases[-1].problem

    def after(self, state: VmState, at: datetime, problem: str = "") -> "VmLife":
        """The same VM in its next state; in the same state, with another problem.

        Raises Internal for a state that cannot follow, with what has happened so far.
        """
        now = self.phases[-1]
        if state is now.state:
            return VmLife((*self.phases[:-1], VmPhase(state, now.began_at, problem)))
        if state not in VM_TRANSITIONS[now.state]:
            so_far = ", ".join(phase.state.value for phase in self.phases)
            raise Internal(
                f"A VM that is {now.state.value} cannot become {state.value}; it was: {so_far}."
            )
        return VmLife((*self.phases[1 - _KEPT_PHASES :], VmPhase(state, at, problem)))


def slice_state(states: Iterable[VmState]) -> VmState:
    """Of a slice, whose VMs are in these states: it is lost as soon as one is, and READY only once all are."""
    present = frozenset(states)
    return next((state for state in _SLICE_ORDER if state in present), VmState.READY)
