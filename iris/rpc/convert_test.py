"""What goes onto the wire comes back equal; what makes no sense is refused with its value."""

from datetime import UTC, datetime, timedelta

import pytest
from iris_proto import cluster_pb2, job_pb2

from iris.model.callables import CallableEntrypoint
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.environment import EnvironmentSpec
from iris.model.errors import InvalidArgument
from iris.model.fleet import ManagedVm, ScaleGroup, Slice, VmState
from iris.model.ids import SliceId, WorkerId
from iris.model.job import Entrypoint, ExistingJobPolicy, Gang, JobSpec
from iris.model.pending import PendingCode, PendingReason, RuleCount
from iris.model.priority import PriorityBand
from iris.model.resources import GIB, Resources
from iris.model.states import TaskState
from iris.model.taints import Toleration
from iris.rpc import convert_fleet, convert_job, convert_values

FULL_SPEC = JobSpec(
    entrypoint=Entrypoint(("python3", "train.py", "ü ")),
    resources=Resources(1500, 2 * GIB, 3, (("gpu", 1), ("tpu/v5litepod-16", 4))),
    replicas=4,
    constraints=(
        Constraint("zone", ConstraintOp.IN, ("a", "b")),
        Constraint("spot", ConstraintOp.NOT_EXISTS),
        Constraint("memory-gb", ConstraintOp.GE, ("64",), required=False),
    ),
    gang=Gang("tpu-name"),
    env=(("A", "1"), ("B", "")),
    bundle_digest="sha256:" + "0" * 64,
    port_names=("http", "debug"),
    max_retries_failure=2,
    max_retries_preemption=0,
    stop_grace=timedelta(seconds=1.5),
    priority=PriorityBand.BATCH,
    tolerations=(Toleration("spot"), Toleration("team", "vision"), Toleration("rack", "")),
    scheduling_timeout=timedelta(minutes=5),
    timeout=timedelta(hours=2),
    outlives_parent=True,
    environment=EnvironmentSpec("3.11", "locks/gpu.txt", "wheels", ("make data", "ü")),
    task_timeout=timedelta(seconds=0.5),
)


@pytest.mark.parametrize(
    "spec",
    [
        FULL_SPEC,
        JobSpec(Entrypoint(("true",)), Resources()),
        JobSpec(Entrypoint(("true",)), Resources(), replicas=9, max_task_failures=3),
        JobSpec(
            Entrypoint(callable=CallableEntrypoint(b"\0\xff", "3.11", "train.main")), Resources()
        ),
    ],
    ids=["full", "least", "some may fail", "function"],
)
def test_job_spec_round_trip(spec: JobSpec) -> None:
    wire = convert_job.job_spec_to_proto(spec).SerializeToString()
    assert convert_job.job_spec_from_proto(job_pb2.JobSpec.FromString(wire)) == spec


@pytest.mark.parametrize("op", ConstraintOp)
def test_every_operator_travels(op: ConstraintOp) -> None:
    values = {ConstraintOp.EXISTS: (), ConstraintOp.NOT_EXISTS: ()}.get(op, ("1.5",))
    rule = Constraint("a", op, values)
    assert convert_job.constraint_from_proto(convert_job.constraint_to_proto(rule)) == rule


def test_a_rule_has_to_hold_unless_it_says_otherwise() -> None:
    message = job_pb2.Constraint(attribute="a", op=job_pb2.EXISTS)
    assert convert_job.constraint_from_proto(message).required


def test_ports_of_a_machine_travel() -> None:
    resources = Resources(1, 2, 3, (("gpu", 1),), ports=1000)
    message = convert_job.resources_to_proto(resources)
    assert convert_job.resources_from_proto(message) == resources


@pytest.mark.parametrize("band", PriorityBand)
def test_a_band_that_is_left_open_is_the_default(band: PriorityBand) -> None:
    message = convert_job.job_spec_to_proto(JobSpec(Entrypoint(("x",)), Resources()))
    said = convert_job.job_spec_from_proto(message, default_priority=band)
    assert said.priority is PriorityBand.INTERACTIVE
    message.ClearField("priority")
    assert convert_job.job_spec_from_proto(message, default_priority=band).priority is band


@pytest.mark.parametrize("policy", ExistingJobPolicy)
def test_policies_travel_and_the_default_is_error(policy: ExistingJobPolicy) -> None:
    wire = convert_job.EXISTING_JOB_POLICIES.to_proto(policy)
    assert convert_job.existing_job_policy_from_proto(wire) is policy
    assert convert_job.existing_job_policy_from_proto(0) is ExistingJobPolicy.ERROR
    with pytest.raises(InvalidArgument, match="99 is no ExistingJobPolicy"):
        convert_job.existing_job_policy_from_proto(99)


def test_the_order_of_env_on_the_wire_does_not_matter() -> None:
    one = job_pb2.JobSpec(
        entrypoint=job_pb2.Entrypoint(argv=["x"]), replicas=1, env={"B": "2", "A": "1"}
    )
    other = job_pb2.JobSpec(
        entrypoint=job_pb2.Entrypoint(argv=["x"]), replicas=1, env={"A": "1", "B": "2"}
    )
    assert convert_job.job_spec_from_proto(one) == convert_job.job_spec_from_proto(other)


def test_a_zero_stop_grace_is_not_an_absent_one() -> None:
    message = convert_job.job_spec_to_proto(
        JobSpec(Entrypoint(("x",)), Resources(), stop_grace=timedelta(0))
    )
    assert convert_job.job_spec_from_proto(message).stop_grace == timedelta(0)


def test_pending_reason_round_trip() -> None:
    reason = PendingReason(
        PendingCode.INSUFFICIENT_RESOURCE,
        "cpu",
        "8 cores",
        "4 cores",
        (RuleCount(PendingCode.CONSTRAINT_UNMET, "zone", 3),),
        "Ask for less.",
    )
    message = convert_job.pending_reason_to_proto(reason)
    assert convert_job.pending_reason_from_proto(message) == reason
    assert message.summary == reason.summary()


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (job_pb2.JobSpec(replicas=1), "no program"),
        (job_pb2.JobSpec(entrypoint=job_pb2.Entrypoint(argv=["x"])), "replicas is 0"),
        (
            job_pb2.JobSpec(
                entrypoint=job_pb2.Entrypoint(argv=["x"]),
                replicas=1,
                constraints=[job_pb2.Constraint(attribute="a")],
            ),
            "0 is no ConstraintOp",
        ),
        (
            job_pb2.JobSpec(
                entrypoint=job_pb2.Entrypoint(argv=["x"]),
                replicas=1,
                resources=job_pb2.Resources(accelerators=[job_pb2.Accelerator(count=1)]),
            ),
            "'' is no accelerator type",
        ),
        (
            job_pb2.JobSpec(
                entrypoint=job_pb2.Entrypoint(argv=["x"]),
                replicas=1,
                tolerations=[job_pb2.Toleration(key="a b")],
            ),
            "'a b' is no taint",
        ),
        (
            job_pb2.JobSpec(
                entrypoint=job_pb2.Entrypoint(argv=["x"]),
                replicas=1,
                resources=job_pb2.Resources(ports=2),
                port_names=["http"],
            ),
            "2 ports and names 1",
        ),
    ],
)
def test_bad_specs_are_refused_with_the_value(message: job_pb2.JobSpec, names: str) -> None:
    with pytest.raises(InvalidArgument, match=names):
        convert_job.job_spec_from_proto(message)


def test_an_enum_that_lacks_a_twin_is_noticed_when_the_table_is_made() -> None:
    with pytest.raises((KeyError, ValueError)):
        convert_values.EnumTable(TaskState, job_pb2.JobState, "JOB_")
    with pytest.raises((KeyError, ValueError)):
        convert_values.EnumTable(VmState, job_pb2.TaskState, "TASK_")


def test_unknown_numbers_are_refused() -> None:
    for number in (0, 999):
        with pytest.raises(InvalidArgument, match=f"{number} is no TaskState"):
            convert_job.TASK_STATES.from_proto(number)


def test_times_keep_their_microseconds_and_absence() -> None:
    moment = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    message = job_pb2.AttemptStatus(started_at=convert_values.timestamp_to_proto(moment))
    assert convert_values.timestamp_from_proto(message, "started_at") == moment
    assert convert_values.timestamp_from_proto(message, "finished_at") is None


def test_slices_and_groups() -> None:
    vm = ManagedVm("vm-0", VmState.BOOTING, WorkerId("w0"), "127.0.0.1", "slow")
    slice_ = Slice(
        SliceId("s1"), "cpu", VmState.BOOTING, datetime(2026, 1, 1, tzinfo=UTC), (vm,), "slow"
    )
    group = ScaleGroup("cpu", "local", Resources(1000, GIB), vms_per_slice=2, max_slices=3)
    message = convert_fleet.scale_group_to_proto(group, (slice_,), "rests")
    assert (message.name, message.vms_per_slice, message.max_slices, message.problem) == (
        "cpu",
        2,
        3,
        "rests",
    )
    assert message.slices[0].vms[0] == cluster_pb2.VmStatus(
        vm_id="vm-0",
        state=cluster_pb2.VM_BOOTING,
        worker_id="w0",
        address="127.0.0.1",
        problem="slow",
    )
    assert convert_fleet.slice_to_proto(slice_, "g1").group_id == "g1"
