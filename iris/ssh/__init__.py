"""Machines reached by SSH, with the user's own OpenSSH: their configuration, agent, jump hosts and known hosts."""

from iris.ssh.client import SshClient
from iris.ssh.connection import SshConnection
from iris.ssh.options import SshOptions, ssh_options_of
from iris.ssh.process import Completed, RemoteProcess

__all__ = [
    "Completed",
    "RemoteProcess",
    "SshClient",
    "SshConnection",
    "SshOptions",
    "ssh_options_of",
]
