"""What every kind of controller can be told, from any process."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a controller. The token is its key: never log it."""

    address: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    """What is known of a controller at this moment.

    Attributes:
        running: Its process (or machine) exists.
        address: `host:port`, as its own machine calls it; empty while it has none. Where that is not
            reached from here, `connect` gives one that is.
        healthy: It answered a real Health RPC, with its own name, within the deadline.
        vm_name: The machine it runs on.
        version: As it says itself; empty if it did not answer.
        problem: What is wrong, and what to do; empty when it is healthy.
    """

    running: bool
    address: str = ""
    healthy: bool = False
    vm_name: str = ""
    version: str = ""
    uptime: timedelta | None = None
    problem: str = ""


class ControllerProtocol(Protocol):
    """A controller's life. Every method is idempotent, blocks its thread for a bounded time, and
    works from a fresh process.
    """

    def start(self) -> ControllerStatus:
        """Brings it up and returns once it is healthy; if it already is, says so and changes
        nothing.

        Raises FailedPrecondition, Unavailable or DeadlineExceeded, with its last startup lines;
        nothing is left then.
        """

    def stop(self) -> None:
        """Ends it and everything that lives with it, and checks that nothing is left. Raises
        Internal naming what is.
        """

    def restart(self) -> ControllerStatus:
        """stop, then start, on the same state: jobs are kept."""

    def reload(self) -> ControllerStatus:
        """Makes it run the present code and configuration, with the same state."""

    def discover(self) -> str | None:
        """The address of this cluster's running controller, or None. Sees only its own label."""

    def status(self) -> ControllerStatus:
        """What is known now; never raises for a controller that is not well."""

    def fetch_startup_logs(self, tail_lines: int | None = None) -> str | None:
        """What it wrote while starting, also if that failed; None if it never was started."""

    def connect(self) -> AbstractContextManager[Connection]:
        """An address and a token that work inside the block. Raises Unavailable if it is not
        running, or not well.
        """


def last_lines(text: str, count: int) -> str:
    """The last `count` lines of a log; none for 0 or less."""
    return "".join(text.splitlines(keepends=True)[-count:]) if count > 0 else ""
