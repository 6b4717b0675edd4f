"""How a machine is reached, as command-line options of ssh.

The first value that ssh hears of an option wins, so ours that must hold come first, then the user's
from the cluster's configuration, then our defaults, and last what OpenSSH's own files say.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from iris_proto import config_pb2

from iris.model.errors import InvalidArgument

# What Iris decides for itself, by lower-case name. Host keys are checked, nobody is asked anything,
# and a connection is shared through a socket that is ours; nothing is run or forwarded that a
# configuration file wants for people who sit at a terminal.
_OURS: dict[str, str] = {
    "batchmode": "yes",
    "nohostauthenticationforlocalhost": "no",
    "controlpersist": "no",
    "remotecommand": "none",
    "requesttty": "no",
    "clearallforwardings": "yes",
    "permitlocalcommand": "no",
    "forkafterauthentication": "no",
    "stdinnull": "no",
    "sessiontype": "default",
}
_OURS_ELSEWHERE = frozenset({"controlmaster", "controlpath", "exitonforwardfailure"})
_CHECKING = "stricthostkeychecking"
# `accept-new` takes the key of a host that was never seen, and refuses one that changed.
_CHECKED = frozenset({"yes", "ask", "accept-new"})
_DEFAULTS: dict[str, str] = {
    _CHECKING: "yes",
    # A dead connection is noticed within 15 s.
    "serveraliveinterval": "5",
    "serveralivecountmax": "3",
}


@dataclass(frozen=True, slots=True)
class SshOptions:
    """What is empty or zero is left to the user's OpenSSH configuration.

    Raises InvalidArgument for options that Iris decides for itself, and for any that would leave a
    host's key unchecked.

    Attributes:
        options: Further ones, by OpenSSH's names.
        connect_timeout: From the first packet to a session in which something can be run.
    """

    user: str = ""
    port: int = 0
    identity_file: str = ""
    config_file: str = ""
    known_hosts_file: str = ""
    jump_host: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    connect_timeout: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        for name, value in self.options.items():
            if name.lower() in _OURS or name.lower() in _OURS_ELSEWHERE:
                raise InvalidArgument(
                    f"ssh.options may not set {name}: Iris decides it for itself.",
                    hint="Leave it out.",
                )
            if name.lower() == _CHECKING and value.lower() not in _CHECKED:
                raise InvalidArgument(
                    f"ssh.options may not set {name} to {value!r}: host keys are always checked.",
                    hint="Put the hosts' keys into the known hosts file, or say accept-new.",
                )

    def words(self) -> tuple[str, ...]:
        """For ssh, before the destination."""
        said: list[str] = []
        if self.config_file:
            said += ["-F", self.config_file]
        settings = dict(_OURS)
        chosen = {name.lower(): value for name, value in self.options.items()}
        if self.known_hosts_file:
            chosen.setdefault("userknownhostsfile", _quoted(self.known_hosts_file))
        # ssh wants whole seconds.
        chosen.setdefault("connecttimeout", str(max(1, math.ceil(self._seconds))))
        for name, value in (*settings.items(), *chosen.items()):
            said += ["-o", f"{name}={value}"]
        for name, value in _DEFAULTS.items():
            if name not in chosen:
                said += ["-o", f"{name}={value}"]
        if self.user:
            said += ["-l", self.user]
        if self.port:
            said += ["-p", str(self.port)]
        if self.identity_file:
            said += ["-i", self.identity_file]
        if self.jump_host:
            said += ["-J", self.jump_host]
        return tuple(said)

    @property
    def _seconds(self) -> float:
        return self.connect_timeout.total_seconds()


def ssh_options_of(config: config_pb2.SshConfig, connect_timeout: timedelta) -> SshOptions:
    """Of a configuration whose defaults are filled in."""
    return SshOptions(
        user=config.user,
        port=config.port,
        identity_file=config.identity_file,
        config_file=config.config_file,
        known_hosts_file=config.known_hosts_file,
        jump_host=config.jump_host,
        options=dict(config.options),
        connect_timeout=connect_timeout,
    )


def _quoted(path: str) -> str:
    """As ssh_config(5) reads it: several files stand in one value, and % begins a token."""
    return '"' + path.replace("%", "%%") + '"'


def check_destination(destination: str) -> str:
    """The same. Raises InvalidArgument for what ssh would take for an option, or could not take."""
    if not destination or destination.startswith("-") or set(destination) & set(" \t\n\"'`$;&|<>"):
        raise InvalidArgument(
            f"{destination!r} is no host that ssh could connect to.",
            hint="Give a name from your ssh configuration, an address, or user@address.",
        )
    return destination
