"""A log that goes into a file which somebody else has opened, and does not grow without bound."""

import logging
import os
import stat
from typing import TextIO

_MOST_BYTES = 4 << 20


class BoundedFileHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream that may be a file, opened to append. Once that has `most` bytes it begins anew, and says so.

    What else the process writes there counts as well: that is why nothing is rotated by renaming.
    """

    def __init__(self, stream: TextIO, most: int = _MOST_BYTES) -> None:
        super().__init__(stream)
        self._most = most

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        self._make_room()
        super().emit(record)

    def _make_room(self) -> None:
        try:
            file = self.stream.fileno()
            seen = os.fstat(file)
            if stat.S_ISREG(seen.st_mode) and seen.st_size > self._most:
                os.ftruncate(file, 0)
                self.stream.write("earlier lines were dropped\n")
        except OSError:
            # No place to say so: this is where it would have been said. The record itself may still get through.
            return
