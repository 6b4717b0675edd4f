"""Signals of the local cluster's program."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from tools.local_cluster_stop import STOP_SIGNALS, StopRequest, StopRequested


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Puts back what the tests take over."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_one_interrupts_blocking_work_and_no_more_do(number: signal.Signals) -> None:
    stop = StopRequest()
    with pytest.raises(StopRequested):
        send(number)
        signal.sigtimedwait([], 30)
    assert stop.requested
    send(signal.SIGINT)
    send(signal.SIGTERM)


def test_work_that_must_not_be_interrupted_is_not() -> None:
    stop = StopRequest()
    stop.hold_back()
    send(signal.SIGINT)
    assert stop.requested


def test_a_loop_is_woken_and_further_ones_change_nothing() -> None:
    stop = StopRequest()

    async def work() -> str:
        waiting = asyncio.create_task(stop.wait())
        asyncio.get_running_loop().call_later(0, send, signal.SIGTERM)
        await waiting
        send(signal.SIGINT)
        send(signal.SIGINT)
        await asyncio.sleep(0)
        return "tidied up"

    assert asyncio.run(work()) == "tidied up"


def test_one_that_came_early_is_not_forgotten() -> None:
    stop = StopRequest()
    stop.hold_back()
    send(signal.SIGINT)
    asyncio.run(asyncio.wait_for(stop.wait(), 30))
