"""Durations and ends in words."""

from datetime import timedelta

import pytest

from iris.cli.sample_jobs import attempt
from iris.cli.wording import (
    brief,
    command_text,
    describe_end,
    entrypoint_text,
    further_cause,
    how_long,
    plural,
    printable,
    signal_name,
)
from iris.model.callables import CallableEntrypoint
from iris.model.job import Entrypoint
from iris.model.pending import PendingCode, PendingReason
from iris.model.states import TaskState


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (3.21, "3.2 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert how_long(timedelta(seconds=seconds)) == text


def test_signals() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(99) == "signal 99"


def test_every_state_can_be_described() -> None:
    assert all(describe_end(attempt(state)) for state in TaskState)


def test_causes_are_not_said_twice() -> None:
    failed = TaskState.FAILED
    assert further_cause(attempt(failed, exit_code=2, error="python3 exited with code 2.")) == ""
    assert further_cause(attempt(failed, error="There is no such program.")) == (
        "There is no such program"
    )


def test_what_passes_by_itself_is_said_briefly() -> None:
    passing = PendingReason(PendingCode.LAUNCHING_CAPACITY, "cpu", needed="1 core")
    assert brief(passing) == "a slice is being launched (cpu)"
    lasting = PendingReason(PendingCode.NO_WORKERS, hint="Add some.")
    assert brief(lasting) == lasting.summary() == "no workers. Add some."


def test_plurals() -> None:
    assert [plural(count, "task") for count in (0, 1, 2, 1200)] == [
        "0 tasks",
        "1 task",
        "2 tasks",
        "1,200 tasks",
    ]


def test_what_would_command_a_terminal_is_shown_and_not_done() -> None:
    assert printable("\x1b]0;title\x07\x1b[2J hidden") == "\\x1b]0;title\\x07\\x1b[2J hidden"
    assert printable("two\nlines\tüß 字") == "two\nlines\tüß 字"


def test_a_command_is_one_line_as_it_could_be_typed() -> None:
    assert command_text(("python3", "a b.py")) == "python3 'a b.py'"
    assert "\n" not in command_text(("echo", "one\ntwo"))


def test_a_function_is_shown_by_its_name() -> None:
    called = CallableEntrypoint(b"", "3.11", "train.main")
    assert entrypoint_text(Entrypoint(callable=called)) == "callable train.main"
    assert entrypoint_text(Entrypoint(("echo", "a b"))) == "echo 'a b'"
