"""The protos of a controller's answers as views. Raises InvalidArgument for what this version of
Iris cannot read.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from iris_proto import cluster_pb2, controller_pb2, job_pb2

from iris.client.published_calls import output_view
from iris.client.views import (
    AttemptView,
    BackUpView,
    BudgetView,
    ClusterView,
    DecisionView,
    ExplanationView,
    HealthView,
    JobView,
    LogLine,
    LogStream,
    ScaleGroupView,
    TaskView,
    UsageView,
    WaitingTasks,
    WorkerView,
)
from iris.model.fleet import ManagedVm, Slice, VmPhase
from iris.model.ids import AttemptUid, JobId, SliceId, TaskId, WorkerId
from iris.model.states import TaskState
from iris.rpc.convert_fleet import VM_STATES, problems_from_proto
from iris.rpc.convert_job import (
    JOB_STATES,
    PRIORITY_BANDS,
    TASK_STATES,
    job_spec_from_proto,
    pending_reason_from_proto,
    resources_from_proto,
)
from iris.rpc.convert_values import EnumTable, timestamp_from_proto

LOG_STREAMS = EnumTable(LogStream, job_pb2.LogStream)
_NO_TIME = datetime.fromtimestamp(0, UTC)


def job_view(message: job_pb2.JobStatus) -> JobView:
    """A job."""
    return JobView(
        job_id=JobId(message.job_id),
        spec=job_spec_from_proto(message.spec),
        state=JOB_STATES.from_proto(message.state),
        error=message.error,
        submitted_at=timestamp_from_proto(message, "submitted_at"),
        started_at=timestamp_from_proto(message, "started_at"),
        finished_at=timestamp_from_proto(message, "finished_at"),
        counts=_counts(message.counts),
        tasks=tuple(_task_view(task) for task in message.tasks),
        version=message.version,
        placed_at=timestamp_from_proto(message, "placed_at"),
        retries=message.retries,
    )


def explanation_view(message: job_pb2.JobExplanation) -> ExplanationView:
    """Where a job stands and why."""
    return ExplanationView(
        job_id=JobId(message.job_id),
        state=JOB_STATES.from_proto(message.state),
        band=PRIORITY_BANDS.from_proto(message.band),
        counts=_counts(message.counts),
        waiting=tuple(
            WaitingTasks(pending_reason_from_proto(group.reason), group.tasks, group.first_index)
            for group in message.waiting
        ),
        error=message.error,
        submitted_at=timestamp_from_proto(message, "submitted_at"),
        placed_at=timestamp_from_proto(message, "placed_at"),
        started_at=timestamp_from_proto(message, "started_at"),
        finished_at=timestamp_from_proto(message, "finished_at"),
        next_retry_at=timestamp_from_proto(message, "next_retry_at"),
        unschedulable_at=timestamp_from_proto(message, "unschedulable_at"),
        times_out_at=timestamp_from_proto(message, "times_out_at"),
        retries=message.retries,
        summary=message.summary,
        parent=JobId(message.parent) if message.parent else None,
        children=tuple(JobId(child) for child in message.children),
    )


def _counts(counts: Iterable[job_pb2.TaskCount]) -> tuple[tuple[TaskState, int], ...]:
    return tuple(
        (TASK_STATES.from_proto(count.state), count.tasks) for count in counts if count.tasks
    )


def _task_view(message: job_pb2.TaskStatus) -> TaskView:
    return TaskView(
        task_id=TaskId(message.task_id),
        index=message.index,
        state=TASK_STATES.from_proto(message.state),
        pending=pending_reason_from_proto(message.pending) if message.HasField("pending") else None,
        attempts=tuple(_attempt_view(attempt) for attempt in message.attempts),
        failures=message.failures,
        preemptions=message.preemptions,
    )


def _attempt_view(message: job_pb2.AttemptStatus) -> AttemptView:
    return AttemptView(
        attempt_uid=AttemptUid(message.attempt_uid),
        number=message.number,
        worker_id=WorkerId(message.worker_id),
        state=TASK_STATES.from_proto(message.state),
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal if message.HasField("signal") else None,
        error=message.error,
        assigned_at=timestamp_from_proto(message, "assigned_at"),
        started_at=timestamp_from_proto(message, "started_at"),
        finished_at=timestamp_from_proto(message, "finished_at"),
        usage=_usage_view(message.usage) if message.HasField("usage") else None,
        logs_complete=message.logs_complete,
        ports=tuple(sorted(message.ports.items())),
        stop_reason=message.stop_reason,
        outputs=tuple(output_view(output) for output in message.outputs),
    )


def _usage_view(message: job_pb2.Usage) -> UsageView:
    return UsageView(
        message.cpu_seconds,
        message.memory_bytes,
        message.peak_memory_bytes,
        message.processes,
        message.disk_bytes,
    )


def log_lines(message: controller_pb2.TailLogsResponse) -> tuple[LogLine, ...]:
    """The lines of one message, all of one attempt, in order."""
    task, attempt, index = TaskId(message.task_id), message.attempt, message.first_index
    lines: list[LogLine] = []
    for run in message.runs:
        at = datetime.fromtimestamp(run.time_ns / 1e9, UTC)
        stream = LOG_STREAMS.from_proto(run.stream)
        texts = run.text.split(b"\n")
        index += run.skipped
        lines += [
            LogLine(task, attempt, number, at, stream, text)
            for number, text in enumerate(texts, start=index)
        ]
        index += len(texts)
    return tuple(lines)


def cluster_view(message: cluster_pb2.ClusterStatus) -> ClusterView:
    """A cluster."""
    return ClusterView(
        cluster=message.cluster,
        version=message.version,
        started_at=timestamp_from_proto(message, "started_at"),
        groups=tuple(_group_view(group) for group in message.groups),
        workers=tuple(worker_view(worker) for worker in message.workers),
        decisions=tuple(_decision_view(decision) for decision in message.decisions),
        machine=_budget_view(message.machine) if message.HasField("machine") else None,
        jobs_active=message.jobs_active,
        tasks_pending=message.tasks_pending,
        tasks_running=message.tasks_running,
        fault_injection=message.fault_injection,
    )


def _group_view(message: cluster_pb2.ScaleGroupStatus) -> ScaleGroupView:
    return ScaleGroupView(
        name=message.name,
        platform=message.platform,
        vm=resources_from_proto(message.vm),
        vms_per_slice=message.vms_per_slice,
        min_slices=message.min_slices,
        max_slices=message.max_slices,
        priority=message.priority,
        accelerator_variant=message.accelerator_variant,
        slices=tuple(_slice(group) for group in message.slices),
        problem=message.problem,
    )


def _slice(message: cluster_pb2.VmGroupStatus) -> Slice:
    return Slice(
        slice_id=SliceId(message.slice_id),
        scale_group=message.scale_group,
        state=VM_STATES.from_proto(message.state),
        created_at=timestamp_from_proto(message, "created_at") or _NO_TIME,
        vms=tuple(_vm(vm) for vm in message.vms),
        problem=message.problem,
    )


def _vm(message: cluster_pb2.VmStatus) -> ManagedVm:
    return ManagedVm(
        message.vm_id,
        VM_STATES.from_proto(message.state),
        WorkerId(message.worker_id),
        message.address,
        message.problem,
        message.step,
        tuple(
            VmPhase(
                VM_STATES.from_proto(phase.state),
                timestamp_from_proto(phase, "began_at") or _NO_TIME,
                phase.problem,
            )
            for phase in message.phases
        ),
    )


def worker_view(message: cluster_pb2.WorkerStatus) -> WorkerView:
    """A worker."""
    return WorkerView(
        worker_id=WorkerId(message.worker_id),
        incarnation_id=message.incarnation_id,
        slice_id=SliceId(message.slice_id),
        scale_group=message.scale_group,
        total=resources_from_proto(message.total),
        free=resources_from_proto(message.free),
        attributes=tuple(sorted(message.attributes.items())),
        connected=message.connected,
        draining=message.draining,
        attempts=message.attempts,
        last_seen=timestamp_from_proto(message, "last_seen"),
        isolation=message.isolation,
        problems=problems_from_proto(message.problems),
    )


def _decision_view(message: cluster_pb2.ScalingDecision) -> DecisionView:
    return DecisionView(
        at=timestamp_from_proto(message, "at") or _NO_TIME,
        action=_words(cluster_pb2.ScalingAction.Name(message.action)),
        reason=_words(cluster_pb2.ScalingReason.Name(message.reason)),
        scale_group=message.scale_group,
        slice_id=SliceId(message.slice_id) if message.slice_id else None,
        job_id=JobId(message.job_id) if message.job_id else None,
        summary=message.summary,
    )


def _words(enum_name: str) -> str:
    """`SCALE_UP` as `scale up`."""
    return enum_name.replace("_", " ").lower()


def _budget_view(message: cluster_pb2.MachineBudget) -> BudgetView:
    return BudgetView(
        resources_from_proto(message.total),
        resources_from_proto(message.reserved),
        message.oversubscribed,
    )


def health_view(message: controller_pb2.HealthResponse) -> HealthView:
    """A controller's health."""
    return HealthView(
        cluster=message.cluster,
        version=message.version,
        incarnation_id=message.incarnation_id,
        started_at=timestamp_from_proto(message, "started_at"),
        healthy=message.healthy,
        problem=message.problem,
    )


def back_up_view(message: controller_pb2.BackUpResponse) -> BackUpView:
    """A back-up that was made."""
    return BackUpView(message.path, message.bytes)
