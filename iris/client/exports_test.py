"""What programs may count on by name."""

import iris.client


def test_the_public_names() -> None:
    assert sorted(iris.client.__all__) == [
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
    for name in iris.client.__all__:
        assert getattr(iris.client, name).__doc__
