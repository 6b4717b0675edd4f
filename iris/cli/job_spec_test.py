"""What the flags of `job run` mean."""

from datetime import timedelta

import pytest

from iris.cli.arguments import JobRun
from iris.cli.cluster_arguments import ClusterFlags
from iris.cli.errors import UsageError
from iris.cli.job_spec import existing_job_policy_of, job_spec_of, parse_constraint
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.environment import EnvironmentSpec
from iris.model.job import ExistingJobPolicy, Gang
from iris.model.priority import PriorityBand
from iris.model.resources import GIB, MIB, Resources
from iris.model.taints import Toleration


def flags(**more: object) -> JobRun:
    return JobRun(ClusterFlags(), ("python3", "train.py"), **more)  # type: ignore[arg-type]


def test_what_a_job_is_by_default() -> None:
    spec = job_spec_of(flags())
    assert spec.entrypoint.argv == ("python3", "train.py")
    assert spec.resources == Resources(1000, 512 * MIB)
    assert (spec.replicas, spec.gang, spec.constraints, spec.port_names) == (1, None, (), ())
    assert (spec.max_retries_failure, spec.max_retries_preemption, spec.stop_grace) == (
        0,
        100,
        None,
    )
    assert spec.env == (("PYTHONUNBUFFERED", "1"),)
    assert (spec.priority, spec.tolerations) == (PriorityBand.INTERACTIVE, ())
    assert (spec.scheduling_timeout, spec.timeout, spec.max_task_failures) == (None, None, 0)
    assert not spec.outlives_parent
    assert spec.environment is None


def test_every_flag() -> None:
    spec = job_spec_of(
        flags(
            cpu="500m",
            memory="2GiB",
            disk="1GiB",
            replicas=3,
            gang_by="zone",
            env=("A=x=y", "PYTHONUNBUFFERED="),
            constraint=("zone=a",),
            port=("http",),
            retries=2,
            preemption_retries=0,
            stop_grace="1m30s",
            prefer=("memory-gb>=64", "!spot"),
            toleration=("spot", "team=vision", "rack="),
            priority="batch",
            scheduling_timeout="10m",
            timeout="2h",
            task_timeout="30m",
            outlives_parent=True,
            lock_file="locks/gpu.txt",
            wheelhouse="wheels",
            python="3.11",
            setup=("make data", "./check.sh"),
        )
    )
    assert spec.resources == Resources(500, 2 * GIB, GIB, ports=1)
    assert (spec.replicas, spec.gang) == (3, Gang("zone"))
    assert spec.env == (("A", "x=y"), ("PYTHONUNBUFFERED", ""))
    assert spec.constraints == (
        Constraint("zone", ConstraintOp.EQ, ("a",)),
        Constraint("memory-gb", ConstraintOp.GE, ("64",), required=False),
        Constraint("spot", ConstraintOp.NOT_EXISTS, required=False),
    )
    assert spec.tolerations == (
        Toleration("spot"),
        Toleration("team", "vision"),
        Toleration("rack", ""),
    )
    assert spec.priority is PriorityBand.BATCH
    assert (spec.scheduling_timeout, spec.timeout) == (timedelta(minutes=10), timedelta(hours=2))
    assert spec.task_timeout == timedelta(minutes=30)
    assert spec.outlives_parent
    assert spec.environment == EnvironmentSpec(
        "3.11", "locks/gpu.txt", "wheels", ("make data", "./check.sh")
    )
    assert spec.port_names == ("http",)
    assert (spec.max_retries_failure, spec.max_retries_preemption) == (2, 0)
    assert spec.stop_grace == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("tpu", "replicas", "tasks", "gang", "chips"),
    [
        ("v5litepod-16", None, 4, Gang("tpu-name"), 4),
        ("v5litepod-16", 1, 1, None, 4),
        ("v5litepod-16", 2, 2, Gang("tpu-name"), 4),
        ("v5litepod-8", None, 1, None, 8),
    ],
)
def test_a_tpu_slice_is_used_whole(
    tpu: str, replicas: int | None, tasks: int, gang: Gang | None, chips: int
) -> None:
    spec = job_spec_of(flags(tpu=tpu, replicas=replicas))
    assert (spec.replicas, spec.gang) == (tasks, gang)
    assert spec.resources == Resources(0, 0, 0, ((f"tpu/{tpu}", chips),))


@pytest.mark.parametrize(
    ("text", "op", "values"),
    [
        ("zone=a", ConstraintOp.EQ, ("a",)),
        ("zone=a=b", ConstraintOp.EQ, ("a=b",)),
        ("zone!=a", ConstraintOp.NE, ("a",)),
        ("zone in a,b, c", ConstraintOp.IN, ("a", "b", "c")),
        ("zone>1", ConstraintOp.GT, ("1",)),
        ("zone>=1.5", ConstraintOp.GE, ("1.5",)),
        ("zone < -1", ConstraintOp.LT, ("-1",)),
        ("zone<=1e3", ConstraintOp.LE, ("1e3",)),
        (" zone = a b ", ConstraintOp.EQ, ("a b",)),
        ("zone=>5", ConstraintOp.EQ, (">5",)),
        ("zone=x in y", ConstraintOp.EQ, ("x in y",)),
        ("zone", ConstraintOp.EXISTS, ()),
        ("!zone", ConstraintOp.NOT_EXISTS, ()),
    ],
)
def test_constraints(text: str, op: ConstraintOp, values: tuple[str, ...]) -> None:
    assert parse_constraint(text) == Constraint("zone", op, values)


def test_some_tasks_may_fail() -> None:
    assert job_spec_of(flags(replicas=10, max_task_failures=3)).max_task_failures == 3


@pytest.mark.parametrize("policy", ExistingJobPolicy)
def test_what_happens_to_a_job_of_that_name(policy: ExistingJobPolicy) -> None:
    assert existing_job_policy_of(flags(existing=policy.name.lower())) is policy
    assert existing_job_policy_of(flags()) is ExistingJobPolicy.ERROR


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"cpu": "two"}, "--cpu: 'two' is not a number of cores."),
        ({"memory": "4 gallons"}, "--memory: '4 gallons' is not a size."),
        ({"stop_grace": "soon"}, "--stop-grace: 'soon' is not a duration."),
        ({"tpu": "v9"}, "'v9' is no TPU type"),
        ({"replicas": 0}, "replicas is 0."),
        ({"retries": -1}, "max_retries_failure is -1."),
        ({"env": ("A",)}, "--env 'A' has no value."),
        ({"env": ("A=1", "A=2")}, "--env names A twice."),
        ({"env": ("1A=1",)}, "is no environment variable"),
        ({"env": ("IRIS_X=1",)}, "IRIS_X is Iris's own"),
        ({"port": ("8080",)}, "'8080' is no port name"),
        ({"constraint": ("zone=",)}, "The rule 'zone=' is not understood."),
        ({"constraint": ("zone<many",)}, "zone < compares with 'many'"),
        ({"constraint": ("",)}, "The rule '' is not understood."),
        ({"constraint": ("=a",)}, "The rule '=a' is not understood."),
        ({"constraint": ("zone in a,,b",)}, "The rule 'zone in a,,b' is not understood."),
        ({"prefer": ("a zone",)}, "The rule 'a zone' is not understood."),
        ({"toleration": ("=x",)}, "'' is no taint"),
        ({"timeout": "0s"}, "timeout is 0:00:00"),
        ({"timeout": "soon"}, "--timeout: 'soon' is not a duration."),
        ({"scheduling_timeout": "5"}, "--scheduling-timeout: '5' is not a duration."),
        ({"max_task_failures": 1, "gang_by": "zone"}, "max_task_failures of a gang is 1"),
    ],
)
def test_what_is_wrong_is_said(more: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        job_spec_of(flags(**more))
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"lock_file": "a.txt", "no_bundle": True}, "--no-bundle sends none"),
        ({"lock_file": "../a.txt"}, "no path inside the bundle"),
        ({"wheelhouse": "wheels"}, "no lock file"),
        ({"python": "2.7"}, "no version of Python"),
        ({"setup": (" ",)}, "no set-up command"),
    ],
)
def test_an_environment_that_cannot_be_is_refused(more: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        job_spec_of(flags(**more))
