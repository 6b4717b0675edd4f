"""What programs may count on by name."""

import iris.client


def test_the_public_names() -> None:
    assert sorted(iris.client.__all__) == [
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
    for name in iris.client.__all__:
        assert getattr(iris.client, name).__doc__
