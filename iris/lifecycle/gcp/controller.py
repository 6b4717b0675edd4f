"""The controller of a cluster on a machine that is bought for it from Google's Compute Engine.

The machine is found by its labels, from any process. While the cluster is stopped the machine is off:
its disk keeps the cluster's state, as the state folder of a local one does, and only that costs anything.
What is done on it is done as on any other machine (RemoteController).
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

from iris_proto import config_pb2

from iris.lifecycle.gcp.compute_api import ComputeApi, Instance, InstanceSpec, InstanceState
from iris.lifecycle.gcp.host import GcpHost
from iris.lifecycle.protocol import Connection, ControllerStatus, last_lines
from iris.lifecycle.remote.controller import RemoteController, host_config, timeouts_of
from iris.lifecycle.remote.host import RemoteHost
from iris.model.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    IrisError,
    Unavailable,
)

# Comes with Python 3.11, which the shipped file needs.
_IMAGE = "projects/debian-cloud/global/images/family/debian-12"
_ROLE = {"iris-role": "controller"}
_CLUSTER_LABEL = "iris-cluster"
_LOG_KEY = "iris-startup-log"
_LOG_CHARACTERS = 60_000  # of at most four bytes each: a value of metadata has 256 KiB
# Whoever logs in may make a folder there, and nobody touches another's.
_STARTUP_SCRIPT = "#!/bin/sh\ninstall -d -m 1777 {folder}\n"
_RETRY_SECONDS = 1.0


class GcpController:
    """See ControllerProtocol. Methods block; use one object from one thread at a time.

    What the machine is (type, disk, network) is decided when it is bought; to change it, delete the
    instance while the cluster is stopped. Its state, and with it all jobs, goes with it.

    Args:
        config: Complete, with a gcp controller.
        way: To an instance; default: by SSH, as `ssh` in the configuration says.
    """

    def __init__(
        self,
        config: config_pb2.ClusterConfig,
        api: ComputeApi,
        *,
        health_timeout: timedelta | None = None,
        way: Callable[[Instance], RemoteHost] | None = None,
    ) -> None:
        self._config = config
        self._api = api
        self._timeouts = timeouts_of(config, health_timeout)
        self._way = way or (lambda instance: GcpHost(instance, config))
        self._label = config.label_prefix or config.name

    def start(self) -> ControllerStatus:
        """See ControllerProtocol. Buys the machine, or powers it on, where that is needed."""
        instance = self._find()
        was_on = instance is not None and instance.state is InstanceState.RUNNING
        if instance is None or not was_on:
            instance = self._machine_up(instance)
        return self._brought_up(instance, lambda controller: controller.start(), was_on=was_on)

    def stop(self) -> None:
        """See ControllerProtocol. The machine is off then, whatever happened on the way there."""
        instance = self._find()
        if instance is None or instance.state is InstanceState.OFF:
            return
        try:
            self._there(instance).stop()
        finally:
            self._machine_down(instance)

    def restart(self) -> ControllerStatus:
        """See ControllerProtocol. The machine stays on."""
        return self._again(lambda controller: controller.restart())

    def reload(self) -> ControllerStatus:
        """See ControllerProtocol. The machine stays on, and what it is."""
        return self._again(lambda controller: controller.reload())

    def discover(self) -> str | None:
        """See ControllerProtocol."""
        status = self.status()
        return status.address if status.healthy else None

    def status(self) -> ControllerStatus:
        """See ControllerProtocol. A machine that is on counts as running, whatever is on it: it costs."""
        try:
            instance = self._find()
        except IrisError as error:
            problem = f"Compute Engine cannot be asked: {error}"
            return ControllerStatus(running=False, problem=problem)
        if instance is None or instance.state is InstanceState.OFF:
            return ControllerStatus(running=False, problem=self._not_running())
        if instance.state is not InstanceState.RUNNING:
            problem = (
                f"Its machine {instance.name} is {instance.state.value}. Ask again in a moment."
            )
            return ControllerStatus(running=True, vm_name=instance.name, problem=problem)
        status = self._there(instance).status()
        if not status.running:
            problem = f"The machine {instance.name} is on, but: {status.problem}"
            return replace(status, running=True, vm_name=instance.name, problem=problem)
        return replace(status, vm_name=instance.name)

    def fetch_startup_logs(self, tail_lines: int | None = None) -> str | None:
        """See ControllerProtocol. Of a machine that is off what was kept when it went; of one that cannot
        be entered, or on which no controller was started, what its console says.
        """
        instance = self._find()
        if instance is None:
            return None
        if instance.state is InstanceState.OFF:
            text = instance.metadata.get(_LOG_KEY)
        else:
            text = self._log_of(instance)
            if text is None:
                text = self._api.serial_output(instance.name)
        if text is None or tail_lines is None:
            return text
        return last_lines(text, tail_lines)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """See ControllerProtocol. The address is this machine's end of a tunnel."""
        instance = self._find()
        if instance is None or instance.state is not InstanceState.RUNNING:
            raise Unavailable(self._not_running())
        with self._there(instance).connect() as connection:
            yield connection

    # --- The machine ------------------------------------------------------------------------------

    def _find(self) -> Instance | None:
        """Ours. Raises FailedPrecondition if there are several: nobody knows which one is meant."""
        found = self._api.find({_CLUSTER_LABEL: self._label, **_ROLE})
        if len(found) > 1:
            names = ", ".join(sorted(instance.name for instance in found))
            raise FailedPrecondition(
                f"{len(found)} instances are labelled as the controller of {self._label!r}: {names}.",
                hint="Delete those that are not.",
            )
        return found[0] if found else None

    def _machine_up(self, instance: Instance | None) -> Instance:
        """Runs and can be entered."""
        if instance is None:
            # Another may be starting it as well: then it is there.
            with contextlib.suppress(AlreadyExists):
                self._api.create(self._spec())
        else:
            self._api.power_on(instance.name)
        until = time.monotonic() + self._config.timeouts.boot_timeout.ToTimedelta().total_seconds()
        while True:
            instance = self._find()
            problem = self._cannot_enter(instance)
            if problem is None:
                assert instance is not None
                return instance
            if time.monotonic() > until:
                if instance is not None:
                    self._machine_down(instance)
                raise DeadlineExceeded(
                    f"The machine of the controller did not come up in time: {problem}",
                    hint="timeouts.boot_timeout says how long to wait; its console is in the startup logs.",
                )
            time.sleep(_RETRY_SECONDS)

    def _cannot_enter(self, instance: Instance | None) -> str | None:
        """Why; None if it can be. A machine answers before all keys are on it."""
        if instance is None or instance.state is not InstanceState.RUNNING or not instance.address:
            return "it does not run"
        try:
            with self._way(instance).session():
                return None
        except IrisError as error:
            return str(error)

    def _machine_down(self, instance: Instance) -> None:
        """Off, with what it can still tell of its controller's start kept where it can be read."""
        with contextlib.suppress(IrisError):
            log = self._log_of(instance) or self._api.serial_output(instance.name)
            self._api.set_metadata(instance.name, {_LOG_KEY: log[-_LOG_CHARACTERS:]})
        self._api.power_off(instance.name)

    def _spec(self) -> InstanceSpec:
        gcp = self._config.controller_vm.gcp
        return InstanceSpec(
            name=f"{self._label}-controller",
            machine_type=gcp.machine_type,
            boot_disk_bytes=gcp.boot_disk_size,
            image=_IMAGE,
            network=gcp.network,
            service_account=gcp.service_account,
            labels={_CLUSTER_LABEL: self._label, **_ROLE},
            metadata={
                "startup-script": _STARTUP_SCRIPT.format(folder=gcp.state_dir),
                "enable-guest-attributes": "TRUE",  # for the keys of its sshd
            },
        )

    # --- What is on it ----------------------------------------------------------------------------

    def _there(self, instance: Instance) -> RemoteController:
        gcp = self._config.controller_vm.gcp
        config = host_config(
            self._config, port=gcp.port, state_dir=f"{gcp.state_dir}/{self._config.name}"
        )
        return RemoteController(config, self._way(instance), timeouts=self._timeouts)

    def _again(self, bring_up: Callable[[RemoteController], ControllerStatus]) -> ControllerStatus:
        instance = self._find()
        if instance is None or instance.state is not InstanceState.RUNNING:
            return self.start()
        return self._brought_up(instance, bring_up, was_on=True)

    def _brought_up(
        self,
        instance: Instance,
        bring_up: Callable[[RemoteController], ControllerStatus],
        *,
        was_on: bool,
    ) -> ControllerStatus:
        """Healthy; or the error is raised, and a machine on which no controller runs is off. One that was
        on, and cannot be asked now, may well have one.
        """
        controller = self._there(instance)
        try:
            return replace(bring_up(controller), vm_name=instance.name)
        except BaseException:
            try:
                idle = not controller.runs_there()
            except IrisError:
                idle = not was_on
            if idle:
                self._machine_down(instance)
            raise

    def _log_of(self, instance: Instance) -> str | None:
        try:
            return self._there(instance).fetch_startup_logs()
        except IrisError:
            return None

    def _not_running(self) -> str:
        return f"Cluster {self._config.name!r} is not running. Start it."
