"""The controller's state does not contradict itself: iris.controller.state.invariants."""

from collections.abc import Callable

from iris.controller.brain import Turn
from iris.controller.state import invariants
from iris.simulation.checkers.checker import Checker
from iris.simulation.controller import ControllerProcess

# Everything is looked at so seldom, what a turn touched after each.
_EVERY = 200


class StateIsSound(Checker):
    """What was touched after every turn, all of it now and then, after a restart and at the end."""

    invariant = "the state does not contradict itself"
    _turns = 0

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """See Checker."""
        self._turns += 1
        if self._turns % _EVERY:
            self._look(lambda: invariants.check_touched(process.state, turn.effects))
        else:
            self._look(lambda: invariants.check(process.state))

    def recovered(self, process: ControllerProcess) -> None:
        """See Checker."""
        self._look(lambda: invariants.check(process.state))

    def finished(self, process: ControllerProcess) -> None:
        """See Checker."""
        self._look(lambda: invariants.check(process.state))

    def _look(self, check: Callable[[], None]) -> None:
        try:
            check()
        except AssertionError as error:
            raise self.broken(str(error)) from error
