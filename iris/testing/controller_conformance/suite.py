"""The tests. Controllers block, so none of them is a coroutine."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import pytest
from iris_proto import config_pb2, controller_pb2, controller_pb2_grpc, job_pb2

from iris.host.processes import ProcessIdentity, end_processes
from iris.lifecycle.protocol import ControllerProtocol, ControllerStatus
from iris.lifecycle.state_folder import StateFolder
from iris.model.errors import FailedPrecondition, IrisError, Unavailable
from iris.rpc.channels import open_channel
from iris.testing.controller_conformance.gate import Gate
from iris.testing.controller_conformance.harness import ControllerHarness
from iris.testing.eventually import assert_eventually

T = TypeVar("T")
Stub = controller_pb2_grpc.ControllerServiceStub

_IMPATIENT = timedelta(seconds=0.5)
_KILL_SECONDS = 10.0
_JOB = "/ada/sleeper"


class ControllerConformance:
    """Whatever a controller runs on, it keeps these promises. Subclasses give a fixture `harness`."""

    @pytest.fixture
    def harness(self) -> ControllerHarness:
        """The implementation, in a world of its own."""
        raise NotImplementedError

    def test_from_nothing_to_healthy(self, harness: ControllerHarness) -> None:
        controller = harness.make()
        assert controller.fetch_startup_logs() is None
        assert controller.discover() is None
        nothing = controller.status()
        assert (nothing.running, nothing.healthy, nothing.address) == (False, False, "")
        assert nothing.problem
        with pytest.raises(Unavailable, match="is not running"), controller.connect():
            pass

        status = controller.start()
        assert (status.running, status.healthy, status.problem) == (True, True, "")
        assert status.address
        assert status.version
        assert status.vm_name
        assert status.uptime is not None
        assert controller.discover() == status.address
        assert _ask(controller, _cluster_name) == harness.config.name

    def test_startup_logs_are_what_it_wrote(self, harness: ControllerHarness) -> None:
        controller = harness.make()
        controller.start()
        logs = harness.make().fetch_startup_logs()
        assert logs is not None
        assert f"cluster {harness.config.name} serves at" in logs
        assert controller.fetch_startup_logs(0) == ""
        last = controller.fetch_startup_logs(1)
        assert last is not None
        assert logs.endswith(last)
        assert len(last.splitlines()) == 1
        with controller.connect() as connection:
            assert connection.token not in logs
            assert connection.token not in repr(connection)

    def test_starting_twice_changes_nothing(self, harness: ControllerHarness) -> None:
        first = harness.make().start()
        process = _process(harness)
        assert harness.make().start().address == first.address
        assert harness.elsewhere("controller.start().address") == first.address
        assert _process(harness) == process

    def test_it_outlives_its_starter(self, harness: ControllerHarness) -> None:
        address = harness.elsewhere("controller.start().address")
        assert harness.make().discover() == address

    def test_a_dead_predecessor_is_no_obstacle(self, harness: ControllerHarness) -> None:
        controller = harness.make()
        controller.start()
        process = _process(harness)
        end_processes([process], grace=0, deadline=_KILL_SECONDS)
        dead = controller.status()
        assert not dead.healthy
        assert dead.problem
        assert controller.discover() is None
        with pytest.raises(Unavailable), controller.connect():
            pass
        status = harness.make().start()
        assert status.healthy
        assert _process(harness) != process
        assert harness.make().discover() == status.address

    def test_stopping_twice(self, harness: ControllerHarness) -> None:
        controller = harness.make()
        controller.start()
        process = _process(harness)
        controller.stop()
        assert not process.is_alive()
        assert not StateFolder(harness.state_dir).is_locked()
        controller.stop()
        harness.make().stop()
        status = controller.status()
        assert (status.running, status.healthy, status.address) == (False, False, "")
        assert controller.discover() is None

    def test_stopping_what_was_never_started(self, harness: ControllerHarness) -> None:
        harness.make().stop()
        assert not harness.make().status().running
        assert not harness.state_dir.exists()

    def test_stopping_from_another_process(self, harness: ControllerHarness) -> None:
        controller = harness.make()
        controller.start()
        process = _process(harness)
        assert harness.elsewhere("(controller.stop(), controller.status().running)[1]") == "False"
        assert not process.is_alive()
        assert controller.discover() is None
        controller.stop()

    def test_a_restart_keeps_jobs_and_the_token(self, harness: ControllerHarness) -> None:
        controller = harness.make()
        controller.start()
        process = _process(harness)
        _launch(controller, "/ada/done", "true")
        _until(controller, "/ada/done", lambda job: job.state == job_pb2.JOB_SUCCEEDED)
        before = _token(controller)
        status = harness.make().restart()
        assert status.healthy
        assert _process(harness) != process
        assert _token(controller) == before
        job = _ask(controller, lambda stub: stub.GetJob(_get("/ada/done")))
        assert job.state == job_pb2.JOB_SUCCEEDED

    def test_a_restart_of_what_does_not_run_starts_it(self, harness: ControllerHarness) -> None:
        assert harness.make().restart().healthy

    def test_a_reload_picks_the_new_configuration_and_keeps_tasks(
        self, harness: ControllerHarness
    ) -> None:
        config = _changed(harness.config)
        config.scale_groups["cpu"].provider.local.workers = config_pb2.SUBPROCESS
        controller = harness.make(config)
        controller.start()
        _launch(controller, _JOB, "sleep", "3600")
        _until(controller, _JOB, _runs_in_attempt(1))
        assert _ask(controller, _groups) == ["cpu"]

        config = _changed(config)
        config.scale_groups["more"].CopyFrom(config.scale_groups["cpu"])
        reloaded = harness.make(config)
        assert reloaded.reload().healthy
        assert _ask(reloaded, _groups) == ["cpu", "more"]
        _until(reloaded, _JOB, _runs_in_attempt(1))

    def test_discover_sees_only_its_own(self, harness: ControllerHarness) -> None:
        neighbour = harness.neighbour()
        mine, theirs = harness.make(), neighbour.make()
        address = mine.start().address
        assert theirs.discover() is None
        assert not theirs.status().running
        theirs.stop()
        assert mine.discover() == address
        other = theirs.start().address
        assert other != address
        assert (mine.discover(), theirs.discover()) == (address, other)
        assert _ask(theirs, _cluster_name) == neighbour.config.name
        mine.stop()
        assert (mine.discover(), theirs.discover()) == (None, other)

    def test_status_while_it_starts(self, harness: ControllerHarness) -> None:
        with Gate(harness.state_dir) as gate, _starting(harness.make()) as started:
            gate.wait_until_somebody_waits()
            status = harness.make().status()
            assert (status.running, status.healthy) == (True, False)
            assert "starting" in status.problem
            assert harness.make().discover() is None
            gate.open()
            assert started().healthy
        assert harness.make().status().healthy

    def test_a_hung_one_is_seen_and_can_be_stopped(self, harness: ControllerHarness) -> None:
        harness.make().start()
        process = _process(harness)
        os.kill(process.pid, signal.SIGSTOP)
        impatient = harness.make(health_timeout=_IMPATIENT)
        status = impatient.status()
        assert (status.running, status.healthy) == (True, False)
        assert "does not answer" in status.problem
        assert impatient.discover() is None
        with pytest.raises(FailedPrecondition, match="is not well"):
            impatient.start()
        assert process.is_alive()
        impatient.stop()
        assert not process.is_alive()
        assert not harness.make().status().running

    def test_a_start_that_fails_says_why_and_leaves_nothing(
        self, harness: ControllerHarness
    ) -> None:
        # On all addresses: wherever it listens, the port is taken.
        with socket.create_server(("", 0)) as taken:
            port = taken.getsockname()[1]
            controller = harness.make(harness.with_port(port))
            with pytest.raises(IrisError, match="the port is taken"):
                controller.start()
            assert not controller.status().running
            assert not StateFolder(harness.state_dir).is_locked()
            logs = harness.make().fetch_startup_logs()
            assert logs is not None
            assert f":{port}: the port is taken" in logs
            elsewhere = harness.elsewhere("'the port is taken' in controller.fetch_startup_logs()")
            assert elsewhere == "True"
        assert controller.start().healthy


def _process(harness: ControllerHarness) -> ProcessIdentity:
    """The controller's, which serves."""
    record = StateFolder(harness.state_dir).running()
    assert record is not None, f"no controller runs on {harness.state_dir}"
    return record.process


@contextmanager
def _starting(controller: ControllerProtocol) -> Iterator[Callable[[], ControllerStatus]]:
    """A start under way in another thread; the call waits for what it comes to."""
    outcome: list[ControllerStatus | BaseException] = []

    def start() -> None:
        try:
            outcome.append(controller.start())
        except BaseException as error:  # noqa: BLE001 - for the thread that asks
            outcome.append(error)

    thread = threading.Thread(target=start, name="start")
    thread.start()

    def wait() -> ControllerStatus:
        thread.join()
        (came,) = outcome
        if isinstance(came, BaseException):
            raise came
        return came

    try:
        yield wait
    finally:
        thread.join()


def _ask(controller: ControllerProtocol, call: Callable[[Stub], Awaitable[T]]) -> T:
    """The answer to a call, with the token, at the address that `connect` gives."""

    async def ask(address: str, token: str) -> T:
        channel = open_channel(address, token)
        try:
            return await call(Stub(channel))
        finally:
            await channel.close()

    with controller.connect() as connection:
        return asyncio.run(ask(connection.address, connection.token))


async def _cluster_name(stub: Stub) -> str:
    return str((await stub.GetClusterStatus(controller_pb2.GetClusterStatusRequest())).cluster)


async def _groups(stub: Stub) -> list[str]:
    status = await stub.GetClusterStatus(controller_pb2.GetClusterStatusRequest())
    return sorted(group.name for group in status.groups)


def _token(controller: ControllerProtocol) -> str:
    with controller.connect() as connection:
        return connection.token


def _get(job_id: str) -> controller_pb2.GetJobRequest:
    return controller_pb2.GetJobRequest(job_id=job_id)


def _launch(controller: ControllerProtocol, job_id: str, *argv: str) -> None:
    spec = job_pb2.JobSpec(
        entrypoint=job_pb2.Entrypoint(argv=argv),
        resources=job_pb2.Resources(cpu_millis=100, memory_bytes=1 << 24),
        replicas=1,
        max_retries_preemption=100,
    )
    request = controller_pb2.LaunchJobRequest(job_id=job_id, spec=spec)
    _ask(controller, lambda stub: stub.LaunchJob(request))


def _until(
    controller: ControllerProtocol, job_id: str, condition: Callable[[job_pb2.JobStatus], bool]
) -> None:
    """Waits, over one connection, until the job is so."""

    async def wait(stub: Stub) -> None:
        async def holds() -> bool:
            return condition(await stub.GetJob(_get(job_id)))

        asked: Callable[[], bool | Awaitable[bool]] = holds
        await assert_eventually(asked, f"{job_id} is as it should be", timeout=60)

    _ask(controller, wait)


def _runs_in_attempt(attempts: int) -> Callable[[job_pb2.JobStatus], bool]:
    def holds(job: job_pb2.JobStatus) -> bool:
        (task,) = job.tasks
        return bool(task.state == job_pb2.TASK_RUNNING) and len(task.attempts) == attempts

    return holds


def _changed(config: config_pb2.ClusterConfig) -> config_pb2.ClusterConfig:
    """A copy to be changed."""
    copy = config_pb2.ClusterConfig()
    copy.CopyFrom(config)
    return copy
