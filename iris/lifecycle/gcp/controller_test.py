"""What a bought machine adds to a controller's life: it is bought once, and off while nothing runs on it."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.host.processes import end_processes
from iris.lifecycle.gcp.compute_api import Instance, InstanceState
from iris.lifecycle.gcp.controller import GcpController
from iris.lifecycle.remote.host import HostSession, RemoteHost
from iris.model.errors import DeadlineExceeded, FailedPrecondition, PermissionDenied, Unavailable
from iris.testing.controller_conformance import conformance_config
from iris.testing.fake_compute import FakeCompute

LABELS = {"iris-cluster": "lab", "iris-role": "controller"}


class ClosedHost:
    """Nobody gets in."""

    name = "closed"

    @contextlib.contextmanager
    def session(self) -> Iterator[HostSession]:
        raise PermissionDenied("There is no key of yours.")
        yield


def closed(_: Instance) -> RemoteHost:
    return ClosedHost()


@pytest.fixture
def config(tmp_path: Path) -> config_pb2.ClusterConfig:
    where = f"{{gcp: {{project_id: p, zone: z, state_dir: {tmp_path / 'lib'}}}}}"
    made = conformance_config("lab", where, more="timeouts: {boot_timeout: 1s}")
    made.controller_vm.gcp.port = 0
    return made


@pytest.fixture
def compute(tmp_path: Path) -> Iterator[FakeCompute]:
    made = FakeCompute(tmp_path / "cloud")
    yield made
    made.end()


Make = Callable[[], GcpController]


@pytest.fixture
def make(config: config_pb2.ClusterConfig, compute: FakeCompute) -> Make:
    return lambda: GcpController(config, compute, way=compute.way)


def machine(compute: FakeCompute) -> Instance:
    (found,) = compute.find(LABELS)
    return found


def test_the_machine_is_kept_while_the_cluster_is_stopped(make: Make, compute: FakeCompute) -> None:
    controller = make()
    status = controller.start()
    assert status.vm_name == "lab-controller"
    with controller.connect() as connection:
        token = connection.token
    controller.stop()
    assert machine(compute).state is InstanceState.OFF
    assert compute.processes("lab-controller") == []
    logs = make().fetch_startup_logs()
    assert logs is not None and "cluster lab serves at" in logs
    assert make().fetch_startup_logs(1) == logs.splitlines(keepends=True)[-1]
    assert token not in "".join(machine(compute).metadata.values())
    again = make().start()
    assert again.healthy
    with make().connect() as connection:
        assert connection.token == token
    assert [call for call in compute.calls if call in ("create", "power_on")] == [
        "create",
        "power_on",
    ]


def test_a_machine_that_nobody_can_enter_is_not_left_on(
    config: config_pb2.ClusterConfig, compute: FakeCompute
) -> None:
    controller = GcpController(config, compute, way=closed)
    with pytest.raises(DeadlineExceeded, match="There is no key of yours") as caught:
        controller.start()
    assert "timeouts.boot_timeout" in caught.value.hint
    assert machine(compute).state is InstanceState.OFF
    logs = controller.fetch_startup_logs()
    assert logs is not None and "startup-script exit status 0" in logs
    assert not controller.status().running


def test_a_cluster_that_cannot_be_asked_is_left_alone(
    config: config_pb2.ClusterConfig, compute: FakeCompute, make: Make
) -> None:
    make().start()
    controller = GcpController(config, compute, way=closed)
    for act in (controller.start, controller.restart, controller.reload):
        with pytest.raises(PermissionDenied):
            act()
    status = controller.status()
    assert (status.running, status.healthy) == (True, False)
    assert "There is no key of yours" in status.problem
    with pytest.raises(PermissionDenied), controller.connect():
        pass
    # Its console: the log itself is out of reach.
    assert "lab-controller boots" in (controller.fetch_startup_logs() or "")
    assert make().status().healthy


def test_a_machine_whose_controller_has_died(make: Make, compute: FakeCompute) -> None:
    make().start()
    end_processes(compute.processes("lab-controller"), grace=0, deadline=10)
    status = make().status()
    assert (status.running, status.healthy, status.vm_name) == (True, False, "lab-controller")
    assert "is on, but: Cluster 'lab' is not running" in status.problem
    with pytest.raises(Unavailable, match="is not running"), make().connect():
        pass
    make().stop()
    assert machine(compute).state is InstanceState.OFF


def test_two_machines_of_one_label(make: Make, compute: FakeCompute) -> None:
    make().start()
    mine, other = (compute.home(name).parent for name in ("lab-controller", "other"))
    other.mkdir()
    shutil.copy(mine / "instance.json", other)
    for act in (make().start, make().stop, make().fetch_startup_logs):
        with pytest.raises(FailedPrecondition, match="lab-controller, other"):
            act()
    assert "lab-controller, other" in make().status().problem
