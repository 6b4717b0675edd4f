"""What a person sees while the flow runs: on a terminal a line for each case that is over and, below them, what still
runs; elsewhere plain lines.
"""

import os
import shutil
from typing import TextIO

from iris.smoke.case import CaseResult, Verdict

_MARKS = {Verdict.PASSED: ("✓", "32"), Verdict.SKIPPED: ("–", "90"), Verdict.NOT_RUN: ("·", "90")}
_WRONG = ("✗", "31")


class LiveOutput:
    """Writes to one stream. For one thread at a time."""

    def __init__(self, out: TextIO, *, is_terminal: bool | None = None) -> None:
        self._out = out
        self._is_terminal = out.isatty() if is_terminal is None else is_terminal
        self._colours = self._is_terminal and "NO_COLOR" not in os.environ
        self._running: dict[str, None] = {}
        self._over = 0
        self._total = 0

    def expect(self, cases: int) -> None:
        """So many there will be."""
        self._total = cases

    def say(self, line: str) -> None:
        """A line of its own, above what runs."""
        self._write(line)

    def began(self, name: str) -> None:
        """A case has begun."""
        self._running[name] = None
        self._status()

    def over(self, result: CaseResult) -> None:
        """A case is over, or was passed over."""
        self._running.pop(result.name, None)
        self._over += 1
        told = result.problem or "; ".join(f"{one.label}: {one.value}" for one in result.evidence)
        if not self._is_terminal:
            head = f"{result.verdict.value:8} {result.name} ({result.seconds:.2f} s)"
            self._write(head + (f": {told}" if told else ""))
            return
        mark, colour = _MARKS.get(result.verdict, _WRONG)
        head = f"{self._in(colour, mark)} {result.name}"
        line = f"{head}  {self._in('90', f'{result.seconds:.2f} s')}"
        if result.verdict is not Verdict.PASSED:
            line += f"  {result.verdict.value}: {told}"
        self._write(line)

    def close(self) -> None:
        """Nothing runs any more."""
        self._running.clear()
        if self._is_terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _write(self, line: str) -> None:
        if self._is_terminal:
            self._out.write(f"\r\x1b[K{line}\n")
            self._status()
        else:
            self._out.write(f"{line}\n")
            self._out.flush()

    def _status(self) -> None:
        if not self._is_terminal:
            return
        width = shutil.get_terminal_size().columns - 1
        text = f"{self._over}/{self._total}  {', '.join(self._running)}" if self._running else ""
        if len(text) > width:
            text = text[: width - 1] + "…"
        self._out.write(f"\r\x1b[K{self._in('90', text)}")
        self._out.flush()

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and text else text
