"""What no real process shows on request; all else about these workers, the smoke flow shows."""

import asyncio
from pathlib import Path
from unittest import mock

import pytest

from iris.lifecycle.local import joined_worker
from iris.lifecycle.local.joined_worker import JoinedWorker
from iris.model.resources import MIB, Resources


class EndsInTheLastMoment:
    """A process that has ended once one no longer waits for it: it cannot be killed then, as asyncio says
    (https://docs.python.org/3/library/asyncio-subprocess.html#asyncio.subprocess.Process.send_signal)."""

    def __init__(self) -> None:
        self.stdin = mock.create_autospec(asyncio.StreamWriter, instance=True)
        self.has_ended = False

    async def wait(self) -> int:
        try:
            while not self.has_ended:
                await asyncio.Event().wait()
        finally:
            self.has_ended = True
        return 0

    def kill(self) -> None:
        if self.has_ended:
            raise ProcessLookupError


async def test_one_that_ends_when_its_time_is_up_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined_worker, "_END_SECONDS", 0)
    worker = JoinedWorker(
        "localhost:1",
        "token",
        name="joined",
        folder=tmp_path,
        scale_group="group",
        total=Resources(1000, MIB),
        attributes={},
    )
    process = EndsInTheLastMoment()
    monkeypatch.setattr(worker, "_process", process)
    await worker.stop()
    assert process.has_ended
    process.stdin.close.assert_called_once()
