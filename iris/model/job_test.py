"""What may be submitted, and what is refused before anybody has to deal with it."""

from datetime import timedelta
from typing import Any

import pytest

from iris.model.errors import InvalidArgument
from iris.model.job import Entrypoint, Gang, JobSpec
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import Toleration

DIGEST = "sha256:" + "0" * 64


def spec(**changes: Any) -> JobSpec:
    fields: dict[str, Any] = {"entrypoint": Entrypoint(("true",)), "resources": Resources(1000)}
    return JobSpec(**(fields | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"resources": Resources()},
        {"replicas": 100_000},
        {"gang": Gang("tpu-name"), "replicas": 4},
        {"env": (("A", "1"), ("_b", ""), ("NAME_2", "x=y\n"))},
        {"port_names": ("http", "p2_x")},
        {"bundle_digest": DIGEST},
        {"max_retries_failure": 0, "max_retries_preemption": 0},
        {"stop_grace": timedelta(0)},
        {"priority": PriorityBand.BATCH, "tolerations": (Toleration("spot"),)},
        {"max_task_failures": 3, "replicas": 10},
        {"scheduling_timeout": timedelta(microseconds=1), "timeout": timedelta(days=30)},
        {"outlives_parent": True},
        {"task_timeout": timedelta(seconds=1)},
        {"gang": Gang("tpu-name"), "max_task_failures": 0},
    ],
    ids=str,
)
def test_may_be_submitted(changes: dict[str, Any]) -> None:
    made = spec(**changes)
    assert all(getattr(made, name) == value for name, value in changes.items())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"replicas": 0}, "replicas is 0"),
        ({"replicas": -1}, "replicas is -1"),
        ({"resources": Resources(cpu_millis=-1)}, "asks for -1 of cpu"),
        ({"resources": Resources(memory_bytes=-2)}, "asks for -2 of memory"),
        ({"resources": Resources(accelerators=(("gpu", -1),))}, "asks for -1 of gpu"),
        ({"max_retries_failure": -1}, "max_retries_failure is -1"),
        ({"max_retries_preemption": -1}, "max_retries_preemption is -1"),
        ({"stop_grace": timedelta(seconds=-1)}, "stop_grace"),
        ({"max_task_failures": -1}, "max_task_failures is -1"),
        ({"max_task_failures": 1, "gang": Gang("g")}, "max_task_failures of a gang is 1"),
        ({"timeout": timedelta(0)}, "timeout is 0:00:00"),
        ({"task_timeout": timedelta(0)}, "task_timeout is 0:00:00"),
        ({"scheduling_timeout": timedelta(seconds=-1)}, "scheduling_timeout is -1 day"),
        ({"resources": Resources(ports=1)}, "asks for 1 ports and names 0"),
        ({"resources": Resources(ports=3), "port_names": ("a", "b")}, "3 ports and names 2"),
        ({"env": (("1A", ""),)}, "'1A'"),
        ({"env": (("A B", ""),)}, "'A B'"),
        ({"env": (("", ""),)}, "environment variable"),
        ({"env": (("A", "x\0y"),)}, "environment variable"),
        ({"env": (("IRIS_TASK_ID", "1"),)}, "IRIS_TASK_ID is Iris's own"),
        ({"env": (("A", "1"), ("A", "2"))}, "env names something twice"),
        ({"port_names": ("Http",)}, "'Http'"),
        ({"port_names": ("1a",)}, "'1a'"),
        ({"port_names": ("a", "a")}, "port_names names something twice"),
        ({"bundle_digest": "sha256:xyz"}, "'sha256:xyz'"),
        ({"bundle_digest": DIGEST + "0"}, "bundle digest"),
    ],
    ids=str,
)
def test_is_refused_with_the_value_that_was_wrong(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        spec(**changes)
    assert problem in refusal.value.problem
    assert refusal.value.hint


@pytest.mark.parametrize("argv", [(), ("",), ("true", "a\0b")])
def test_no_such_entrypoint(argv: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgument):
        Entrypoint(argv)


def test_a_gang_names_what_its_workers_share() -> None:
    with pytest.raises(InvalidArgument):
        Gang("")


def test_ports_follow_from_their_names() -> None:
    made = spec(port_names=("http", "debug"))
    assert made.resources == Resources(1000, ports=2)
    assert spec(resources=Resources(1000, ports=2), port_names=("http", "debug")) == made
    assert spec().resources.ports == 0


def test_with_bundle_changes_nothing_else() -> None:
    before = spec(replicas=3)
    after = before.with_bundle(DIGEST)
    assert after == spec(replicas=3, bundle_digest=DIGEST)
    assert before.bundle_digest == ""


def test_bytes_that_no_message_can_hold_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="not UTF-8"):
        Entrypoint(("echo", "bad\udcff"))
