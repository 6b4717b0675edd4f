"""Secrets in a task's output are made unreadable before its lines leave the worker.

Secret are the values of variables whose names the cluster's configuration says (`worker.secret_env`),
the cluster's token and the task's own. They are looked for in whole chunks of output, with one
expression for all of them. Each line of a value that has several is a secret of its own, as that is
how it would be printed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property, lru_cache

from iris.worker.logs.lines import MAX_LINE_BYTES

DEFAULT_SECRET_ENV = ("*TOKEN*", "*SECRET*", "*PASSWORD*", "*API_KEY*", "AWS_SECRET_ACCESS_KEY")
# What is shorter would be found in words that are no secret.
MIN_SECRET_CHARACTERS = 6
REPLACEMENT = b"***"

_TASK_TOKEN = "IRIS_TASK_TOKEN"


@dataclass(frozen=True, slots=True)
class SecretRules:
    """What is secret on a worker.

    Attributes:
        names: Names of variables, or patterns of such (`*` and `?`); upper and lower case differ.
        always: Secrets of every task.
    """

    names: tuple[str, ...] = DEFAULT_SECRET_ENV
    always: tuple[str, ...] = field(default=(), repr=False)

    def redaction(self, env: Mapping[str, str]) -> "Redaction":
        """For the output of a task with this environment."""
        is_secret = _pattern_of(self.names).match
        return Redaction([*self.always, *(env[name] for name in env if is_secret(name))])


@lru_cache
def _pattern_of(names: tuple[str, ...]) -> re.Pattern[str]:
    """Matches the names of variables that are secret. Every task has dozens of others."""
    return re.compile("|".join(map(translate, (_TASK_TOKEN, *names))))


class Redaction:
    """The secrets of one task, ready to be looked for."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        lines = {line.strip() for secret in secrets for line in secret.splitlines()}
        found = [
            line.encode(errors="surrogateescape")
            for line in lines
            if len(line) >= MIN_SECRET_CHARACTERS
        ]
        # Of two that begin alike the longer one: nothing of it shall be left.
        found.sort(key=lambda secret: (-len(secret), secret))
        self.longest = max(map(len, found), default=0)
        self._found = found

    @cached_property
    def pattern(self) -> re.Pattern[bytes] | None:
        """Finds each of them; None where there are none. Made when there is something to look
        through: many tasks write nothing.
        """
        return re.compile(b"|".join(map(re.escape, self._found))) if self._found else None

    def clean(self, text: bytes) -> bytes:
        """The text without the secrets that are in it as a whole."""
        return self.pattern.sub(REPLACEMENT, text) if text and self.pattern is not None else text


class RedactedStream:
    """Cleans one stream that comes in chunks, cut anywhere. It holds the beginning of an unfinished
    line, which nobody could show anyway, until the rest of it is there; of a line that is too long
    to be held, only what could be the beginning of a secret.
    """

    def __init__(self, redaction: Redaction, *, max_held: int = MAX_LINE_BYTES) -> None:
        self._redaction = redaction
        self._max_held = max(max_held, 2 * redaction.longest)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be given on of the stream so far."""
        if self._redaction.pattern is None:
            return data
        data = self._held + data
        end = data.rfind(b"\n") + 1
        if len(data) - end > self._max_held:
            end = self._end_of_complete(data, end)
        self._held = data[end:]
        return self._redaction.clean(data[:end])

    def end(self) -> bytes:
        """The rest."""
        rest, self._held = self._held, b""
        return self._redaction.clean(rest)

    def _end_of_complete(self, data: bytes, start: int) -> int:
        """Before it, no secret begins that `data` does not have as a whole."""
        end = len(data) - (self._redaction.longest - 1)
        pattern = self._redaction.pattern
        assert pattern is not None, "only asked where there are secrets"
        for match in pattern.finditer(data, start):
            if match.start() < end < match.end():
                return match.end()
        return end
