"""Holds a controller fast while it starts, without a clock: its token is a pipe that says nothing yet."""

import errno
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from iris.host.files import atomic_write, private_folder
from iris.lifecycle.state_folder import StateFolder

_TOKEN = b"a-token-of-a-test\n"
_PATIENCE = 60.0
_POLL_SECONDS = 0.01


class Gate:
    """A controller that is started on that state waits until the gate is opened; at the latest at
    the end of `with`. It must not have been started before.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = StateFolder(state_dir)
        self._pipe: int | None = None

    def wait_until_somebody_waits(self) -> None:
        """Returns once a controller has got so far. Raises AssertionError if none comes."""
        until = time.monotonic() + _PATIENCE
        while self._pipe is None:
            assert time.monotonic() < until, "no controller asks for its token"
            self._pipe = self._reached()
            time.sleep(_POLL_SECONDS)

    def open(self) -> None:
        """Lets it go on. Idempotent."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            # For all who read it from now on; who waits already reads the pipe.
            atomic_write(self._folder.token_file, _TOKEN, mode=0o600)
            os.write(pipe, _TOKEN)
            os.close(pipe)

    def __enter__(self) -> Self:
        private_folder(self._folder.path)
        os.mkfifo(self._folder.token_file, 0o600)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pipe is None and self._folder.token_file.is_fifo():
            self._pipe = self._reached()
        self.open()

    def _reached(self) -> int | None:
        """The writing end, once somebody has the other."""
        try:
            return os.open(self._folder.token_file, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            raise
