"""Waiting for a condition, with a bound and a message, instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


async def assert_eventually(
    condition: Callable[[], T | Awaitable[T]],
    what: str,
    *,
    timeout: float = 20.0,
    interval: float = 0.01,
) -> T:
    """The first true value of `condition`. Fails naming `what`, and the last value, after `timeout`
    seconds.

    An AssertionError inside `condition` counts as "not yet" and is shown at the end.
    """
    deadline = time.monotonic() + timeout
    while True:
        problem = ""
        value: object = None
        try:
            outcome = condition()
            value = await outcome if inspect.isawaitable(outcome) else outcome
            if value:
                return cast(T, value)
        except AssertionError as error:
            problem = f" ({error})"
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}; last value {value!r}{problem}")
        await asyncio.sleep(interval)
