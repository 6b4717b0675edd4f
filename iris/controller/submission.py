"""Which jobs are taken."""

from dataclasses import replace

from iris_proto import job_pb2

from iris.autoscaler.demand import CapacityPlanner, Demand
from iris.controller.bundle_store import BundleStore
from iris.controller.options import ControllerOptions, UnschedulablePolicy
from iris.model.errors import FailedPrecondition, InvalidArgument
from iris.model.ids import JobId
from iris.model.job import JobSpec
from iris.model.pending import PendingReason
from iris.model.resources import format_bytes
from iris.rpc.convert_job import job_spec_from_proto

# A spec travels in every status of its job and to every worker that runs a task of it.
MAX_SPEC_BYTES = 1 << 20


class SubmissionRules:
    """For one controller."""

    def __init__(
        self, planner: CapacityPlanner, bundles: BundleStore, options: ControllerOptions
    ) -> None:
        self._planner = planner
        self._bundles = bundles
        self._options = options

    def read(self, message: job_pb2.JobSpec) -> JobSpec:
        """The spec. Raises InvalidArgument for one that can never be taken."""
        if message.ByteSize() > MAX_SPEC_BYTES:
            raise InvalidArgument(
                f"The job's specification has {format_bytes(message.ByteSize())}; "
                f"at most {format_bytes(MAX_SPEC_BYTES)} are taken.",
                hint="Put large values into the bundle instead of env or argv.",
            )
        spec = job_spec_from_proto(message)
        if spec.replicas > self._options.max_replicas:
            raise InvalidArgument(
                f"The job has {spec.replicas:,} replicas; at most {self._options.max_replicas:,} "
                "are taken.",
                hint="Submit several jobs, or raise submission.max_replicas.",
            )
        return spec

    def check(self, job_id: JobId, spec: JobSpec) -> None:
        """Whether a new job can be taken as things are. Raises FailedPrecondition."""
        if spec.bundle_digest and not self._bundles.has(spec.bundle_digest):
            raise FailedPrecondition(
                f"The controller has no bundle {spec.bundle_digest}.",
                hint="Upload it first, then submit the job.",
            )
        if self._options.unschedulable is UnschedulablePolicy.ACCEPT:
            return
        demand = Demand(job_id, spec.resources, spec.constraints, spec.gang, spec.replicas)
        groups, reason = self._planner.fitting_groups(demand)
        if not groups:
            raise _misfit(job_id, reason)


def _misfit(job_id: JobId, reason: PendingReason | None) -> FailedPrecondition:
    hint = "Ask for less, or add a scale group that fits."
    if reason is None:
        return FailedPrecondition(f"No scale group could ever run {job_id}.", hint=hint)
    why = replace(reason, hint="").summary().rstrip(".")
    return FailedPrecondition(f"{job_id} cannot be run: {why}.", hint=reason.hint or hint)
