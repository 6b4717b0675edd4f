"""A task sees what it is meant to see, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from iris.model.ids import AttemptUid, JobId, TaskId, WorkerId
from iris.model.job import Entrypoint
from iris.model.resources import Resources
from iris.worker.attempts.model import AttemptSpec
from iris.worker.attempts.task_environment import task_environment

SPEC = AttemptSpec(
    task_id=TaskId("/u/job/2"),
    job_id=JobId("/u/job"),
    task_index=2,
    num_tasks=4,
    number=1,
    entrypoint=Entrypoint(("prog",)),
    resources=Resources(),
)
IRIS = {
    "IRIS_JOB_ID": "/u/job",
    "IRIS_TASK_ID": "/u/job/2",
    "IRIS_TASK_INDEX": "2",
    "IRIS_NUM_TASKS": "4",
    "IRIS_ATTEMPT_ID": "attempt-1",
    "IRIS_ATTEMPT_NUMBER": "1",
    "IRIS_CONTROLLER_ADDRESS": "127.0.0.1:1",
    "IRIS_WORKER_ID": "w/0",
}
FOLDERS = {"HOME": "/a/home", "TMPDIR": "/a/tmp"}


def environment(
    spec: AttemptSpec = SPEC,
    attributes: Mapping[str, str] | None = None,
    inherit: Mapping[str, str] | None = None,
    ports: Mapping[str, int] | None = None,
) -> dict[str, str]:
    return task_environment(
        AttemptUid("attempt-1"),
        spec,
        worker_id=WorkerId("w/0"),
        controller_address="127.0.0.1:1",
        attributes=attributes or {},
        inherit=inherit or {},
        home=Path("/a/home"),
        tmp=Path("/a/tmp"),
        ports=ports or {},
    )


def test_it_is_built_from_nothing() -> None:
    assert environment() == IRIS | FOLDERS


def test_what_is_inherited_the_jobs_own_and_ports() -> None:
    found = environment(
        replace(SPEC, env={"MODE": "fast", "LANG": "C"}),
        inherit={"PATH": "/bin", "LANG": "de", "HOME": "/root"},
        ports={"http": 8080, "grpc_2": 8081},
    )
    assert found == IRIS | FOLDERS | {
        "PATH": "/bin",
        "LANG": "C",
        "MODE": "fast",
        "IRIS_PORT_HTTP": "8080",
        "IRIS_PORT_GRPC_2": "8081",
    }


def test_the_tasks_own_token() -> None:
    assert environment(replace(SPEC, task_token="task.a.b")) == IRIS | FOLDERS | {
        "IRIS_TASK_TOKEN": "task.a.b"
    }


def test_a_member_of_a_gang_knows_its_peers() -> None:
    found = environment(replace(SPEC, peer_hosts=("10.0.0.1", "10.0.0.2")))
    assert found["IRIS_PEER_HOSTS"] == "10.0.0.1,10.0.0.2"
    assert not any(name.startswith("TPU") for name in found)


def test_a_tpu_worker_is_named_as_cloud_tpu_names_it() -> None:
    attributes = {"tpu-name": "slice-1", "tpu-worker-id": "2", "tpu-topology": "4x4", "zone": "z"}
    found = environment(replace(SPEC, peer_hosts=("h0", "h1", "h2", "h3")), attributes)
    assert {name: value for name, value in found.items() if name.startswith("TPU")} == {
        "TPU_NAME": "slice-1",
        "TPU_WORKER_ID": "2",
        "TPU_TOPOLOGY": "4x4",
        "TPU_WORKER_HOSTNAMES": "h0,h1,h2,h3",
    }
