"""What programs may count on by name."""

import iris.client


def test_the_public_names() -> None:
    assert sorted(iris.client.__all__) == [
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
    for name in iris.client.__all__:
        assert getattr(iris.client, name).__doc__
