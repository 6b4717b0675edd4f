"""What goes where: results and stdout, everything else, and what a person at a terminal is spared."""

import contextlib
import os
import pty
from dataclasses import replace
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from iris.cli.fake_person import FakePerson
from iris.cli.sample_jobs import line
from iris.cli.terminal import Terminal
from iris.client import LogStream
from iris.model.errors import NotFound


@pytest.fixture
def person(tmp_path: Path) -> FakePerson:
    return FakePerson(tmp_path)


def test_results_and_remarks_are_kept_apart(person: FakePerson) -> None:
    terminal = person.context.terminal
    terminal.result("one", Text("two", style="bold"))
    terminal.note("three")
    terminal.explain(Text("four"))
    terminal.error(NotFound("There is no job.", hint="Look again."))
    assert person.written() == (
        b"one\ntwo\n",
        b"iris: three\nfour\niris: There is no job.\n      Look again.\n",
    )


def test_tables_have_no_blanks_at_the_end_of_lines(person: FakePerson) -> None:
    table = Table("A", "B", box=None)
    table.add_row("x", "a longer one")
    person.context.terminal.result(table)
    assert person.stdout == " A  B\n x  a longer one\n"


def test_lines_go_where_the_job_wrote_them_unchanged(person: FakePerson) -> None:
    terminal = person.context.terminal
    terminal.log_line(line("plain [bold]not markup[/] :smile: " + "x" * 300))
    terminal.log_line(line("\x1b[31mred"), prefix="[2] ")
    terminal.log_line(line("oops", stream=LogStream.STDERR))
    terminal.log_line(line("unpacking", stream=LogStream.BUILD), prefix="[2] ")
    assert person.written() == (
        b"plain [bold]not markup[/] :smile: " + b"x" * 300 + b"\n[2] \x1b[31mred\n",
        b"oops\n[2] unpacking\n",
    )


def test_bytes_that_are_no_text_stay_as_they_are(person: FakePerson) -> None:
    terminal = person.context.terminal
    terminal.log_line(replace(line(""), data=b"\xff\xfe\r10%"))
    assert person.written()[0] == b"\xff\xfe\r10%\n"


def test_long_notes_are_one_line_where_nobody_watches(person: FakePerson) -> None:
    terminal = person.context.terminal
    terminal.note("word " * 100)
    assert person.written()[1].count(b"\n") == 1


def test_nothing_is_live_where_nobody_watches(person: FakePerson) -> None:
    terminal = person.context.terminal
    with terminal.live(lambda: Text("working")):
        terminal.note("a line")
    assert not terminal.is_live
    assert person.written() == (b"", b"iris: a line\n")


class Screen:
    """A pseudo-terminal: a file to write to, and what a person gets to see."""

    def __init__(self) -> None:
        self._main, secondary = pty.openpty()
        self.file = os.fdopen(secondary, "w")

    def shown(self) -> str:
        """All that was written; nothing more can be afterwards."""
        self.file.close()
        parts = []
        with contextlib.suppress(OSError):  # EIO is the end
            while part := os.read(self._main, 1 << 16):
                parts.append(part)
        os.close(self._main)
        return b"".join(parts).decode()


def test_on_a_terminal_lines_stand_above_the_live_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    terminal = Terminal(screen.file, screen.file, width=60)
    with terminal.live(lambda: Text("working")):
        terminal.log_line(line("hello \x1b[2J\x1b[Hthere"), prefix="[0] ")
    shown = screen.shown()
    assert "[0] " in shown
    assert "hello there" in shown, "control sequences of a job do not reach the terminal"
    assert "\x1b[2J" not in shown
    assert shown.rindex("working") > shown.index("hello there")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is back"
