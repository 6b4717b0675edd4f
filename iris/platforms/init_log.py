"""What happened on each VM while it came up, and since: readable while it does, and for a while after its end."""

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from iris.model.errors import NotFound

_KEPT_LINES = 2000
# Of the file that a VM's worker writes; and of one line, in characters.
_FILE_BYTES = 256 << 10
_MOST_LINE = 4000
# Of one answer, in characters.
_MOST_TEXT = 1 << 20
# VMs that are gone whose logs are still there.
_KEPT_GONE = 200


class InitLog:
    """One VM's: lines with their times, the last 2000, and behind them the end of its worker's file where there is
    one on this machine. Belongs to one event loop.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._file: Path | None = None

    def add(self, text: str) -> None:
        """A line, or several."""
        at = self._now().strftime("%H:%M:%S.%f")[:-3]
        self._lines.extend(f"{at} {line[:_MOST_LINE]}" for line in text.splitlines())

    def follow(self, file: Path) -> None:
        """From now on that file is a part of it."""
        self._file = file

    async def keep_file(self) -> None:
        """The file will be removed: its end is kept."""
        file, self._file = self._file, None
        self._lines.extend(await _end_of(file))

    def said(self) -> tuple[str, ...]:
        """The lines that were added."""
        return tuple(self._lines)

    async def text(self, tail: int = 0) -> str:
        """Its last `tail` lines; 0: all that there are. At most 1 MiB."""
        lines = [*self.said(), *await _end_of(self._file)]
        return "".join(f"{line}\n" for line in _last(lines[-tail:], _MOST_TEXT))


def _last(lines: Sequence[str], characters: int) -> Sequence[str]:
    for number, line in enumerate(reversed(lines)):
        characters -= len(line) + 1
        if characters < 0:
            return lines[len(lines) - number :]
    return lines


async def _end_of(file: Path | None) -> list[str]:
    return [] if file is None else await asyncio.to_thread(_read_end, file)


def _read_end(file: Path) -> list[str]:
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            begin = opened.seek(max(0, size - _FILE_BYTES))
            data = opened.read(_FILE_BYTES)
    except OSError:
        return []  # not written yet, or removed with its VM this moment
    lines = data.decode(errors="replace").splitlines()
    # The first one may have lost its beginning.
    return [line[:_MOST_LINE] for line in lines[bool(begin) :]]


class InitLogs:
    """Those of all VMs of a cluster: the ones that exist, and the last 200 that are gone. Belongs to one event loop."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._logs: dict[str, InitLog] = {}
        self._gone: OrderedDict[str, InitLog] = OrderedDict()

    def of(self, vm_id: str) -> InitLog:
        """Of a VM that exists; a new one if it had none."""
        if vm_id not in self._logs:
            known = self._gone.pop(vm_id) if vm_id in self._gone else InitLog(self._now)
            self._logs[vm_id] = known
        return self._logs[vm_id]

    async def text(self, vm_id: str, tail: int) -> str:
        """The last `tail` lines (0: all) of a VM's log. Raises NotFound."""
        return await self.find(vm_id).text(tail)

    def find(self, vm_id: str) -> InitLog:
        """Of a VM that exists or did. Raises NotFound."""
        log = self._logs.get(vm_id) or self._gone.get(vm_id)
        if log is None:
            raise NotFound(
                f"There is no VM {vm_id!r}, and none of the last that are gone was called so.",
                hint="`iris cluster status` shows those there are.",
            )
        return log

    def gone(self, vm_id: str) -> None:
        """Its VM exists no more."""
        log = self._logs.pop(vm_id, None)
        if log is not None:
            self._gone[vm_id] = log
            while len(self._gone) > _KEPT_GONE:
                self._gone.popitem(last=False)
