"""A controller on another machine: LocalController there, told what to do from here."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from iris_proto import config_pb2

from iris.config.loader import default_message
from iris.lifecycle.local.controller import LocalTimeouts
from iris.lifecycle.protocol import Connection, ControllerStatus
from iris.lifecycle.remote.host import HostSession, RemoteHost
from iris.lifecycle.remote.host_messages import HostRequest, read_status
from iris.model.errors import IrisError, Unavailable

# Beyond what the program there waits for: to send it, to start Python, to end all slices.
_MARGIN = timedelta(seconds=60)


class RemoteController:
    """See ControllerProtocol. Methods block; use one object from one thread at a time.

    It keeps nothing between calls: each goes to the machine, where the records are. If the way there
    is lost meanwhile, what was asked for may still come about; asking again does no harm.

    Args:
        config: Complete; see `host_config`.
    """

    def __init__(
        self,
        config: config_pb2.ClusterConfig,
        host: RemoteHost,
        *,
        timeouts: LocalTimeouts,
    ) -> None:
        self._config = config
        self._host = host
        self._timeouts = timeouts

    def start(self) -> ControllerStatus:
        """See ControllerProtocol. Raises Unavailable as well where it runs, but no way leads to it from
        here; then it is left running.
        """
        return self._brought_up("start")

    def stop(self) -> None:
        """See ControllerProtocol."""
        with self._host.session() as session:
            self._ask(session, "stop")

    def restart(self) -> ControllerStatus:
        """See ControllerProtocol."""
        return self._brought_up("restart")

    def reload(self) -> ControllerStatus:
        """See ControllerProtocol. The present code is what runs here: it is shipped."""
        return self._brought_up("reload")

    def discover(self) -> str | None:
        """See ControllerProtocol. Only one that answers, with this cluster's name, counts."""
        status = self.status()
        return status.address if status.healthy else None

    def status(self) -> ControllerStatus:
        """See ControllerProtocol. Of a machine that cannot be entered nothing is known; the problem says
        so.
        """
        try:
            with self._host.session() as session:
                status = self._known(self._ask(session, "status"))
                return self._seen_from_here(session, status)
        except IrisError as error:
            problem = f"{self._host.name} cannot be asked: {error}"
            return ControllerStatus(running=False, vm_name=self._host.name, problem=problem)

    def runs_there(self) -> bool:
        """Whether its process exists, well or not. Unlike `status` raises what HostSession.ask raises
        where that cannot be found out.
        """
        with self._host.session() as session:
            return self._known(self._ask(session, "status")).running

    def fetch_startup_logs(self, tail_lines: int | None = None) -> str | None:
        """See ControllerProtocol."""
        with self._host.session() as session:
            text = self._ask(session, "logs", tail_lines=tail_lines)["text"]
        return None if text is None else str(text)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """See ControllerProtocol. The address is this machine's end of a tunnel."""
        with self._host.session() as session:
            there = self._ask(session, "connect")
            with session.forward(there["address"]) as address:
                self._check(address)
                yield Connection(address, there["token"])

    def _brought_up(self, word: str) -> ControllerStatus:
        with self._host.session() as session:
            status = self._seen_from_here(session, self._known(self._ask(session, word)))
        if not status.healthy:
            raise Unavailable(f"Cluster {self._config.name!r} runs, but: {status.problem}")
        return status

    def _ask(
        self, session: HostSession, word: str, *, tail_lines: int | None = None
    ) -> Mapping[str, Any]:
        request = HostRequest(self._config, self._timeouts, tail_lines)
        bound = self._timeouts.start + self._timeouts.stop + _MARGIN
        return session.ask(word, request.to_bytes(), bound)

    def _known(self, fields: Mapping[str, Any]) -> ControllerStatus:
        """What the machine says, with the name that we have for it."""
        status = read_status(fields)
        return replace(status, vm_name=self._host.name) if status.running else status

    def _seen_from_here(self, session: HostSession, status: ControllerStatus) -> ControllerStatus:
        """The same, if what is well there can be reached from here."""
        if not status.healthy:
            return status
        try:
            with session.forward(status.address) as address:
                self._check(address)
        except IrisError as error:
            return replace(status, healthy=False, problem=str(error))
        return status

    def _check(self, address: str) -> None:
        from iris.rpc.health import check_health

        try:
            check_health(address, self._timeouts.health)
        except IrisError as error:
            raise Unavailable(
                f"It is well on {self._host.name}, but the tunnel to it does not work: {error}",
                hint="Does the sshd there allow forwarding (AllowTcpForwarding)?",
            ) from error


def host_config(
    config: config_pb2.ClusterConfig, *, port: int, state_dir: str
) -> config_pb2.ClusterConfig:
    """What the machine itself runs: the same cluster, whose controller is local there. State goes to
    `~/.local/state/iris/<cluster name>` unless said otherwise.
    """
    there = config_pb2.ClusterConfig()
    there.CopyFrom(config)
    local = there.controller_vm.local
    local.CopyFrom(default_message(config_pb2.LocalControllerConfig))
    local.port = port
    local.state_dir = state_dir or f"~/.local/state/iris/{config.name}"
    return there


def timeouts_of(
    config: config_pb2.ClusterConfig, health_timeout: timedelta | None = None
) -> LocalTimeouts:
    """As the configuration says, where it does."""
    start = config.timeouts.controller_start_timeout.ToTimedelta()
    timeouts = LocalTimeouts(start=start)
    return timeouts if health_timeout is None else replace(timeouts, health=health_timeout)
