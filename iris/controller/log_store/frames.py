"""How a run of log lines lies in a file: a line that says what follows, and the lines as they are.

    # <time in ns> <stream> <lines> <bytes of text> <CRC-32 of the text, hexadecimal>

So `grep`, `tail` and `less` work on a log as it lies there, a reader passes over a run without
looking at its lines, and what a killed process or machine left of a run is known for what it is.
"""

import zlib
from typing import NamedTuple

from iris.controller.log_store.run import LogRun

# Values of iris.v1.LogStream; the letters are the format on disk and never change.
_LETTERS = {1: b"o", 2: b"e", 3: b"b", 4: b"s"}
_NUMBERS = {letter: number for number, letter in _LETTERS.items()}
_UNKNOWN = b"s"

# No header is longer.
MAX_HEADER_BYTES = 128


class Header(NamedTuple):
    """What stands before a run's text. `size` is that of the text, in bytes."""

    time_ns: int
    stream: int
    lines: int
    size: int
    crc: int


def encode(run: LogRun, lines: int) -> bytes:
    """The run for the file; `lines` is how many there are in it."""
    text = run.text
    letter = _LETTERS.get(run.stream, _UNKNOWN)
    return b"# %d %b %d %d %08x\n%b\n" % (
        run.time_ns, letter, lines, len(text), zlib.crc32(text), text,
    )  # fmt: skip


def decode_header(data: bytes) -> Header:
    """A header from the file, with or without its newline. Raises ValueError for what is none."""
    mark, time_ns, letter, lines, size, crc = data.split(b" ")
    if mark != b"#" or letter not in _NUMBERS:
        raise ValueError(f"not the header of a run: {data!r}")
    return Header(int(time_ns), _NUMBERS[letter], int(lines), int(size), int(crc, 16))


def decode_line(data: bytes) -> LogRun:
    """A line from a log of an earlier Iris: `<time in ns> <stream> <text>`. Raises ValueError
    for what was never written.
    """
    time_ns, letter, text = data.removesuffix(b"\n").split(b" ", 2)
    if letter not in _NUMBERS:
        raise ValueError(f"not a line of a log: {data!r}")
    return LogRun(int(time_ns), _NUMBERS[letter], text)
