"""Limits between the worker's words and its supervisors', and what is said when one was exceeded."""

import os
from dataclasses import replace
from datetime import timedelta

from iris.model.resources import format_bytes
from iris.worker.protocols import ExitReport, Limits, RunRequest
from iris.worker.runtime.limits import DISK, MEMORY, PROCESSES, WALL, TreeLimits

_MILLISECOND = timedelta(milliseconds=1)


def tree_limits(request: RunRequest) -> TreeLimits:
    """As they travel to a supervisor."""
    limits = request.limits
    return TreeLimits(
        memory_bytes=limits.memory_bytes,
        cpu_millis=limits.cpu_millis,
        processes=limits.processes,
        open_files=limits.open_files,
        disk_bytes=limits.disk_bytes,
        wall_ms=max(1, round(limits.wall / _MILLISECOND)) if limits.wall else 0,
        grace_ms=round(request.stop_grace / _MILLISECOND),
        disk_path=os.fsencode(limits.disk_path) if limits.disk_path is not None else b"",
    )


def exceeding(report: ExitReport, what: str, amount: int, limits: Limits) -> ExitReport:
    """The report of a tree that went beyond `what`, by its supervisor's word, and how far."""
    peak = report.peak_memory_bytes
    if what == MEMORY:
        peak = max(peak, amount)
    return replace(
        report, exceeded=what, error=_explain(what, amount, limits), peak_memory_bytes=peak
    )


def _explain(what: str, amount: int, limits: Limits) -> str:
    if what == MEMORY:
        limit = limits.memory_bytes
        used = (
            f"used {format_bytes(amount)} of memory, more than its limit of {format_bytes(limit)}"
        )
        if amount <= limit:  # the kernel lets nobody beyond
            used = (
                f"needed more memory than its limit of {format_bytes(limit)}"
                f" (peak {format_bytes(amount)})"
            )
        return f"The task's processes {used}, and were killed."
    if what == DISK:
        limit = limits.disk_bytes
        used = f"took {format_bytes(amount)}" if amount > limit else "wanted to take more"
        return (
            f"The task's files {used} of disk, and its limit is {format_bytes(limit)}:"
            " it was ended."
        )
    if what == PROCESSES:
        limit = limits.processes
        if amount > limit:
            return (
                f"The task had {amount} processes and threads, more than its limit of {limit},"
                " and was killed."
            )
        return f"The task failed after it had been refused more than {limit} processes and threads."
    assert what == WALL, what
    return f"The task ran for its limit of {amount / 1000:g} s and was ended."
