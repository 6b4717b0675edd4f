"""The cluster's status onto the wire: scale groups, slices, decisions and workers."""

from datetime import datetime

from iris_proto import cluster_pb2

from iris.autoscaler.demand import ScalingAction, ScalingDecision, ScalingReason, ScalingReport
from iris.controller.state.fleet import Fleet, Worker
from iris.rpc.convert_fleet import problems_to_proto, scale_group_to_proto
from iris.rpc.convert_job import resources_to_proto
from iris.rpc.convert_values import EnumTable, timestamp_to_proto

SCALING_ACTIONS = EnumTable(ScalingAction, cluster_pb2.ScalingAction)
SCALING_REASONS = EnumTable(ScalingReason, cluster_pb2.ScalingReason)


def add_scaling_report(status: cluster_pb2.ClusterStatus, report: ScalingReport) -> None:
    """Fills in groups, their slices and the latest decisions."""
    status.groups.extend(
        scale_group_to_proto(group.group, group.slices, group.problem) for group in report.groups
    )
    status.decisions.extend(decision_to_proto(decision) for decision in report.decisions)


def decision_to_proto(decision: ScalingDecision) -> cluster_pb2.ScalingDecision:
    """One decision, or one demand that was left unmet."""
    return cluster_pb2.ScalingDecision(
        at=timestamp_to_proto(decision.at),
        action=SCALING_ACTIONS.to_proto(decision.action),
        reason=SCALING_REASONS.to_proto(decision.reason),
        scale_group=decision.scale_group,
        slice_id=decision.slice_id or "",
        job_id=decision.job_id or "",
        summary=decision.summary,
    )


def worker_to_proto(
    fleet: Fleet, worker: Worker, last_seen: datetime | None
) -> cluster_pb2.WorkerStatus:
    """A worker as the controller sees it."""
    record = worker.record
    return cluster_pb2.WorkerStatus(
        worker_id=record.worker_id,
        incarnation_id=record.incarnation_id,
        slice_id=record.slice_id,
        scale_group=record.scale_group,
        total=resources_to_proto(record.total),
        free=resources_to_proto(worker.free),
        attributes=dict(record.attributes),
        connected=worker.connected,
        draining=fleet.is_draining(worker),
        attempts=len(worker.attempts),
        last_seen=timestamp_to_proto(last_seen),
        isolation=record.isolation,
        problems=problems_to_proto(record.problems),
    )
