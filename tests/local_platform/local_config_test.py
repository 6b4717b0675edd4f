"""`controller_vm.local` and `provider.local` are what a local cluster is made from: what the file
says is so in the cluster that runs, and a file that was written for a cloud runs here once it is
turned local, with its groups as they were.
"""

import os
import socket
from pathlib import Path

from iris.config import make_local_config, parse_config
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import ATTRIBUTE_SCALE_GROUP
from iris.model.states import JobState
from tests.local_platform.platform_fixture import (
    client_of,
    lines,
    platform_config,
    python_job,
    run_to_end,
    running_cluster,
)

_CLOUD = """
name: far-away
project_id: somewhere
controller_vm:
  image: registry.example/iris:1
  bundle_prefix: gs://bucket/bundles
  gcp: {zone: europe-west4-a}
scale_groups:
  slices:
    provider: {tpu: {}}
    zones: [europe-west4-a]
    accelerator_type: tpu
    accelerator_variant: v5litepod-16
    runtime_version: v2-alpha-tpuv5-lite
    vm: {cpu: 64, memory: 128GiB, disk: 100GiB}
    max_slices: 3
    priority: 7
    preemptible: true
autoscaler: {idle_timeout: 1h}
worker: {stop_grace: 0.2s}
"""
_WHO = "import os; print(os.environ['TPU_NAME'], os.environ['TPU_WORKER_ID'], os.getppid())"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def test_port_folders_and_hosting_are_where_the_file_says(tmp_path: Path) -> None:
    config = platform_config(tmp_path)
    local = config.controller_vm.local
    local.bundle_dir = str(tmp_path / "bundles")
    local.cache_dir = str(tmp_path / "cache")
    local.port = _free_port()
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "file").write_text("x")
    with running_cluster(config) as manager:
        async with client_of(manager) as client:
            bundle = await client.upload_bundle(workspace)
            program = "import os; print(os.getcwd())"
            job = await run_to_end(
                client, "where", python_job(program, bundle_digest=bundle.digest)
            )
            (folder,) = await lines(client, job.job_id)
            cluster = await client.cluster_status()
            address = manager.controller.status().address
            controller = manager.state_folder.running()
    assert address == f"127.0.0.1:{local.port}"
    assert any(path.is_file() for path in (tmp_path / "bundles").rglob("*"))
    assert Path(folder).is_relative_to(tmp_path / "cache")
    assert (tmp_path / "state" / "controller.db").is_file()
    assert not (tmp_path / "state" / "bundles").exists()
    assert not (tmp_path / "state" / "cache").exists()
    assert cluster.cluster == "platform"
    assert controller is not None
    assert controller.process.pid != os.getpid()


async def test_a_cloud_turned_local_keeps_its_groups_and_runs(tmp_path: Path) -> None:
    config = make_local_config(parse_config(_CLOUD, "cloud.yaml"))
    config.controller_vm.local.state_dir = str(tmp_path / "state")
    pod = Constraint(ATTRIBUTE_SCALE_GROUP, ConstraintOp.EQ, ("slices",))
    with running_cluster(config) as manager:
        assert manager.is_local
        async with client_of(manager) as client:
            job = await run_to_end(client, "pod", python_job(_WHO, constraints=(pod,)))
            (said,) = await lines(client, job.job_id)
            cluster = await client.cluster_status()
    assert job.state is JobState.SUCCEEDED
    (group,) = cluster.groups
    assert (group.name, group.platform, group.priority) == ("slices", "local", 7)
    assert (group.max_slices, group.vms_per_slice) == (3, 4)
    assert group.vm.cpu_millis == 64_000
    (slice_,) = group.slices
    assert said.split()[0] == str(slice_.slice_id)
    assert len(cluster.workers) == 4
    assert cluster.machine is not None
    assert cluster.machine.oversubscribed, "a cloud's shapes are said to be more than there is"
