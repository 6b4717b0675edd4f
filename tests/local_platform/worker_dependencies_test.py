"""A worker of a local slice is complete: it fetches bundles, prepares the image, says what its
machine has, builds what a job wants around it, and contains what it runs.

Each of the four is shown by a task that could not have run without it.
"""

import json
from pathlib import Path

from iris.client import LogStream
from iris.model.environment import EnvironmentSpec
from iris.model.job import Entrypoint, JobSpec
from iris.model.states import JobState
from tests.local_platform.platform_fixture import (
    SMALL,
    client_of,
    lines,
    platform_config,
    python_job,
    run_to_end,
    running_cluster,
)

_PROGRAM = """
import json, os, pathlib
print(json.dumps({
    "of the bundle": pathlib.Path("data.txt").read_text(),
    "of set-up": pathlib.Path("made").read_text(),
    "pid": os.getpid(),
    "folder": os.getcwd(),
    "stdin": os.read(0, 1).decode(),
    "environment": sorted(os.environ),
}))
"""


async def test_one_task_needs_all_of_them(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "data.txt").write_text("came along")
    config = platform_config(tmp_path)
    with running_cluster(config) as manager:
        async with client_of(manager) as client:
            bundle = await client.upload_bundle(workspace)
            spec = python_job(
                _PROGRAM,
                bundle_digest=bundle.digest,
                environment=EnvironmentSpec(setup=("echo building; cat data.txt > made",)),
                env=(("NAMED", "1"),),
            )
            job = await run_to_end(client, "all", spec)
            assert job.state is JobState.SUCCEEDED, job
            said = json.loads((await lines(client, job.job_id))[0])
            built = await lines(client, job.job_id, LogStream.BUILD)
            (worker,) = (await client.cluster_status()).workers

    # The bundle and environment providers, and the image provider before them, whose image is the
    # machine: the program is this machine's Python.
    assert said["of the bundle"] == said["of set-up"] == "came along"
    assert any("building" in line for line in built), built
    # The container runtime: a folder, a closed stdin and an environment of its own.
    vms = tmp_path / "state" / "cache" / "vms"
    assert Path(said["folder"]).is_relative_to(vms)
    assert said["stdin"] == ""
    assert "NAMED" in said["environment"]
    assert "PYTEST_CURRENT_TEST" not in said["environment"]
    assert "watchdog" in worker.isolation or "cgroup" in worker.isolation, worker.isolation
    # The provider of what the machine has: the group's shape, whatever the machine is.
    assert (worker.total.cpu_millis, worker.total.memory_bytes) == (500, 256 << 20)


async def test_each_says_so_where_it_cannot_do_its_part(tmp_path: Path) -> None:
    """Not a crash of the worker, and not a task that runs without what it asked for."""
    with running_cluster(platform_config(tmp_path)) as manager:
        async with client_of(manager) as client:
            setup = python_job(
                "print('ran')", environment=EnvironmentSpec(setup=("echo no luck >&2; exit 3",))
            )
            unbuilt = await run_to_end(client, "unbuilt", setup)
            assert unbuilt.state is JobState.FAILED
            assert "ran" not in await lines(client, unbuilt.job_id)
            assert "no luck" in " ".join(await lines(client, unbuilt.job_id, LogStream.BUILD))
            missing = JobSpec(Entrypoint(("no-such-program",)), SMALL)
            unstarted = await run_to_end(client, "unstarted", missing)
            assert unstarted.state is JobState.FAILED
            error = unstarted.tasks[0].attempts[0].error
            assert "no-such-program" in error, error
            # The same worker goes on.
            well = await run_to_end(client, "well", python_job("print('ran')"))
            assert well.state is JobState.SUCCEEDED
            assert well.tasks[0].attempts[0].worker_id == unstarted.tasks[0].attempts[0].worker_id
