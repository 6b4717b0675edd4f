"""Functions as entrypoints, on the side of whoever submits them."""

import functools
import pickle
import sys
import threading

import pytest

from iris.client.entrypoints import entrypoint_of
from iris.model.callables import MAX_PICKLED_BYTES, CallableEntrypoint
from iris.model.errors import InvalidArgument
from iris.model.job import Entrypoint

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def called(entrypoint: Entrypoint) -> CallableEntrypoint:
    assert entrypoint.callable is not None
    return entrypoint.callable


def test_it_is_the_call_that_travels() -> None:
    seen: list[int] = []
    made = called(entrypoint_of(lambda *numbers, times: sum(numbers) * times, 1, 2, times=3))
    assert made.python == HERE
    assert pickle.loads(made.pickled)() == 9
    assert not seen


def test_people_see_its_name() -> None:
    def local() -> None: ...

    assert called(entrypoint_of(print, 1)).name == "builtins.print"
    assert called(entrypoint_of(functools.partial(print, 1))).name == "builtins.print"
    assert called(entrypoint_of(local)).name == f"{__name__}.test_people_see_its_name.local"
    assert entrypoint_of(print).program == "callable builtins.print"
    local.__module__ = "__main__"
    assert called(entrypoint_of(local)).name == "test_people_see_its_name.local"


def test_what_cannot_be_pickled_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=r"builtins\.print cannot be pickled.*lock"):
        entrypoint_of(print, threading.Lock())


def test_what_is_too_large_belongs_into_the_bundle() -> None:
    with pytest.raises(InvalidArgument, match=r"at most 1 MiB.*bundle"):
        entrypoint_of(print, b"x" * MAX_PICKLED_BYTES)
    assert entrypoint_of(print, b"x" * (MAX_PICKLED_BYTES - 1000)).callable


@pytest.mark.parametrize(
    ("python", "name", "says"),
    [
        ("2.7", "f", "2.7"),
        ("", "f", "''"),
        ("3.11", "", "''"),
        ("3.11", "a\0", "name of a function"),
    ],
)
def test_what_cannot_be_is_refused(python: str, name: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        CallableEntrypoint(b"x", python, name)


def test_it_is_a_program_or_a_function() -> None:
    function = CallableEntrypoint(b"x", "3.11", "f")
    with pytest.raises(InvalidArgument, match=r"both the program 'true' and the function f"):
        Entrypoint(("true",), function)
    with pytest.raises(InvalidArgument, match="no program"):
        Entrypoint()
