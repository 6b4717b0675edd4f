"""The SDK a program uses: `async with Client.connect(address, token) as client: ...`, and inside of a
task `current()`.
"""

from iris.client.blocking_client import BlockingClient
from iris.client.caller import ClientOptions
from iris.client.client import Client
from iris.client.connected_task import ConnectedChild, ConnectedTask
from iris.client.entrypoints import entrypoint_of
from iris.client.task_context import ChildJob, TaskContext, current
from iris.client.views import (
    AttemptView,
    BackUpView,
    BudgetView,
    ClusterView,
    DecisionView,
    EndpointView,
    ExplanationView,
    HealthView,
    JobView,
    Launched,
    LogLine,
    LogStream,
    OutputView,
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
    "BlockingClient",
    "BudgetView",
    "ChildJob",
    "Client",
    "ClientOptions",
    "ClusterView",
    "ConnectedChild",
    "ConnectedTask",
    "DecisionView",
    "EndpointView",
    "ExplanationView",
    "HealthView",
    "JobView",
    "Launched",
    "LogLine",
    "LogStream",
    "OutputView",
    "ScaleGroupView",
    "TaskContext",
    "TaskView",
    "UploadedBundle",
    "UsageView",
    "WaitingTasks",
    "WorkerView",
    "current",
    "entrypoint_of",
]
