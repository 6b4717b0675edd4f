"""Attempts' log lines on the controller's disk: they outlive the machines that wrote them."""

from iris.controller.log_store.line import StoredLine
from iris.controller.log_store.store import LogStore

__all__ = ["LogStore", "StoredLine"]
