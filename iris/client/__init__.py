"""The SDK a program uses: `async with Client.connect(address, token) as client: ...`."""

from iris.client.client import Client, ClientOptions
from iris.client.views import (
    AttemptView,
    BackUpView,
    BudgetView,
    ClusterView,
    DecisionView,
    ExplanationView,
    HealthView,
    JobView,
    Launched,
    LogLine,
    LogStream,
    ScaleGroupView,
    TaskView,
    UploadedBundle,
    UsageView,
    WaitingTasks,
    WorkerView,
)

__all__ = [
    "AttemptView",
    "BackUpView",
    "BudgetView",
    "Client",
    "ClientOptions",
    "ClusterView",
    "DecisionView",
    "ExplanationView",
    "HealthView",
    "JobView",
    "Launched",
    "LogLine",
    "LogStream",
    "ScaleGroupView",
    "TaskView",
    "UploadedBundle",
    "UsageView",
    "WaitingTasks",
    "WorkerView",
]
