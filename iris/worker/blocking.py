"""Blocking work on files, off the event loop."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


async def run_in_thread(
    work: Callable[..., T], *args: object, give_up: threading.Event | None = None
) -> T:
    """Runs `work(*args)` in a thread. Cancelled, it sets `give_up` and waits for the thread: when
    this is over, nothing is at work any more.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if give_up is not None:
            give_up.set()
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                continue
        running.exception()  # whatever it was, the cancellation says more
        raise


def remove_tree(path: Path) -> None:
    """Removes a folder if it is there, also one with folders that may not be written. Blocks.

    Raises OSError for what even then cannot be removed.
    """
    shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
        return
    path.chmod(0o700)
    for parent, names, _ in os.walk(path):
        # Before the walk goes on into them. Not through links: those lead elsewhere.
        for folder in (Path(parent, name) for name in names):
            if not folder.is_symlink():
                folder.chmod(0o700)
    shutil.rmtree(path)
