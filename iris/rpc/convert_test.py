"""What goes onto the wire comes back equal; what makes no sense is refused with its value."""

from datetime import UTC, datetime, timedelta

import pytest
from iris_proto import cluster_pb2, job_pb2

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.errors import InvalidArgument
from iris.model.fleet import ManagedVm, ScaleGroup, Slice, VmState
from iris.model.ids import SliceId, WorkerId
from iris.model.job import Entrypoint, Gang, JobSpec
from iris.model.pending import PendingCode, PendingReason, RuleCount
from iris.model.resources import GIB, Resources
from iris.model.states import TaskState
from iris.rpc import convert_fleet, convert_job, convert_values

FULL_SPEC = JobSpec(
    entrypoint=Entrypoint(("python3", "train.py", "ü ")),
    resources=Resources(1500, 2 * GIB, 3, (("gpu", 1), ("tpu/v5litepod-16", 4))),
    replicas=4,
    constraints=(
        Constraint("zone", ConstraintOp.IN, ("a", "b")),
        Constraint("spot", ConstraintOp.NOT_EXISTS),
    ),
    gang=Gang("tpu-name"),
    env=(("A", "1"), ("B", "")),
    bundle_digest="sha256:" + "0" * 64,
    port_names=("http", "debug"),
    max_retries_failure=2,
    max_retries_preemption=0,
    stop_grace=timedelta(seconds=1.5),
)


@pytest.mark.parametrize(
    "spec", [FULL_SPEC, JobSpec(Entrypoint(("true",)), Resources())], ids=["full", "least"]
)
def test_job_spec_round_trip(spec: JobSpec) -> None:
    wire = convert_job.job_spec_to_proto(spec).SerializeToString()
    assert convert_job.job_spec_from_proto(job_pb2.JobSpec.FromString(wire)) == spec


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
