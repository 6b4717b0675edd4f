"""The SDK a program uses: `async with Client.connect(address, token) as client: ...`."""

from iris.client.client import Client, ClientOptions
from iris.client.views import (
    AttemptView,
    BudgetView,
    ClusterView,
    DecisionView,
    HealthView,
    JobView,
    Launched,
    LogLine,
    LogStream,
    ScaleGroupView,
    TaskView,
    UploadedBundle,
    UsageView,
    WorkerView,
)

__all__ = [
    "AttemptView",
    "BudgetView",
    "Client",
    "ClientOptions",
    "ClusterView",
    "DecisionView",
    "HealthView",
    "JobView",
    "Launched",
    "LogLine",
    "LogStream",
    "ScaleGroupView",
    "TaskView",
    "UploadedBundle",
    "UsageView",
    "WorkerView",
]
