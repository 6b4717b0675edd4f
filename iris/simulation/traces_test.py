"""Traces are read as documented, and run."""

from pathlib import Path

import pytest
from absl import flags

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.errors import InvalidArgument
from iris.model.job import Gang
from iris.model.priority import PriorityBand
from iris.model.resources import MIB, Resources
from iris.model.taints import Toleration
from iris.simulation import traces
from iris.simulation.scenario import Outcome
from iris.simulation.traces import NEEDED, OPTIONAL, parse_trace, read_trace
from iris.simulation.workload import Size, fleet, scenario_of, with_jobs
from iris.simulation.world import simulate

_EXAMPLE = flags.DEFINE_string("trace_example", "examples/traces/morning.csv", "The example.")


def test_every_column_counts() -> None:
    text = [
        "submit_s,job,duration_s,replicas,band,cpu_millis,memory_mib,disk_mib,accelerator,"
        "accelerators,group_by,require,tolerate,failures,max_retries_failure,"
        "max_retries_preemption,timeout_s,scheduling_timeout_s,cancel_s",
        "1.5,/ada/train,30,4,production,2000,512,100,tpu/v5litepod-16,4,tpu-name,"
        "zone=a generation>=2 !network disk kind=x,spot key=value,2,3,5,60,70,90",
    ]
    (plan,) = parse_trace(text, "trace")
    spec = plan.spec
    assert (plan.submit_at, plan.job_id, plan.cancel_at) == (1.5, "/ada/train", 90)
    assert plan.behaviour.duration == 30
    assert plan.behaviour.outcomes == (Outcome.FAIL, Outcome.FAIL)
    assert spec.replicas == 4 and spec.priority is PriorityBand.PRODUCTION
    assert spec.resources == Resources(2000, 512 * MIB, 100 * MIB, (("tpu/v5litepod-16", 4),))
    assert spec.gang == Gang("tpu-name")
    assert spec.constraints == (
        Constraint("zone", ConstraintOp.EQ, ("a",)),
        Constraint("generation", ConstraintOp.GE, ("2",)),
        Constraint("network", ConstraintOp.NOT_EXISTS),
        Constraint("disk", ConstraintOp.EXISTS),
        Constraint("kind", ConstraintOp.EQ, ("x",)),
    )
    assert spec.tolerations == (Toleration("spot"), Toleration("key", "value"))
    assert (spec.max_retries_failure, spec.max_retries_preemption) == (3, 5)
    assert spec.timeout is not None and spec.timeout.total_seconds() == 60
    assert spec.scheduling_timeout is not None and spec.scheduling_timeout.total_seconds() == 70


def test_one_of_several_values_is_separated_by_commas() -> None:
    (plan,) = parse_trace(["submit_s,job,duration_s,require", '0,/a/b,1,"zone=a,b"'], "trace")
    assert plan.spec.constraints == (Constraint("zone", ConstraintOp.IN, ("a", "b")),)


def test_empty_cells_are_the_defaults() -> None:
    (plan,) = parse_trace(["submit_s,job,duration_s,replicas,band", "0,/a/b,1,,"], "trace")
    assert plan.spec.replicas == 1
    assert plan.spec.priority is PriorityBand.INTERACTIVE
    assert plan.spec.resources == Resources(1000)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["job,duration_s", "/a/b,1"], "submit_s"),
        (["submit_s,job,duration_s,colour", "0,/a/b,1,red"], "colour"),
        (["submit_s,job,duration_s", "soon,/a/b,1"], "line 2"),
        (["submit_s,job,duration_s", "0,/a/b,1", "0,nowhere,1"], "line 3"),
        (["submit_s,job,duration_s,band", "0,/a/b,1,urgent"], "urgent"),
        (["submit_s,job,duration_s,require", "0,/a/b,1,!zone=a"], "zone"),
    ],
)
def test_what_cannot_be_read_is_named(lines: list[str], problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        parse_trace(lines, "trace")


def test_the_documentation_names_every_column() -> None:
    assert traces.__doc__ is not None
    for column in NEEDED + OPTIONAL:
        assert f"`{column}`" in traces.__doc__


@pytest.mark.parametrize("size", [Size(faults=frozenset()), Size()], ids=["quiet", "all-faults"])
def test_the_example_runs(size: Size) -> None:
    jobs = read_trace(Path(_EXAMPLE.value))
    result = simulate(with_jobs(scenario_of(0, size), jobs, fleet(size.workers)))
    assert result.broken is None
    assert result.counts["jobs accepted"] == len(jobs)
