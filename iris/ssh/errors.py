"""What ssh writes when it cannot connect, as Iris's errors with what to do."""

import re
from dataclasses import dataclass

from iris.model.errors import (
    FailedPrecondition,
    InvalidArgument,
    IrisError,
    PermissionDenied,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """`problem` and `hint` may name {host} and {line}, the line of ssh's that was recognised."""

    pattern: str
    error: type[IrisError]
    problem: str
    hint: str


# The first that is found counts. The texts are OpenSSH's own (sshconnect.c, sshconnect2.c,
# readconf.c, kex.c), and strerror's.
_KINDS = (
    _Kind(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key .*has changed",
        FailedPrecondition,
        "The host key of {host} is not the one that is known.",
        "Find out why. If the machine was set up anew, remove the old key (ssh-keygen -R) and add the new one.",
    ),
    _Kind(
        r"No \S+ host key is known for|Host key verification failed",
        FailedPrecondition,
        "The host key of {host} is not known: {line}",
        "Connect once by hand (ssh {host}) and compare the key, or add it to the known hosts file.",
    ),
    _Kind(
        r"Bad configuration option|Bad owner or permissions|Can't open user config file|"
        r"keyword .* extra arguments|Bad number|unsupported option|no argument after keyword|"
        r"terminating, \d+ bad configuration",
        InvalidArgument,
        "ssh does not accept its configuration for {host}: {line}",
        "Look at `ssh` in the cluster's configuration and at your ssh configuration.",
    ),
    _Kind(
        r"Permission denied|Too many authentication failures|No supported authentication methods",
        PermissionDenied,
        "{host} does not let us in: {line}",
        "Is the key in its authorized_keys, and is ssh.user right? Without ssh.identity_file your "
        "agent and ssh configuration are asked; keys with a passphrase have to be in the agent.",
    ),
    _Kind(
        r"Could not resolve hostname|Name or service not known",
        Unavailable,
        "The name of {host} cannot be resolved: {line}",
        "Is it spelled as in your ssh configuration?",
    ),
    _Kind(
        r"Connection refused",
        Unavailable,
        "{host} refuses the connection: {line}",
        "Does its sshd run, and is ssh.port right?",
    ),
    _Kind(
        r"timed out|No route to host|Network is unreachable|Host is down",
        Unavailable,
        "{host} cannot be reached: {line}",
        "Is it up, and is there a way to it (VPN, ssh.jump_host)?",
    ),
    _Kind(
        r"kex_exchange_identification|Connection (closed|reset) by|Connection to .* closed",
        Unavailable,
        "{host} closed the connection: {line}",
        "Is it an SSH server, and does it take as many connections at once (MaxStartups)?",
    ),
)


def connect_error(host: str, output: str) -> IrisError:
    """Why a connection did not come about, from what ssh wrote on its stderr."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for kind in _KINDS:
        line = next((line for line in lines if re.search(kind.pattern, line)), None)
        if line is not None:
            return kind.error(
                kind.problem.format(host=host, line=line), hint=kind.hint.format(host=host)
            )
    said = lines[-1] if lines else "ssh said nothing"
    return Unavailable(
        f"The connection to {host} did not come about: {said}.", hint=f"Try: ssh -v {host} true"
    )
