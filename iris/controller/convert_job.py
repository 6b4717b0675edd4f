"""Records onto the wire: jobs, tasks, attempts and what a worker needs to run one."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice

from iris_proto import job_pb2, worker_pb2

from iris.controller.state.events import Observation
from iris.controller.state.explain import Explanation
from iris.controller.state.jobs import Job
from iris.controller.state.machine import REPORTABLE, ControllerState
from iris.controller.state.records import AttemptRecord, JobRecord, Usage
from iris.controller.state.views import reason_for
from iris.model.errors import InvalidArgument
from iris.model.ids import AttemptUid, task_id
from iris.model.job import JobSpec
from iris.model.pending import PendingReason
from iris.model.published import TaskOutput
from iris.model.states import JobState, TaskState
from iris.rpc.convert_job import (
    JOB_STATES,
    PRIORITY_BANDS,
    TASK_STATES,
    entrypoint_to_proto,
    environment_to_proto,
    job_spec_to_proto,
    pending_reason_to_proto,
    resources_to_proto,
)
from iris.rpc.convert_values import duration_to_proto, timestamp_from_proto, timestamp_to_proto

# Of each task, the latest attempts are described; the counts of failures cover all.
ATTEMPTS_DESCRIBED = 20
# Delayed retries have a reason each, so there may be as many as tasks.
REASONS_DESCRIBED = 50

_FAILURES = frozenset({TaskState.FAILED, TaskState.WORKER_FAILED, TaskState.PREEMPTED})


def job_status(job: Job) -> job_pb2.JobStatus:
    """A job without its tasks."""
    record = job.record
    return job_pb2.JobStatus(
        job_id=record.job_id,
        spec=_spec_shown(record.spec),
        state=JOB_STATES.to_proto(record.state),
        error=record.error,
        submitted_at=timestamp_to_proto(record.submitted_at),
        started_at=timestamp_to_proto(record.started_at),
        finished_at=timestamp_to_proto(record.finished_at),
        counts=_counts(sorted(job.counts.items(), key=lambda item: item[0].name)),
        version=record.version,
        placed_at=timestamp_to_proto(record.placed_at),
        retries=record.retries,
    )


def _spec_shown(spec: JobSpec) -> job_pb2.JobSpec:
    """Without a pickled function, which may be a thousand times as large as all the rest."""
    shown = job_spec_to_proto(spec)
    if spec.entrypoint.callable is not None:
        shown.entrypoint.callable.ClearField("pickled")
    return shown


def job_explanation(explanation: Explanation) -> job_pb2.JobExplanation:
    """Where a job stands and why."""
    return job_pb2.JobExplanation(
        job_id=explanation.job_id,
        state=JOB_STATES.to_proto(explanation.state),
        band=PRIORITY_BANDS.to_proto(explanation.band),
        counts=_counts(explanation.counts),
        waiting=[
            job_pb2.WaitingTasks(
                reason=pending_reason_to_proto(group.reason),
                tasks=group.tasks,
                first_index=group.first_index,
            )
            for group in explanation.waiting[:REASONS_DESCRIBED]
        ],
        error=explanation.error,
        submitted_at=timestamp_to_proto(explanation.submitted_at),
        placed_at=timestamp_to_proto(explanation.placed_at),
        started_at=timestamp_to_proto(explanation.started_at),
        finished_at=timestamp_to_proto(explanation.finished_at),
        next_retry_at=timestamp_to_proto(explanation.next_retry_at),
        unschedulable_at=timestamp_to_proto(explanation.unschedulable_at),
        times_out_at=timestamp_to_proto(explanation.times_out_at),
        retries=explanation.retries,
        summary=explanation.summary(),
        parent=explanation.parent or "",
        children=explanation.children,
    )


def _counts(counts: Iterable[tuple[TaskState, int]]) -> list[job_pb2.TaskCount]:
    return [
        job_pb2.TaskCount(state=TASK_STATES.to_proto(state), tasks=count)
        for state, count in counts
        if count
    ]


def job_status_with_tasks(
    state: ControllerState, job: Job, reason: PendingReason | None, max_tasks: int, now: datetime
) -> job_pb2.JobStatus:
    """A job and at most so many of its tasks; `reason` is why those that could start do not."""
    status = job_status(job)
    status.tasks.extend(
        task_status(state, job, index, reason, now) for index in _described(job, max_tasks)
    )
    return status


def _described(job: Job, max_tasks: int) -> Iterable[int]:
    """The first tasks; of a job that failed also, and before others, those that it failed of."""
    if len(job.tasks) <= max_tasks or job.record.state is not JobState.FAILED:
        return range(min(max_tasks, len(job.tasks)))
    failed = [task.index for task in job.tasks if task.state in _FAILURES][:max_tasks]
    chosen = set(failed)
    others = (index for index in range(len(job.tasks)) if index not in chosen)
    return sorted([*failed, *islice(others, max_tasks - len(failed))])


def task_status(
    state: ControllerState, job: Job, index: int, reason: PendingReason | None, now: datetime
) -> job_pb2.TaskStatus:
    """A task, why it waits if it does, and its latest attempts, oldest first."""
    task = job.tasks[index]
    latest = list(state.jobs.attempts_of(job, index))[-ATTEMPTS_DESCRIBED:]
    return job_pb2.TaskStatus(
        task_id=task_id(job.job_id, index),
        index=index,
        state=TASK_STATES.to_proto(task.state),
        pending=pending_reason_to_proto(reason_for(job, index, reason, now))
        if task.state is TaskState.PENDING
        else None,
        attempts=[attempt_status(attempt, state.usage_of(attempt)) for attempt in latest],
        failures=task.failures,
        preemptions=task.preemptions,
        error=task.error,
    )


def attempt_status(attempt: AttemptRecord, usage: Usage | None) -> job_pb2.AttemptStatus:
    """An attempt and what it uses, or used."""
    return job_pb2.AttemptStatus(
        attempt_uid=attempt.uid,
        number=attempt.number,
        worker_id=attempt.worker_id,
        state=TASK_STATES.to_proto(attempt.state),
        exit_code=attempt.exit_code,
        signal=attempt.signal,
        error=attempt.error,
        assigned_at=timestamp_to_proto(attempt.assigned_at),
        started_at=timestamp_to_proto(attempt.started_at),
        finished_at=timestamp_to_proto(attempt.finished_at),
        usage=usage_to_proto(usage),
        logs_complete=attempt.logs_complete,
        ports=dict(attempt.ports),
        stop_reason=attempt.stop_reason,
        outputs=map(output_to_proto, attempt.outputs),
    )


def output_to_proto(output: TaskOutput) -> job_pb2.TaskOutput:
    """What an attempt has published."""
    return job_pb2.TaskOutput(name=output.name, digest=output.digest, bytes=output.size_bytes)


def attempt_spec(
    job: JobRecord,
    attempt: AttemptRecord,
    peer_hosts: Iterable[str],
    stop_grace: timedelta,
    task_token: str,
) -> worker_pb2.AttemptSpec:
    """What a worker needs to run it; `stop_grace` is the cluster's, for jobs without one."""
    spec = job.spec
    return worker_pb2.AttemptSpec(
        task_id=attempt.task_id,
        job_id=job.job_id,
        task_index=attempt.index,
        num_tasks=spec.replicas,
        number=attempt.number,
        entrypoint=entrypoint_to_proto(spec.entrypoint),
        resources=resources_to_proto(spec.resources),
        env=dict(spec.env),
        bundle_digest=spec.bundle_digest,
        port_names=spec.port_names,
        stop_grace=duration_to_proto(stop_grace if spec.stop_grace is None else spec.stop_grace),
        peer_hosts=peer_hosts,
        environment=environment_to_proto(spec.environment),
        task_timeout=duration_to_proto(spec.task_timeout),
        task_token=task_token,
    )


def observation_from_proto(message: worker_pb2.Observation, *, logs_complete: bool) -> Observation:
    """What a worker says of an attempt.

    Raises InvalidArgument for a state that it cannot report.
    """
    state = TASK_STATES.from_proto(message.state)
    if state not in REPORTABLE:
        raise InvalidArgument(
            f"A worker reports attempt {message.attempt_uid} as {state.name}.",
            hint=f"It can report {', '.join(sorted(known.name for known in REPORTABLE))}.",
        )
    return Observation(
        attempt_uid=AttemptUid(message.attempt_uid),
        state=state,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal if message.HasField("signal") else None,
        error=message.error,
        started_at=timestamp_from_proto(message, "started_at"),
        finished_at=timestamp_from_proto(message, "finished_at"),
        usage=usage_from_proto(message.usage) if message.HasField("usage") else None,
        logs_complete=logs_complete,
        ports=tuple(sorted(message.ports.items())),
    )


def usage_to_proto(usage: Usage | None) -> job_pb2.Usage | None:
    """None stays None."""
    if usage is None:
        return None
    return job_pb2.Usage(
        cpu_seconds=usage.cpu_seconds,
        memory_bytes=usage.memory_bytes,
        peak_memory_bytes=usage.peak_memory_bytes,
        processes=usage.processes,
        disk_bytes=usage.disk_bytes,
    )


def usage_from_proto(message: job_pb2.Usage) -> Usage:
    """See usage_to_proto."""
    return Usage(
        message.cpu_seconds,
        message.memory_bytes,
        message.peak_memory_bytes,
        message.processes,
        message.disk_bytes,
    )
