"""A person at a terminal, for tests: what they have set, where they stand, and what they get to
read.
"""

import io
from pathlib import Path

from iris.cli.context import Context
from iris.cli.terminal import Terminal
from iris.host.clock import SystemClock
from iris.testing.ids import CountedIds


class FakePerson:
    """Named ann, standing in `folder`, reading through two pipes. Set `environment` before the
    first use of `context`.
    """

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.environment = {"USER": "ann", **(environment or {})}
        self._out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        self._err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        self.context = Context.of(
            self.environment, folder, Terminal(self._out, self._err), SystemClock(), CountedIds()
        )

    @property
    def stdout(self) -> str:
        """All that was written there."""
        return self.written()[0].decode()

    @property
    def stderr(self) -> str:
        """All that was written there."""
        return self.written()[1].decode()

    def written(self) -> tuple[bytes, bytes]:
        """All that was written to stdout and stderr."""
        return _content(self._out), _content(self._err)


def _content(file: io.TextIOWrapper) -> bytes:
    file.flush()
    assert isinstance(file.buffer, io.BytesIO)
    return file.buffer.getvalue()
