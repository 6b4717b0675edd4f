"""What is said when a limit was exceeded, and how limits travel."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from iris.model.resources import MIB
from iris.worker.protocols import ExitReport, Limits
from iris.worker.runtime import wire
from iris.worker.runtime.exceeded import exceeding, tree_limits
from iris.worker.runtime.limits import TreeLimits
from iris.worker.runtime.trees_fixture import request

LIMITS = Limits(256 * MIB, 500, 100, 64, 10 * MIB, Path("/a b/c"), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("what", "amount", "error"),
    [
        (
            "memory",
            300 * MIB,
            "The task's processes used 300 MiB of memory, more than its limit of 256 MiB, and were killed.",
        ),
        (
            "memory",
            256 * MIB,
            "The task's processes needed more memory than its limit of 256 MiB (peak 256 MiB), and were killed.",
        ),
        (
            "disk",
            11 * MIB,
            "The task's files took 11 MiB of disk, and its limit is 10 MiB: it was ended.",
        ),
        (
            "disk",
            10 * MIB,
            "The task's files wanted to take more of disk, and its limit is 10 MiB: it was ended.",
        ),
        (
            "processes",
            130,
            "The task had 130 processes and threads, more than its limit of 100, and was killed.",
        ),
        (
            "processes",
            100,
            "The task failed after it had been refused more than 100 processes and threads.",
        ),
        ("wall", 60_000, "The task ran for its limit of 60 s and was ended."),
    ],
)
def test_every_excess_is_said_in_words(what: str, amount: int, error: str) -> None:
    report = ExitReport(None, signal.SIGKILL, peak_memory_bytes=MIB)
    told = exceeding(report, what, amount, LIMITS)
    assert (told.exceeded, told.error, told.signal) == (what, error, signal.SIGKILL)
    assert told.peak_memory_bytes == (amount if what == "memory" else MIB)


def test_limits_arrive_as_they_were_sent() -> None:
    sent = tree_limits(request("prog", limits=LIMITS, grace=timedelta(seconds=1.5)))
    assert sent == TreeLimits(256 * MIB, 500, 100, 64, 10 * MIB, 60_000, 1500, b"/a b/c")
    data = wire.encode_request([b"prog", b""], [b"A=1"], b"/w d", sent)
    assert wire.decode_request(data) == wire.Request([b"prog", b""], {b"A": b"1"}, b"/w d", sent)
    assert wire.decode_request(data[:-1]) is None


def test_no_limits_arrive_as_none() -> None:
    sent = tree_limits(request("prog", grace=timedelta(0)))
    assert sent == TreeLimits()
    arrived = wire.decode_request(wire.encode_request([b"prog"], [], b"/", sent))
    assert arrived is not None
    assert arrived.limits == TreeLimits()
