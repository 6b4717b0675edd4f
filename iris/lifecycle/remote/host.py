"""A machine that a controller can live on, as whoever drives that controller sees it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Protocol


class HostSession(Protocol):
    """A way onto the machine that stands. Belongs to one thread."""

    def ask(self, word: str, request: bytes, timeout: timedelta) -> Mapping[str, Any]:
        """Has the machine's `controller` program (iris.lifecycle.remote.host_program), of the code that runs
        here, carry out `word`; its result.

        Raises the error that it answers; Unavailable if the way was lost, or DeadlineExceeded: it may
        go on there; FailedPrecondition where the program cannot run.
        """

    def forward(self, address: str) -> AbstractContextManager[str]:
        """Yields a `host:port` here that leads to `address` there, inside the block. Raises Unavailable
        where none can be had.
        """


class RemoteHost(Protocol):
    """One machine. Leaves nothing open outside of its sessions."""

    @property
    def name(self) -> str:
        """For people."""

    def session(self) -> AbstractContextManager[HostSession]:
        """A new one. Raises Unavailable, PermissionDenied, FailedPrecondition or DeadlineExceeded where
        the machine cannot be entered, with what to do.
        """
