"""Where an object is hosted: at an address that others reach, on a port that is the task's."""

from dataclasses import replace

import pytest

from iris.actor.host import _port_number, own_host
from iris.client import TaskContext
from iris.client.identity import TaskIdentity
from iris.model.errors import InvalidArgument
from iris.model.ids import AttemptUid, JobId, TaskId

IDENTITY = TaskIdentity(
    job_id=JobId("/ada/train"),
    task_id=TaskId("/ada/train/1"),
    index=1,
    num_tasks=2,
    attempt_uid=AttemptUid("a1"),
    attempt_number=0,
    controller_address="127.0.0.1:7777",
    token="task.a1.00",
    ports={"rpc": 4321},
)


def test_a_gangs_member_is_where_its_peers_know_it() -> None:
    gang = TaskContext(replace(IDENTITY, peer_hosts=("10.0.0.1", "10.0.0.2")))
    assert own_host(gang) == "10.0.0.2"


@pytest.mark.parametrize(
    ("controller", "own"), [("127.0.0.1:7777", "127.0.0.1"), ("localhost:7777", "127.0.0.1")]
)
def test_any_other_task_is_where_it_reaches_the_controller_from(controller: str, own: str) -> None:
    found = own_host(TaskContext(replace(IDENTITY, controller_address=controller)))
    assert found in (own, "::1")


def test_a_named_port_is_the_tasks_own_and_none_is_any() -> None:
    task = TaskContext(IDENTITY)
    assert _port_number(task, None) == 0
    assert _port_number(task, "rpc") == 4321
    with pytest.raises(InvalidArgument, match=r"no port named 'http'.*It has: rpc"):
        _port_number(task, "http")
