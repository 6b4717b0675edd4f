"""Rules about where a controller runs, and about what is said once for all machines."""

import re
from pathlib import PurePosixPath

from google.protobuf.message import Message
from iris_proto import config_pb2

from iris.config.checks import Checks
from iris.config.errors import shown

# No leading dash: ssh would take it for an option.
_USER = r"[^-\s@][^\s@]*"
_HOST = re.compile(rf"(?:{_USER}@)?[^-\s@][^\s@]*")
_HOST_EXPECTED = "write a host as for the ssh command: name, address or user@address"
# Of OpenSSH, in lower case. What takes the key of a host that was never seen, and refuses one that
# changed, is a check, too.
_CHECKING = "stricthostkeychecking"
_CHECKED = frozenset({"yes", "ask", "accept-new"})
_KEPT_OPTIONS = {
    "userknownhostsfile": "say known_hosts_file",
    "globalknownhostsfile": "say known_hosts_file",
    "identityfile": "say identity_file",
    "proxyjump": "say jump_host",
    "user": "say user",
    "port": "say port",
    "connecttimeout": "say timeouts.ssh_connect_timeout",
    **dict.fromkeys(
        (
            "batchmode",
            "nohostauthenticationforlocalhost",
            "controlmaster",
            "controlpath",
            "controlpersist",
            "exitonforwardfailure",
            "clearallforwardings",
            "remotecommand",
            "requesttty",
            "permitlocalcommand",
            "forkafterauthentication",
            "stdinnull",
            "sessiontype",
        ),
        "Iris decides it for itself",
    ),
}


def check_controller(checks: Checks) -> None:
    """Where the controller runs, and the `ssh` and `bootstrap` of all groups."""
    vm = checks.config.controller_vm
    match vm.WhichOneof("kind"):
        case "local":
            _check_local(checks, vm)
        case "manual":
            check_host(checks, "controller_vm.manual.host", vm.manual.host)
            _check_remote_path(checks, "controller_vm.manual.state_dir", vm.manual.state_dir)
        case "gcp":
            check_named(checks, "controller_vm.gcp", vm.gcp, "project_id", "zone")
            _check_remote_path(checks, "controller_vm.gcp.state_dir", vm.gcp.state_dir)
    prefix = vm.bundle_prefix
    if prefix and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/]\S*", prefix):
        said = f"{shown(prefix)} is no address of a storage such as gs://bucket/folder"
        checks.add("controller_vm.bundle_prefix", said)
    check_ssh(checks, "ssh", checks.config.ssh)
    check_bootstrap(checks, "bootstrap", checks.config.bootstrap)


def check_host(checks: Checks, path: str, host: str) -> bool:
    """Whether it can be given to the ssh command."""
    if _HOST.fullmatch(host):
        return True
    if checks.loaded.is_sound(path):
        checks.add_once(path, f"{shown(host)} is no host; {_HOST_EXPECTED}")
    return False


def check_named(checks: Checks, path: str, message: Message, *names: str) -> None:
    """What a cloud needs, and the cluster may name for all."""
    for name in names:
        if not getattr(message, name):
            said = f"{name!r} is missing; name it here, or once at the top"
            checks.add(path, said, f"{path}.{name}", name)


def check_ssh(checks: Checks, path: str, ssh: config_pb2.SshConfig) -> None:
    """The options of the ssh command."""
    if ssh.user and not re.fullmatch(_USER, ssh.user):
        checks.add_once(f"{path}.user", f"{shown(ssh.user)} is no name of a user")
    if ssh.jump_host and not all(map(_HOST.fullmatch, ssh.jump_host.split(","))):
        checks.add_once(f"{path}.jump_host", f"{shown(ssh.jump_host)} is no host; {_HOST_EXPECTED}")
    for name, value in ssh.options.items():
        if (instead := _KEPT_OPTIONS.get(name.lower())) is not None:
            checks.add_once(f"{path}.options.{name}", f"{name} cannot be set here; {instead}")
        elif name.lower() == _CHECKING and value.lower() not in _CHECKED:
            said = f"{shown(value)} would leave host keys unchecked; they are always checked"
            checks.add_once(f"{path}.options.{name}", said)
        elif "\n" in value:
            checks.add_once(f"{path}.options.{name}", f"{shown(value)} has more than one line")


def check_bootstrap(checks: Checks, path: str, bootstrap: config_pb2.BootstrapConfig) -> None:
    """What is done on a machine before its worker starts."""
    _check_remote_path(checks, f"{path}.work_dir", bootstrap.work_dir)
    if not bootstrap.python.strip():
        checks.add_once(
            f"{path}.python", "a program is needed, e.g. python3 or /opt/python/bin/python"
        )
    for index, command in enumerate(bootstrap.commands):
        if not command.strip() and checks.all_sound(f"{path}.commands"):
            checks.add_once(f"{path}.commands[{index}]", "a command for /bin/sh is needed")


def _check_local(checks: Checks, vm: config_pb2.ControllerVmConfig) -> None:
    if vm.image:
        said = "a local controller is a plain process, without an image; leave it out"
        checks.add("controller_vm.image", said)
    seen: dict[str, str] = {}
    for name in ("state_dir", "bundle_dir", "cache_dir"):
        folder = getattr(vm.local, name)
        path = f"controller_vm.local.{name}"
        if folder and folder in seen:
            checks.add(path, f"is the same folder as {seen[folder]}: {folder}")
        elif folder == "/":
            checks.add(path, "is the root of all files; name a folder below it")
        elif folder:
            seen[folder] = name


def _check_remote_path(checks: Checks, path: str, text: str) -> None:
    """A path on another machine: nothing here can complete it."""
    if not text or text == "~" or text.startswith("~/") or PurePosixPath(text).is_absolute():
        return
    said = f"{shown(text)} lies on another machine; write it from / or ~/"
    checks.add_once(path, said)
