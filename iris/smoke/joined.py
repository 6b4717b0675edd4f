"""Workers that a case starts itself, in a process of their own, and that join the cluster as any other."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from iris.model.ids import WorkerId
from iris.model.taints import TAINT_PREFIX
from iris.smoke.context import CaseContext
from iris.smoke.groups import TAINT, SmokeGroup


def joined_name(group: SmokeGroup) -> WorkerId:
    """What the worker of a group is called; a group has one at a time."""
    return WorkerId(f"{_slice_name(group)}/0")


@asynccontextmanager
async def joined_worker(
    context: CaseContext, group: SmokeGroup, address: str, **settings: Any
) -> AsyncIterator[Path]:
    """One that counts as a worker of `group`; its folder. It has registered, and ends with the block. The flow has
    few at a time.

    Args:
        address: Where it finds the controller.
        settings: See JoinedWorker.
    """
    # Here, not above: it knows all of a worker, which few cases need.
    from iris.lifecycle.local.joined_worker import JoinedWorker

    async with context.joining:
        with tempfile.TemporaryDirectory(prefix="iris-joined-") as folder:
            worker = JoinedWorker(
                address,
                context.cluster.token,
                name=_slice_name(group),
                folder=Path(folder),
                scale_group=group.name,
                total=group.resources,
                attributes={TAINT_PREFIX + TAINT: group.name},
                **settings,
            )
            try:
                await worker.start()
                yield Path(folder)
            finally:
                await worker.stop()


def _slice_name(group: SmokeGroup) -> str:
    return f"{group.name}-joined"
