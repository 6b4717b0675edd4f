"""A job's Python environment, from its bundle to its program, on a whole cluster without a network."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.client import Client, JobView, LogStream
from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.local.sample_cluster import sample_config
from iris.model.environment import EnvironmentSpec
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import MIB, Resources
from iris.model.states import JobState
from iris.worker.python_environment.wheels_fixture import add_wheel

JOB = JobId("/ada/greets")
PROGRAM = "import greeter, pathlib; print(greeter.SAYS, pathlib.Path('made').read_text().strip())"


def spec(*argv: str, environment: EnvironmentSpec, replicas: int = 1) -> JobSpec:
    return JobSpec(
        Entrypoint(argv), Resources(100, 16 * MIB), replicas=replicas, environment=environment
    )


async def run(client: Client, spec: JobSpec, folder: Path) -> tuple[JobView, list[str], list[str]]:
    """The job's end, its output, and what was said while it was built."""
    uploaded = await client.upload_bundle(folder)
    await client.launch(JOB, spec.with_bundle(uploaded.digest))
    job = await client.wait(JOB, timedelta(minutes=1))
    lines = [line async for line in client.tail_logs(JOB)]
    output, build = (
        [line.text for line in lines if line.stream is stream]
        for stream in (LogStream.STDOUT, LogStream.BUILD)
    )
    return job, output, build


@pytest.mark.parametrize("hosting", [config_pb2.IN_PROCESS, config_pb2.SUBPROCESS])
def test_tasks_run_in_it(tmp_path: Path, hosting: config_pb2.WorkerHosting) -> None:
    folder = tmp_path / "folder"
    line = add_wheel(folder / "wheels", "greeter", says="hello")
    (folder / "lock.txt").write_text(line)
    (folder / "main.py").write_text(PROGRAM)
    environment = EnvironmentSpec(
        lock_file="lock.txt",
        wheelhouse="wheels",
        setup=("greeter > made", "echo set up with $(command -v greeter)"),
    )
    config = sample_config(tmp_path / "state", hosting=hosting)
    controller = LocalController(config, attached=True)
    controller.start()

    async def use() -> tuple[JobView, list[str], list[str]]:
        address, token = controller.status().address, controller.state_folder.read_token()
        async with Client.connect(address, token) as client:
            job = spec("python", "main.py", environment=environment, replicas=3)
            return await run(client, job, folder)

    try:
        job, output, build = asyncio.run(use())
    finally:
        controller.stop()
    assert (job.state, job.error) == (JobState.SUCCEEDED, "")
    assert output == ["hello hello"] * 3
    assert sum("+ greeter==1.0" in line for line in build) >= 1
    assert sum(line.startswith("set up with /") for line in build) == 3
    if hosting == config_pb2.IN_PROCESS:
        kept = (tmp_path / "state/cache/bundles-environments").glob("*.json")
        assert len(list(kept)) == 1


def test_a_set_up_command_that_fails_is_the_job_s_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    environment = EnvironmentSpec(setup=("echo no data; exit 9", "true"))
    controller = LocalController(sample_config(tmp_path / "state"), attached=True)
    controller.start()

    async def use() -> tuple[JobView, list[str], list[str]]:
        address, token = controller.status().address, controller.state_folder.read_token()
        async with Client.connect(address, token) as client:
            return await run(client, spec("echo", "never", environment=environment), folder)

    try:
        job, output, build = asyncio.run(use())
    finally:
        controller.stop()
    assert job.state is JobState.FAILED
    assert "The set-up command 'echo no data; exit 9' exited with code 9" in job.error
    assert output == []
    assert build[-2:] == ["$ echo no data; exit 9", "no data"]
