"""Tests of what a starter and a controller's process tell each other."""

import os

import pytest

from iris.config import parse_config
from iris.lifecycle.local.handshake import Answer, Launch, NoAnswer, wait_for_answer
from iris.model.errors import FailedPrecondition, Internal

_CONFIG = "controller_vm: {local: {port: 7}}\nworker: {inherit_env: [PATH, NOT_THERE]}\n"


def _pipe() -> tuple[int, Answer]:
    reading, writing = os.pipe()
    return reading, Answer(writing)


def test_a_launch_comes_over() -> None:
    launch = Launch(parse_config(_CONFIG, "c.yaml"), {"PATH": "/bin", "ODD": 'ä "\n'})
    assert Launch.from_bytes(launch.to_bytes()) == launch


def test_serving() -> None:
    reading, answer = _pipe()
    answer.serving("127.0.0.1:5")
    answer.failed(Internal("only the first word counts"))
    assert wait_for_answer(reading, 5) == "127.0.0.1:5"
    assert os.read(reading, 1) == b"", "the writer has closed its end"
    os.close(reading)


def test_failing_with_the_same_error_on_the_other_side() -> None:
    reading, answer = _pipe()
    answer.failed(FailedPrecondition("Port 5 is taken: ä.", hint="Choose\nanother."))
    with pytest.raises(FailedPrecondition) as caught:
        wait_for_answer(reading, 5)
    assert (caught.value.problem, caught.value.hint) == ("Port 5 is taken: ä.", "Choose\nanother.")
    os.close(reading)


def test_a_very_long_error_fits_into_the_pipe() -> None:
    reading, answer = _pipe()
    answer.failed(Internal("x" * 10**6, hint="y" * 10**6))
    with pytest.raises(Internal, match=r"^x{8000} y{8000}$"):
        wait_for_answer(reading, 5)
    os.close(reading)


def test_dying_without_a_word() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(NoAnswer):
        wait_for_answer(reading, 5)
    os.close(reading)


def test_half_a_word_is_none() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"address": "127')
    os.close(writing)
    with pytest.raises(NoAnswer):
        wait_for_answer(reading, 5)
    os.close(reading)


def test_saying_nothing_in_time() -> None:
    reading, answer = _pipe()
    with pytest.raises(TimeoutError):
        wait_for_answer(reading, 0.01)
    os.close(reading)
    answer.serving("nobody listens any more")


def test_the_descriptor_is_not_passed_on() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    Answer(writing)
    assert not os.get_inheritable(writing)
    os.close(reading)
    os.close(writing)
