"""Which jobs are taken, and what becomes of one that has the name already."""

from dataclasses import dataclass, replace

from iris_proto import controller_pb2

from iris.autoscaler.demand import CapacityPlanner, Demand
from iris.controller.bundle_store import BundleStore
from iris.controller.options import ControllerOptions, UnschedulablePolicy
from iris.controller.state.jobs import Job
from iris.controller.state.machine import ControllerState
from iris.model.constraints import required
from iris.model.errors import FailedPrecondition, InvalidArgument
from iris.model.ids import JobId, parent_of, parse_job_id
from iris.model.job import ExistingJobPolicy, JobSpec
from iris.model.pending import PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import format_bytes
from iris.rpc.convert_job import existing_job_policy_from_proto, job_spec_from_proto

# A spec travels in every status of its job and to every worker that runs a task of it.
MAX_SPEC_BYTES = 1 << 20
# Long enough for any kind of unique name; it is kept with its job.
MAX_REQUEST_ID = 128


@dataclass(frozen=True, slots=True)
class Launch:
    """One request for a job."""

    job_id: JobId
    spec: JobSpec
    policy: ExistingJobPolicy
    request_id: str

    def made(self, known: Job | None) -> bool:
        """Whether this very request, sent before, made the job that has the name."""
        return (
            known is not None
            and self.request_id != ""
            and known.record.request_id == self.request_id
        )

    def accepts(self, known: Job) -> bool:
        """Whether the job that has the name is what was asked for. If not, the state decides."""
        match self.policy:
            case _ if self.made(known):
                return True
            case ExistingJobPolicy.ERROR:
                return known.record.spec == self.spec
            case ExistingJobPolicy.KEEP:
                return not known.record.state.is_terminal
            case ExistingJobPolicy.REPLACE:
                return False

    def has_to_end(self, known: Job) -> bool:
        """Whether the job that has the name has to end before this one can be submitted."""
        replaces = self.policy is ExistingJobPolicy.REPLACE and not self.made(known)
        return replaces and not known.record.state.is_terminal


class SubmissionRules:
    """For one controller."""

    def __init__(
        self, planner: CapacityPlanner, bundles: BundleStore, options: ControllerOptions
    ) -> None:
        self._planner = planner
        self._bundles = bundles
        self._options = options

    def read(self, request: controller_pb2.LaunchJobRequest, state: ControllerState) -> Launch:
        """The request; a child that leaves its band open has its parent's.

        Raises InvalidArgument for one that can never be taken.
        """
        job_id, message = parse_job_id(request.job_id), request.spec
        called = message.entrypoint.callable
        size = message.ByteSize() - len(called.pickled)  # that has a bound of its own
        if size > MAX_SPEC_BYTES:
            raise InvalidArgument(
                f"The job's specification has {format_bytes(size)}; "
                f"at most {format_bytes(MAX_SPEC_BYTES)} are taken.",
                hint="Put large values into the bundle instead of env or argv.",
            )
        parent_id = parent_of(job_id)
        parent = state.jobs.get(parent_id) if parent_id is not None else None
        band = PriorityBand.INTERACTIVE if parent is None else parent.record.spec.priority
        spec = job_spec_from_proto(message, default_priority=band)
        if spec.entrypoint.callable is not None and not called.pickled:
            raise InvalidArgument(
                f"The function {called.name} is named, and not there.",
                hint="A job's status does not hold it: make the entrypoint anew (entrypoint_of).",
            )
        if spec.replicas > self._options.max_replicas:
            raise InvalidArgument(
                f"The job has {spec.replicas:,} replicas; at most {self._options.max_replicas:,} "
                "are taken.",
                hint="Submit several jobs, or raise submission.max_replicas.",
            )
        if len(request.request_id) > MAX_REQUEST_ID:
            raise InvalidArgument(
                f"request_id has {len(request.request_id)} characters.",
                hint=f"At most {MAX_REQUEST_ID} are taken.",
            )
        policy = existing_job_policy_from_proto(request.policy)
        return Launch(job_id, spec, policy, request.request_id)

    def check(self, job_id: JobId, spec: JobSpec) -> None:
        """Whether a new job can be taken as things are. Raises FailedPrecondition."""
        if spec.bundle_digest and not self._bundles.has(spec.bundle_digest):
            raise FailedPrecondition(
                f"The controller has no bundle {spec.bundle_digest}.",
                hint="Upload it first, then submit the job.",
            )
        environment = spec.environment
        if environment is not None and environment.needs_bundle and not spec.bundle_digest:
            raise FailedPrecondition(
                f"The job names the lock file {environment.lock_file!r} and has no bundle.",
                hint="Submit it with the bundle that has the file.",
            )
        if self._options.unschedulable is UnschedulablePolicy.ACCEPT:
            return
        demand = Demand(
            job_id,
            spec.resources,
            required(spec.constraints),
            spec.gang,
            spec.replicas,
            spec.tolerations,
            spec.priority,
        )
        groups, reason = self._planner.fitting_groups(demand)
        if not groups:
            raise _misfit(job_id, reason)


def _misfit(job_id: JobId, reason: PendingReason | None) -> FailedPrecondition:
    hint = "Ask for less, or add a scale group that fits."
    if reason is None:
        return FailedPrecondition(f"No scale group could ever run {job_id}.", hint=hint)
    why = replace(reason, hint="").summary().rstrip(".")
    return FailedPrecondition(f"{job_id} cannot be run: {why}.", hint=reason.hint or hint)
