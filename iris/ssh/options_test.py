"""What ssh is told, and in which order: the first value that it hears wins."""

import itertools
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.model.errors import (
    FailedPrecondition,
    InvalidArgument,
    IrisError,
    PermissionDenied,
    Unavailable,
)
from iris.ssh.errors import connect_error
from iris.ssh.options import SshOptions, check_destination, ssh_options_of


def settings(options: SshOptions) -> dict[str, str]:
    """As ssh takes them: the first of a name counts."""
    words = options.words()
    said: dict[str, str] = {}
    for flag, value in itertools.pairwise(words):
        if flag == "-o":
            name, _, text = value.partition("=")
            said.setdefault(name.lower(), text)
    return said


def test_nothing_is_asked_and_host_keys_are_checked() -> None:
    said = settings(SshOptions())
    assert said["batchmode"] == "yes"
    assert said["stricthostkeychecking"] == "yes"
    assert said["nohostauthenticationforlocalhost"] == "no"


@pytest.mark.parametrize("value", ["no", "off", "No", "false"])
@pytest.mark.parametrize("name", ["StrictHostKeyChecking", "stricthostkeychecking"])
def test_checking_cannot_be_turned_off(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match="host keys are always checked"):
        SshOptions(options={name: value})


def test_a_new_host_s_key_may_be_taken() -> None:
    said = settings(SshOptions(options={"StrictHostKeyChecking": "accept-new"}))
    assert said["stricthostkeychecking"] == "accept-new"


@pytest.mark.parametrize(
    "name", ["BatchMode", "ControlPath", "controlmaster", "NoHostAuthenticationForLocalhost"]
)
def test_what_is_ours_cannot_be_set(name: str) -> None:
    with pytest.raises(InvalidArgument, match=f"may not set {name}: Iris decides"):
        SshOptions(options={name: "yes"})


def test_the_user_s_options_win_over_our_defaults() -> None:
    said = settings(SshOptions(options={"ServerAliveInterval": "60", "ConnectTimeout": "3"}))
    assert said["serveraliveinterval"] == "60"
    assert said["serveralivecountmax"] == "3"
    assert said["connecttimeout"] == "3"


def test_everything_of_the_configuration_is_said() -> None:
    config = config_pb2.SshConfig(
        user="me",
        port=2222,
        identity_file="/k",
        config_file="/c",
        known_hosts_file="/a b/100%",
        jump_host="gate",
        options={"Compression": "yes"},
    )
    options = ssh_options_of(config, timedelta(seconds=1.5))
    words = " ".join(options.words())
    for part in ("-F /c", "-l me", "-p 2222", "-i /k", "-J gate", "-o compression=yes"):
        assert part in words
    assert settings(options)["userknownhostsfile"] == '"/a b/100%%"'
    assert settings(options)["connecttimeout"] == "2"


def test_what_is_not_said_is_left_to_the_user_s_files() -> None:
    words = SshOptions().words()
    assert not {"-F", "-l", "-p", "-i", "-J"} & set(words)
    assert "userknownhostsfile" not in settings(SshOptions())


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b", "$(x)", "a;b"])
def test_an_option_is_no_host(host: str) -> None:
    with pytest.raises(InvalidArgument, match="is no host"):
        check_destination(host)


@pytest.mark.parametrize("host", ["tpu-1", "me@10.0.0.1", "fe80::1%eth0", "ssh://me@host:22"])
def test_hosts(host: str) -> None:
    assert check_destination(host) == host


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            FailedPrecondition,
            "is not the one that is known",
        ),
        (
            "No ED25519 host key is known for h and you have requested strict checking.\n"
            "Host key verification failed.",
            FailedPrecondition,
            "is not known: No ED25519",
        ),
        ("me@h: Permission denied (publickey).", PermissionDenied, "does not let us in"),
        ("ssh: Could not resolve hostname h: x", Unavailable, "cannot be resolved"),
        ("ssh: connect to host h port 22: Connection refused", Unavailable, "refuses"),
        ("ssh: connect to host h port 22: No route to host", Unavailable, "cannot be reached"),
        ("/c: line 1: Bad configuration option: foo", InvalidArgument, "does not accept"),
        ("kex_exchange_identification: read: Connection reset by peer", Unavailable, "closed"),
        ("what is this", Unavailable, "did not come about: what is this"),
        ("", Unavailable, "ssh said nothing"),
    ],
)
def test_what_ssh_says_becomes_an_error(said: str, kind: type[IrisError], text: str) -> None:
    error = connect_error("h", said)
    assert type(error) is kind
    assert text in error.problem
    assert error.hint


def test_paths_are_strings_of_the_configuration(tmp_path: Path) -> None:
    assert f"-i {tmp_path}" in " ".join(SshOptions(identity_file=str(tmp_path)).words())
