"""What a cluster's configuration says of logs holds for its workers and its controller."""

from pathlib import Path
from typing import Any

import pytest
from iris_proto import config_pb2, controller_pb2, controller_pb2_grpc, job_pb2

from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.local.sample_cluster import sample_config
from iris.rpc.channels import open_channel

JOB = "/ada/talker"
KIB = 1 << 10


async def _output(controller: LocalController, script: str, **details: Any) -> list[str]:
    """All that a job says, read to its end."""
    spec = job_pb2.JobSpec(
        entrypoint=job_pb2.Entrypoint(argv=["sh", "-c", script]),
        resources=job_pb2.Resources(cpu_millis=100, memory_bytes=1 << 25),
        replicas=1,
        env={"DATABASE_URL": "db://me:hunter22@host", "HF_TOKEN": "hf-in-the-clear"},
    )
    channel = open_channel(controller.status().address, controller.state_folder.read_token())
    try:
        stub = controller_pb2_grpc.ControllerServiceStub(channel)
        await stub.LaunchJob(controller_pb2.LaunchJobRequest(job_id=JOB, spec=spec))
        request = controller_pb2.TailLogsRequest(id=JOB, follow=True, **details)
        parts = [part async for part in stub.TailLogs(request)]
    finally:
        await channel.close()
    return [text for part in parts for run in part.runs for text in run.text.decode().split("\n")]


@pytest.mark.parametrize("hosting", [config_pb2.IN_PROCESS, config_pb2.SUBPROCESS])
async def test_secrets_do_not_leave_the_worker(
    state_dir: Path, hosting: config_pb2.WorkerHosting
) -> None:
    config = sample_config(state_dir, hosting=hosting)
    del config.worker.secret_env[:]
    config.worker.secret_env.append("DATABASE_*")
    controller = LocalController(config, attached=True)
    controller.start()
    try:
        token = controller.state_folder.read_token()
        said = await _output(controller, f"echo $DATABASE_URL; echo $HF_TOKEN; echo {token} >&2")
        assert sorted(said) == ["***", "***", "hf-in-the-clear"]
        stored = b"".join(path.read_bytes() for path in state_dir.glob("logs/*/*.log"))
        assert b"hf-in-the-clear" in stored
        assert b"hunter22" not in stored
    finally:
        controller.stop()


async def test_logs_keep_within_the_bound_of_an_attempt(state_dir: Path) -> None:
    config = sample_config(state_dir)
    config.retention.log_bytes_per_attempt = 256 * KIB
    controller = LocalController(config, attached=True)
    controller.start()
    try:
        said = await _output(controller, "seq 1 100000", grep="^100000$|are gone")
        assert said[-1] == "100000"
        sizes = [path.stat().st_size for path in state_dir.glob("logs/*/*.log")]
        assert len(sizes) > 1
        assert 100 * KIB < sum(sizes) <= 256 * KIB
    finally:
        controller.stop()
