"""Attempts' log lines on the controller's disk: they outlive the machines that wrote them."""

from iris.controller.log_store.run import LogPart, LogRun, count_lines
from iris.controller.log_store.store import LogLimits, LogStore, StoredLog

__all__ = ["LogLimits", "LogPart", "LogRun", "LogStore", "StoredLog", "count_lines"]
