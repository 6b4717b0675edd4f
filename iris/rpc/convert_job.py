"""Jobs, resources and pending reasons between model and wire.

What comes in is checked: InvalidArgument says what is wrong.
"""

from iris_proto import job_pb2, worker_pb2

from iris.model.callables import CallableEntrypoint
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.environment import EnvironmentSpec
from iris.model.errors import InvalidArgument
from iris.model.job import Entrypoint, ExistingJobPolicy, Gang, JobSpec
from iris.model.pending import PendingCode, PendingReason, RuleCount
from iris.model.priority import PriorityBand
from iris.model.resources import Resources, accelerators_of
from iris.model.states import JobState, TaskState
from iris.model.taints import Toleration
from iris.rpc.convert_values import EnumTable, duration_from_proto, duration_to_proto

TASK_STATES = EnumTable(TaskState, job_pb2.TaskState, "TASK_")
JOB_STATES = EnumTable(JobState, job_pb2.JobState, "JOB_")
PENDING_CODES = EnumTable(PendingCode, job_pb2.PendingCode)
CONSTRAINT_OPS = EnumTable(ConstraintOp, job_pb2.ConstraintOp)
PRIORITY_BANDS = EnumTable(PriorityBand, job_pb2.PriorityBand)
EXISTING_JOB_POLICIES = EnumTable(ExistingJobPolicy, job_pb2.ExistingJobPolicy, "EXISTING_JOB_")


def resources_to_proto(resources: Resources) -> job_pb2.Resources:
    """`"tpu/v5litepod-16"` becomes type and variant."""
    accelerators = []
    for kind, count in resources.accelerators:
        name, _, variant = kind.partition("/")
        accelerators.append(job_pb2.Accelerator(type=name, variant=variant, count=count))
    return job_pb2.Resources(
        cpu_millis=resources.cpu_millis,
        memory_bytes=resources.memory_bytes,
        disk_bytes=resources.disk_bytes,
        accelerators=accelerators,
        ports=resources.ports,
    )


def resources_from_proto(message: job_pb2.Resources) -> Resources:
    """Raises InvalidArgument for an accelerator without a type.

    Amounts are not judged here: free ones may be negative.
    """
    counts: dict[str, int] = {}
    for accelerator in message.accelerators:
        if not accelerator.type or "/" in accelerator.type:
            raise InvalidArgument(
                f"{accelerator.type!r} is no accelerator type.", hint='Use e.g. "tpu" or "gpu".'
            )
        kind = (
            f"{accelerator.type}/{accelerator.variant}" if accelerator.variant else accelerator.type
        )
        counts[kind] = counts.get(kind, 0) + accelerator.count
    return Resources(
        message.cpu_millis,
        message.memory_bytes,
        message.disk_bytes,
        accelerators_of(counts),
        message.ports,
    )


def constraint_to_proto(constraint: Constraint) -> job_pb2.Constraint:
    """See constraint_from_proto."""
    return job_pb2.Constraint(
        attribute=constraint.attribute,
        op=CONSTRAINT_OPS.to_proto(constraint.op),
        values=constraint.values,
        preferred=not constraint.required,
    )


def constraint_from_proto(message: job_pb2.Constraint) -> Constraint:
    """Raises InvalidArgument."""
    return Constraint(
        message.attribute,
        CONSTRAINT_OPS.from_proto(message.op),
        tuple(message.values),
        required=not message.preferred,
    )


def toleration_to_proto(toleration: Toleration) -> job_pb2.Toleration:
    """A value of None, which is any, stays absent."""
    return job_pb2.Toleration(key=toleration.key, value=toleration.value)


def toleration_from_proto(message: job_pb2.Toleration) -> Toleration:
    """Raises InvalidArgument."""
    return Toleration(message.key, message.value if message.HasField("value") else None)


def environment_to_proto(environment: EnvironmentSpec | None) -> job_pb2.EnvironmentSpec | None:
    """None, for a field of a message, leaves it absent."""
    if environment is None:
        return None
    return job_pb2.EnvironmentSpec(
        python=environment.python,
        lock_file=environment.lock_file,
        wheelhouse=environment.wheelhouse,
        setup=environment.setup,
    )


def environment_from_proto(
    message: job_pb2.JobSpec | worker_pb2.AttemptSpec,
) -> EnvironmentSpec | None:
    """The message's `environment`. Raises InvalidArgument."""
    if not message.HasField("environment"):
        return None
    said = message.environment
    return EnvironmentSpec(said.python, said.lock_file, said.wheelhouse, tuple(said.setup))


def entrypoint_to_proto(entrypoint: Entrypoint) -> job_pb2.Entrypoint:
    """See entrypoint_from_proto."""
    called = entrypoint.callable
    if called is None:
        return job_pb2.Entrypoint(argv=entrypoint.argv)
    return job_pb2.Entrypoint(
        callable=job_pb2.CallableEntrypoint(
            pickled=called.pickled, python=called.python, name=called.name
        )
    )


def entrypoint_from_proto(message: job_pb2.Entrypoint) -> Entrypoint:
    """Raises InvalidArgument."""
    called = message.callable
    return Entrypoint(
        tuple(message.argv),
        CallableEntrypoint(called.pickled, called.python, called.name)
        if message.HasField("callable")
        else None,
    )


def job_spec_to_proto(spec: JobSpec) -> job_pb2.JobSpec:
    """See job_spec_from_proto."""
    return job_pb2.JobSpec(
        entrypoint=entrypoint_to_proto(spec.entrypoint),
        resources=resources_to_proto(spec.resources),
        replicas=spec.replicas,
        constraints=[constraint_to_proto(constraint) for constraint in spec.constraints],
        gang=job_pb2.Gang(group_by=spec.gang.group_by) if spec.gang else None,
        env=dict(spec.env),
        bundle_digest=spec.bundle_digest,
        port_names=spec.port_names,
        max_retries_failure=spec.max_retries_failure,
        max_retries_preemption=spec.max_retries_preemption,
        stop_grace=duration_to_proto(spec.stop_grace),
        priority=PRIORITY_BANDS.to_proto(spec.priority),
        tolerations=[toleration_to_proto(toleration) for toleration in spec.tolerations],
        max_task_failures=spec.max_task_failures,
        scheduling_timeout=duration_to_proto(spec.scheduling_timeout),
        timeout=duration_to_proto(spec.timeout),
        outlives_parent=spec.outlives_parent,
        task_timeout=duration_to_proto(spec.task_timeout),
        environment=environment_to_proto(spec.environment),
    )


def job_spec_from_proto(
    message: job_pb2.JobSpec, *, default_priority: PriorityBand = PriorityBand.INTERACTIVE
) -> JobSpec:
    """Raises InvalidArgument.

    The variables of `env` come out in order of their names, so equal maps make equal specs.

    Args:
        default_priority: The band of a job that leaves it open.
    """
    return JobSpec(
        entrypoint=entrypoint_from_proto(message.entrypoint),
        resources=resources_from_proto(message.resources),
        replicas=message.replicas,
        constraints=tuple(constraint_from_proto(constraint) for constraint in message.constraints),
        gang=Gang(message.gang.group_by) if message.HasField("gang") else None,
        env=tuple(sorted(message.env.items())),
        bundle_digest=message.bundle_digest,
        port_names=tuple(message.port_names),
        max_retries_failure=message.max_retries_failure,
        max_retries_preemption=message.max_retries_preemption,
        stop_grace=duration_from_proto(message, "stop_grace"),
        priority=PRIORITY_BANDS.from_proto(message.priority)
        if message.priority
        else default_priority,
        tolerations=tuple(toleration_from_proto(toleration) for toleration in message.tolerations),
        max_task_failures=message.max_task_failures,
        scheduling_timeout=duration_from_proto(message, "scheduling_timeout"),
        timeout=duration_from_proto(message, "timeout"),
        outlives_parent=message.outlives_parent,
        task_timeout=duration_from_proto(message, "task_timeout"),
        environment=environment_from_proto(message),
    )


def existing_job_policy_from_proto(value: int) -> ExistingJobPolicy:
    """Left open it is ERROR. Raises InvalidArgument for a number that is unknown."""
    return EXISTING_JOB_POLICIES.from_proto(value) if value else ExistingJobPolicy.ERROR


def pending_reason_to_proto(reason: PendingReason) -> job_pb2.PendingReason:
    """With its summary, so that every reader shows the same sentence."""
    return job_pb2.PendingReason(
        code=PENDING_CODES.to_proto(reason.code),
        subject=reason.subject,
        needed=reason.needed,
        nearest=reason.nearest,
        rules=[
            job_pb2.RuleCount(
                rule=PENDING_CODES.to_proto(count.rule),
                subject=count.subject,
                workers=count.workers,
            )
            for count in reason.rules
        ],
        hint=reason.hint,
        summary=reason.summary(),
    )


def pending_reason_from_proto(message: job_pb2.PendingReason) -> PendingReason:
    """The summary follows from the rest."""
    return PendingReason(
        code=PENDING_CODES.from_proto(message.code),
        subject=message.subject,
        needed=message.needed,
        nearest=message.nearest,
        rules=tuple(
            RuleCount(PENDING_CODES.from_proto(count.rule), count.subject, count.workers)
            for count in message.rules
        ),
        hint=message.hint,
    )
