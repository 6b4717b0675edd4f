"""One log line in a file: `<time in ns> <stream> <text>` and a newline.

So `grep`, `tail` and `less` work on a log as it lies there.
"""

from typing import NamedTuple

# Values of iris.v1.LogStream; the letters are the format on disk and never change.
_LETTERS = {1: b"o", 2: b"e", 3: b"b", 4: b"s"}
_NUMBERS = {letter: number for number, letter in _LETTERS.items()}
_UNKNOWN = b"s"


class StoredLine(NamedTuple):
    """A line as it travels.

    Attributes:
        time_ns: Unix time.
        stream: A value of iris.v1.LogStream.
        text: Any bytes but a newline.
    """

    time_ns: int
    stream: int
    text: bytes


def encode(line: StoredLine) -> bytes:
    """The line for the file.

    A newline within, which no worker sends, would make two lines of one: it becomes a blank.
    """
    text = line.text.replace(b"\n", b" ")
    return b"%d %b %b\n" % (line.time_ns, _LETTERS.get(line.stream, _UNKNOWN), text)


def decode(data: bytes) -> StoredLine:
    """A line from the file, with or without its newline.

    Raises ValueError for what `encode` never wrote.
    """
    time_ns, letter, text = data.removesuffix(b"\n").split(b" ", 2)
    return StoredLine(int(time_ns), _NUMBERS[letter], text)
