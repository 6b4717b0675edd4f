"""A message of log runs becomes lines with the indices they have."""

from iris_proto import controller_pb2, job_pb2

from iris.client.views import LogStream
from iris.client.views_from_proto import log_lines


def test_runs_become_lines_with_their_own_indices() -> None:
    message = controller_pb2.TailLogsResponse(
        task_id="/a/b/3",
        attempt=2,
        first_index=10,
        runs=[
            job_pb2.LogRun(time_ns=1_500_000_000, stream=job_pb2.STDOUT, text=b"one\n\nthree"),
            job_pb2.LogRun(time_ns=2_000_000_000, stream=job_pb2.SYSTEM, text=b"", skipped=5),
            job_pb2.LogRun(time_ns=2_000_000_000, stream=job_pb2.STDERR, text=b"\xff"),
        ],
    )
    lines = log_lines(message)
    assert [(line.index, line.stream, line.data) for line in lines] == [
        (10, LogStream.STDOUT, b"one"),
        (11, LogStream.STDOUT, b""),
        (12, LogStream.STDOUT, b"three"),
        (18, LogStream.SYSTEM, b""),
        (19, LogStream.STDERR, b"\xff"),
    ]
    assert {(line.task_id, line.attempt) for line in lines} == {("/a/b/3", 2)}
    assert [line.at.timestamp() for line in lines] == [1.5, 1.5, 1.5, 2.0, 2.0]
