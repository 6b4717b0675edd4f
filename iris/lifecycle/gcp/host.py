"""A bought machine, reached with the user's own OpenSSH; its keys are those that it published in the cloud."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from iris_proto import config_pb2

from iris.lifecycle.gcp.compute_api import Instance
from iris.lifecycle.remote.host import HostSession
from iris.lifecycle.remote.host_by_ssh import HostBySsh
from iris.ssh import SshOptions, ssh_options_of

_ALIAS = "HostKeyAlias"


class GcpHost:
    """See RemoteHost. Where `ssh.known_hosts_file` is set, that is what its key is checked against."""

    def __init__(
        self,
        instance: Instance,
        config: config_pb2.ClusterConfig,
        *,
        ship_dir: Path | None = None,
    ) -> None:
        self._instance = instance
        self._ship_dir = ship_dir
        self._bootstrap = config.bootstrap
        self._work_dir = f"{config.bootstrap.work_dir or f'~/.cache/iris/{config.name}'}/controller"
        timeout = config.timeouts.ssh_connect_timeout.ToTimedelta()
        self._ssh = ssh_options_of(config.ssh, timeout)

    @property
    def name(self) -> str:
        """The instance's."""
        return self._instance.name

    @contextlib.contextmanager
    def session(self) -> Iterator[HostSession]:
        """See RemoteHost."""
        with tempfile.TemporaryDirectory(prefix="iris-keys-") as folder:
            host = HostBySsh(
                self._instance.address,
                self._with_keys(Path(folder)),
                python=self._bootstrap.python,
                work_dir=self._work_dir,
                ship_dir=self._ship_dir,
            )
            with host.session() as session:
                yield session

    def _with_keys(self, folder: Path) -> SshOptions:
        if self._ssh.known_hosts_file or not self._instance.host_keys:
            return self._ssh
        known = folder / "known_hosts"
        known.write_text("".join(f"{self.name} {key}\n" for key in self._instance.host_keys))
        # By its name: addresses are given out again.
        options = {**self._ssh.options, _ALIAS: self.name}
        return replace(self._ssh, known_hosts_file=str(known), options=options)
