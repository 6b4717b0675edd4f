"""A function is submitted from a program and runs in a task, from where it submits another one,
tells where it is to be found, and publishes what it made; the program sees all of that.
"""

import json
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from iris.client import Client, entrypoint_of
from iris.config import parse_config
from iris.lifecycle.local.controller import LocalController
from iris.model.errors import NotFound
from iris.model.ids import JobId, task_id
from iris.model.job import JobSpec
from iris.model.resources import MIB, Resources
from iris.model.states import JobState

_CONFIG = """
name: inside
controller_vm:
  local:
    state_dir: {state_dir}
    machine: {{cpu: 2, memory: 2GiB, disk: 2GiB, oversubscribe: true}}
scale_groups:
  cpu:
    provider: {{local: {{}}}}
    vm: {{cpu: 1, memory: 512MiB, disk: 512MiB}}
    max_slices: 2
"""
JOB = JobId("/ada/parent")
PATIENCE = timedelta(minutes=1)


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[LocalController]:
    config = parse_config(_CONFIG.format(state_dir=tmp_path / "state"), "inside.yaml")
    controller = LocalController(config, attached=True)
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture(autouse=True)
def by_value() -> Iterator[None]:
    """This file's functions travel, as those of a program's own file do."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def a_spec(function: Any, *args: Any) -> JobSpec:
    """Its task finds Iris where this test does."""
    return JobSpec(
        entrypoint_of(function, *args),
        Resources(500, 256 * MIB),
        env=(("PYTHONPATH", os.pathsep.join(sys.path)),),
        port_names=("http",),
    )


def child(number: int) -> None:
    """Runs in a job below the parent's."""
    from iris.client import current

    task = current()
    Path("square").mkdir()
    Path("square", "number").write_text(str(number * number))
    task.publish_output("square", "square")
    print(f"child {task.job_id} of {number}")


def parent(number: int) -> None:
    """Runs in the job that the program has submitted."""
    from iris.client import current

    task = current()
    task.register_endpoint("http", f"127.0.0.1:{task.ports['http']}", {"kind": "test"})
    made = task.launch_child("child", child, args=(number,))
    ended = made.wait(PATIENCE)
    assert ended.state is JobState.SUCCEEDED, ended
    task.fetch_output(task_id(made.job_id, 0), "square", "fetched")
    Path("result").mkdir()
    Path("result", "square").write_text(Path("fetched", "number").read_text())
    Path("result", "environment").write_text(json.dumps(dict(os.environ)))
    task.publish_output("result", "result")
    found = [(one.name, one.address, dict(one.metadata)) for one in task.endpoints()]
    print(json.dumps(found))


async def parent_in_coroutines(number: int) -> None:
    """The same, for programs with an event loop."""
    from iris.client import current

    async with current().connect() as task:
        made = await task.launch_child("child", child, args=(number,))
        assert (await made.wait(PATIENCE)).state is JobState.SUCCEEDED


def run_parent_in_coroutines(number: int) -> None:
    import asyncio

    asyncio.run(parent_in_coroutines(number))


async def logs(client: Client, job_id: JobId) -> list[str]:
    return [line.text async for line in client.tail_logs(job_id)]


async def test_a_function_runs_another_one_and_the_program_reads_what_they_made(
    controller: LocalController, tmp_path: Path
) -> None:
    token = controller.state_folder.read_token()
    async with Client.connect(controller.status().address, token) as client:
        await client.launch(JOB, a_spec(parent, 12))
        job = await client.wait(JOB, PATIENCE)
        said = await logs(client, JOB)
        assert job.state is JobState.SUCCEEDED, said
        (attempt,) = job.tasks[0].attempts
        port = dict(attempt.ports)["http"]
        assert json.loads(said[-1]) == [[f"{JOB}/http", f"127.0.0.1:{port}", {"kind": "test"}]]
        assert await client.endpoints(f"{JOB}/") == (), "its attempt has ended"
        assert await logs(client, JobId(f"{JOB}/child")) == [f"child {JOB}/child of 12"]
        shown = (await client.get(JOB)).spec.entrypoint
        assert shown.program.startswith("callable ") and shown.program.endswith("parent")
        (output,) = attempt.outputs
        task = task_id(JOB, 0)
        assert await client.fetch_output(task, "result", tmp_path / "result") == output
        assert (tmp_path / "result" / "square").read_text() == "144"
        environment = json.loads((tmp_path / "result" / "environment").read_text())
        with pytest.raises(NotFound, match=r"no output 'other'.*published: result"):
            await client.fetch_output(task, "other", tmp_path / "other")
    assert environment["IRIS_TASK_TOKEN"].startswith(f"task.{attempt.attempt_uid}.")
    assert not [name for name, value in environment.items() if token in value]


async def test_coroutines_do_it_too(controller: LocalController) -> None:
    token = controller.state_folder.read_token()
    async with Client.connect(controller.status().address, token) as client:
        await client.launch(JOB, a_spec(run_parent_in_coroutines, 3))
        job = await client.wait(JOB, PATIENCE)
        assert job.state is JobState.SUCCEEDED, await logs(client, JOB)


async def test_a_function_that_raises_fails_its_task_with_a_traceback(
    controller: LocalController,
) -> None:
    def fail() -> None:
        raise ValueError("no such luck")

    token = controller.state_folder.read_token()
    async with Client.connect(controller.status().address, token) as client:
        await client.launch(JOB, a_spec(fail))
        job = await client.wait(JOB, PATIENCE)
        said = await logs(client, JOB)
    assert job.state is JobState.FAILED
    assert job.tasks[0].attempts[0].exit_code == 1
    assert said[0] == "Traceback (most recent call last):"
    assert said[-1] == "ValueError: no such luck"
