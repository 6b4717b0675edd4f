"""The program measures every figure it promises. How fast this machine is, no test says."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from absl import flags

from iris.client import Client, LogLine, LogStream
from iris.model.ids import JobId, TaskId
from tools.benchmarks.logs_program import FIGURES, LINE_BYTES, CountedWrong, _Bench

flags.DEFINE_list("logs", [sys.executable, "-m", "tools.benchmarks.logs"], "The program.")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [*flags.FLAGS.logs, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_figure_is_measured_and_a_quick_run_meets_no_bar() -> None:
    done = run("--quick")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert [one["name"] for one in told["figures"]] == [figure.name for figure in FIGURES]
    for one in told["figures"]:
        assert one["count"] > 0
        assert one["min"] <= one["median"] <= one["max"]
        assert one["median"] > 0
        assert one["met"] is None


def test_flags_that_are_wrong() -> None:
    assert run("--no_such_flag").returncode == 2
    assert run("argument").returncode == 2


class _Told:
    """A client whose logs the test says."""

    def __init__(self, *data: bytes) -> None:
        self._data = data

    async def tail_logs(self, job: str, *, follow: bool) -> AsyncIterator[LogLine]:
        for index, data in enumerate(self._data):
            at = datetime.fromtimestamp(0, UTC)
            yield LogLine(TaskId(f"{job}/0"), 0, index, at, LogStream.STDOUT, data)


def _line(number: int) -> bytes:
    return b"%011d" % number + b"x" * (LINE_BYTES - 12)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ([0, 1, 2], None),
        ([0, 1], "3 lines were written, 2 came"),
        ([0, 2, 3], "in place of line 1"),
        ([0, 1, 1, 2], "in place of line 2"),
        ([0, 1, 2, 3], "3 lines were written, 4 came"),
    ],
)
def test_a_line_that_is_missing_or_doubled_is_noticed(numbers: list[int], says: str | None) -> None:
    told = _Told(b"began 1500000000", *map(_line, numbers))
    checking = _Bench(cast(Client, told))._check(JobId("/a/b"), 3, follow=False)
    if says is None:
        assert asyncio.run(checking) == 1.5
        return
    with pytest.raises(CountedWrong, match=says):
        asyncio.run(checking)
