"""`current()`: what a program learns of its task, and how it reaches its cluster from there."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
import pytest_asyncio
from iris_proto import job_pb2

from iris.client.fake_controller import TOKEN, FakeController
from iris.client.identity import task_identity
from iris.client.loop_thread import LoopThread
from iris.client.task_context import TaskContext, current
from iris.model.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.rpc.convert_job import job_spec_to_proto
from iris.testing.eventually import assert_eventually

SPEC = JobSpec(
    Entrypoint(("python3",)),
    Resources(500, 1 << 20),
    env=(("A", "1"),),
    port_names=("http",),
    bundle_digest="sha256:" + "0" * 64,
    replicas=3,
)


def environment(address: str = "127.0.0.1:1") -> dict[str, str]:
    return {
        "IRIS_JOB_ID": "/ann/train",
        "IRIS_TASK_ID": "/ann/train/1",
        "IRIS_TASK_INDEX": "1",
        "IRIS_NUM_TASKS": "3",
        "IRIS_ATTEMPT_ID": "attempt-7",
        "IRIS_ATTEMPT_NUMBER": "2",
        "IRIS_CONTROLLER_ADDRESS": address,
        "IRIS_TASK_TOKEN": TOKEN,
        "IRIS_PORT_HTTP": "8080",
        "IRIS_PEER_HOSTS": "10.0.0.1,10.0.0.2",
    }


def a_job(job_id: str = "/ann/train") -> job_pb2.JobStatus:
    return job_pb2.JobStatus(job_id=job_id, spec=job_spec_to_proto(SPEC), state=job_pb2.JOB_RUNNING)


@pytest_asyncio.fixture
async def controller() -> AsyncIterator[FakeController]:
    async with FakeController().serve() as fake:
        await fake.put_job(a_job())
        yield fake


@pytest.fixture
def context(controller: FakeController) -> Iterator[TaskContext]:
    made = TaskContext(task_identity(environment(controller.address)))
    yield made
    made.close()


def test_the_environment_says_who_this_is() -> None:
    task = TaskContext(task_identity(environment()))
    assert (task.job_id, task.task_id, task.index, task.num_tasks) == (
        "/ann/train",
        "/ann/train/1",
        1,
        3,
    )
    assert (task.attempt_uid, task.attempt_number) == ("attempt-7", 2)
    assert (task.ports, task.peer_hosts) == ({"http": 8080}, ("10.0.0.1", "10.0.0.2"))
    assert TOKEN not in repr(task.identity)


def test_outside_of_a_task_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("IRIS_"):
            monkeypatch.delenv(name)
    current.cache_clear()
    with pytest.raises(FailedPrecondition, match=r"no task of an Iris job.*Client\.connect"):
        current()
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    assert current() is current()
    current.cache_clear()


def test_variables_that_were_changed_are_named() -> None:
    with pytest.raises(FailedPrecondition, match="one"):
        task_identity(environment() | {"IRIS_TASK_INDEX": "one"})


async def test_a_childs_function_gets_what_its_parent_has(
    controller: FakeController, context: TaskContext
) -> None:
    async with context.connect() as task:
        child = await task.launch_child("eval", print, args=("hello",), replicas=2)
    assert child.job_id == "/ann/train/eval"
    (request,) = controller.requests["LaunchJob"]
    spec = request.spec
    assert request.job_id == "/ann/train/eval"
    assert spec.entrypoint.callable.name == "builtins.print"
    assert (spec.replicas, dict(spec.env), list(spec.port_names)) == (2, {"A": "1"}, [])
    assert (spec.resources.cpu_millis, spec.bundle_digest) == (500, SPEC.bundle_digest)


async def test_a_childs_specification_is_taken_as_it_is(
    controller: FakeController, context: TaskContext
) -> None:
    async with context.connect() as task:
        await task.launch_child("eval", SPEC, replicas=1)
        with pytest.raises(InvalidArgument, match="not a job id"):
            await task.launch_child("../eval", SPEC)
    (request,) = controller.requests["LaunchJob"]
    assert (list(request.spec.entrypoint.argv), request.spec.replicas) == (["python3"], 1)


async def test_programs_without_an_event_loop_wait(
    controller: FakeController, context: TaskContext
) -> None:
    def program() -> str:
        child = context.launch_child("eval", SPEC)
        assert child.get().job_id == context.client.get(child.job_id).job_id
        return child.job_id

    assert await asyncio.to_thread(program) == "/ann/train/eval"
    await asyncio.to_thread(context.close)
    assert await asyncio.to_thread(lambda: context.client.get(context.job_id).job_id)
    await asyncio.to_thread(context.close)
    assert not [one for one in threading.enumerate() if one.name == "iris-task-client"]


async def test_a_coroutine_is_told_not_to_wait(context: TaskContext) -> None:
    with pytest.raises(FailedPrecondition, match=r"async with .*connect"):
        context.client.get(context.job_id)


def test_what_runs_is_cancelled_when_the_thread_ends() -> None:
    thread, started, seen = LoopThread("test-loop"), threading.Event(), []

    async def forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async def begin() -> None:
        seen.append(asyncio.create_task(forever()).get_name())

    thread.run(begin())
    assert started.wait(30)
    thread.close()
    thread.close()
    assert seen[1:] == ["cancelled"]


async def test_all_tasks_of_a_gang_learn_one_address(controller: FakeController) -> None:
    async def ask(index: int) -> str:
        said = {"IRIS_TASK_INDEX": str(index), "IRIS_PORT_JAX": str(9000 + index)}
        identity = task_identity(environment(controller.address) | said)
        async with TaskContext(identity).connect() as task:
            return await task.coordinator_address(timeout=timedelta(seconds=30))

    asked = [asyncio.create_task(ask(index)) for index in (1, 2)]
    await assert_eventually(
        lambda: len(controller.requests["ListEndpoints"]) >= 2, "the others wait for it"
    )
    assert not any(task.done() for task in asked)
    assert await ask(0) == "10.0.0.1:9000"
    assert await asyncio.gather(*asked) == ["10.0.0.1:9000"] * 2


async def test_a_task_that_does_not_tell_is_not_waited_for_for_ever(
    controller: FakeController,
) -> None:
    said = environment(controller.address) | {"IRIS_PORT_JAX": "9000"}
    async with TaskContext(task_identity(said)).connect() as task:
        with pytest.raises(DeadlineExceeded, match="Task 0 of /ann/train has not told"):
            await task.coordinator_address(timeout=timedelta(seconds=0.01))


@pytest.mark.parametrize("missing", ["IRIS_PEER_HOSTS", "IRIS_PORT_HTTP"])
async def test_only_a_gang_with_that_port_has_a_coordinator(
    controller: FakeController, missing: str
) -> None:
    said = environment(controller.address)
    del said[missing]
    async with TaskContext(task_identity(said)).connect() as task:
        with pytest.raises(FailedPrecondition, match="no gang, or has no port named 'http'"):
            await task.coordinator_address("http")
