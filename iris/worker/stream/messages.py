"""What travels on the stream, between the worker's values and the wire."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from iris_proto import job_pb2, worker_pb2

from iris.model.errors import InvalidArgument
from iris.model.health import HealthProblem
from iris.model.ids import AttemptUid, JobId, TaskId
from iris.rpc.convert_fleet import problems_to_proto
from iris.rpc.convert_job import (
    TASK_STATES,
    entrypoint_from_proto,
    environment_from_proto,
    resources_from_proto,
)
from iris.rpc.convert_values import (
    EnumTable,
    duration_from_proto,
    timestamp_from_proto,
    timestamp_to_proto,
)
from iris.worker.attempts.model import AttemptSpec, Observation
from iris.worker.logs.lines import LogStream
from iris.worker.logs.log_buffer import LogBatch
from iris.worker.protocols import TreeUsage
from iris.worker.reconcile import Wanted

_LOG_STREAMS = EnumTable(LogStream, job_pb2.LogStream)
# It becomes the name of a folder.
_UID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class WelcomeTerms:
    """What a controller says when it takes a worker in. `now` is by its clock, if it tells it."""

    controller_incarnation: str
    heartbeat_interval: timedelta
    log_flush_timeout: timedelta
    now: datetime | None = None


def welcome_from_proto(message: worker_pb2.Welcome) -> WelcomeTerms:
    """Raises InvalidArgument for intervals that are missing or not positive."""
    heartbeat = duration_from_proto(message, "heartbeat_interval")
    flush = duration_from_proto(message, "log_flush_timeout")
    if not heartbeat or heartbeat < timedelta(0) or flush is None:
        raise InvalidArgument(
            f"The controller's welcome has heartbeat_interval {heartbeat}, log_flush_timeout {flush}.",
            hint="Is it of a different version?",
        )
    now = timestamp_from_proto(message, "now")
    return WelcomeTerms(message.controller_incarnation_id, heartbeat, flush, now)


def wanted_from_proto(message: worker_pb2.DesiredAttempt) -> Wanted[AttemptSpec]:
    """Raises InvalidArgument for a uid or a spec that cannot be."""
    if not _UID.fullmatch(message.attempt_uid):
        raise InvalidArgument(f"{message.attempt_uid!r} is no attempt uid.")
    spec = _spec_from_proto(message.spec) if message.HasField("spec") else None
    return Wanted(AttemptUid(message.attempt_uid), spec)


def _spec_from_proto(message: worker_pb2.AttemptSpec) -> AttemptSpec:
    return AttemptSpec(
        task_id=TaskId(message.task_id),
        job_id=JobId(message.job_id),
        task_index=message.task_index,
        num_tasks=message.num_tasks,
        number=message.number,
        entrypoint=entrypoint_from_proto(message.entrypoint),
        resources=resources_from_proto(message.resources),
        env=dict(message.env),
        bundle_digest=message.bundle_digest,
        port_names=tuple(message.port_names),
        stop_grace=duration_from_proto(message, "stop_grace"),
        peer_hosts=tuple(message.peer_hosts),
        environment=environment_from_proto(message),
        task_timeout=duration_from_proto(message, "task_timeout"),
        task_token=message.task_token,
    )


def observation_to_proto(seen: Observation) -> worker_pb2.Observation:
    """An attempt as the worker sees it."""
    return worker_pb2.Observation(
        attempt_uid=seen.uid,
        state=TASK_STATES.to_proto(seen.state),
        exit_code=seen.exit_code,
        signal=seen.signal,
        error=seen.error,
        started_at=timestamp_to_proto(seen.started_at),
        finished_at=timestamp_to_proto(seen.finished_at),
        usage=_usage_to_proto(seen.usage),
        log_lines=seen.log_lines,
        logs_incomplete=seen.logs_incomplete,
        ports=seen.ports,
    )


def _usage_to_proto(usage: TreeUsage | None) -> job_pb2.Usage | None:
    if usage is None:
        return None
    return job_pb2.Usage(
        cpu_seconds=usage.cpu_seconds,
        memory_bytes=usage.memory_bytes,
        peak_memory_bytes=usage.peak_memory_bytes,
        processes=usage.processes,
        disk_bytes=usage.disk_bytes,
    )


def logs_to_proto(uid: AttemptUid, batch: LogBatch) -> worker_pb2.LogBatch:
    """Consecutive lines of one attempt."""
    return worker_pb2.LogBatch(
        attempt_uid=uid,
        first_index=batch.first_index,
        runs=[
            job_pb2.LogRun(
                time_ns=run.time_ns,
                stream=_LOG_STREAMS.to_proto(run.stream),
                text=b"\n".join(run.texts),
            )
            for run in batch.runs
        ],
    )


def observed(seen: Iterable[Observation]) -> worker_pb2.WorkerMessage:
    """Up: what has changed."""
    attempts = [observation_to_proto(one) for one in seen]
    return worker_pb2.WorkerMessage(observed=worker_pb2.Observed(attempts=attempts))


def heartbeat(running: Iterable[Observation]) -> worker_pb2.WorkerMessage:
    """Up: still here, with fresh usage."""
    attempts = [observation_to_proto(one) for one in running]
    return worker_pb2.WorkerMessage(heartbeat=worker_pb2.Heartbeat(running=attempts))


def logs(uid: AttemptUid, batch: LogBatch) -> worker_pb2.WorkerMessage:
    """Up: lines."""
    return worker_pb2.WorkerMessage(logs=logs_to_proto(uid, batch))


def health(problems: Iterable[HealthProblem]) -> worker_pb2.WorkerMessage:
    """Up: why the worker is not well; nothing: it is."""
    return worker_pb2.WorkerMessage(health=health_to_proto(problems))


def health_to_proto(problems: Iterable[HealthProblem]) -> worker_pb2.WorkerHealth:
    """The same, as it is part of a Hello."""
    return worker_pb2.WorkerHealth(problems=problems_to_proto(problems))


def goodbye(reason: str) -> worker_pb2.WorkerMessage:
    """Up: the last message."""
    return worker_pb2.WorkerMessage(goodbye=worker_pb2.Goodbye(reason=reason))
