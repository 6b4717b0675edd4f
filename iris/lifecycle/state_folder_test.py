"""Tests of what lies in a state folder, and where it is."""

import stat
from pathlib import Path

import pytest

from iris.config import config_to_yaml, parse_config
from iris.host.files import FileLock, atomic_write
from iris.host.processes import ProcessIdentity
from iris.lifecycle.state_folder import (
    ControllerRecord,
    StateFolder,
    note_holder,
    state_folder_of,
    state_root,
    working_folders_of,
)
from iris.model.errors import FailedPrecondition, InvalidArgument


def _record(process: ProcessIdentity) -> ControllerRecord:
    return ControllerRecord("127.0.0.1:5", process, "example", "controller-1")


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    token = folder.ensure_token()
    assert len(token) >= 43, "32 random bytes"
    assert folder.ensure_token() == token == folder.read_token()
    assert stat.S_IMODE(folder.token_file.stat().st_mode) == 0o600
    other = StateFolder(tmp_path / "other")
    other.path.mkdir()
    assert other.ensure_token() != token


def test_no_token(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="token cannot be read: No such file"):
        StateFolder(tmp_path).read_token()


@pytest.mark.parametrize(
    ("mode", "text", "problem"), [(0o644, "x", "mode 644"), (0o600, "\n", "is empty")]
)
def test_a_token_that_is_none(tmp_path: Path, mode: int, text: str, problem: str) -> None:
    folder = StateFolder(tmp_path)
    atomic_write(folder.token_file, text.encode(), mode=mode)
    with pytest.raises(FailedPrecondition, match=problem):
        folder.ensure_token()


def test_a_record_counts_while_its_process_lives(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    assert folder.read_record() is None
    own = ProcessIdentity.current()
    atomic_write(folder.record_file, _record(own).to_json())
    assert folder.running() == folder.read_record() == _record(own)
    stranger = ProcessIdentity(own.pid, own.start_time - 1)
    atomic_write(folder.record_file, _record(stranger).to_json())
    assert folder.read_record() == _record(stranger)
    assert folder.running() is None, "the pid lives, but as another process"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"address": 1, "pid": "x"}', b"\xff"])
def test_a_record_that_is_none(tmp_path: Path, data: bytes) -> None:
    folder = StateFolder(tmp_path)
    atomic_write(folder.record_file, data)
    assert folder.read_record() is None


def test_who_has_the_lock(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    assert not folder.is_locked()
    assert not folder.lock_file.exists(), "looking makes no file"
    lock = FileLock(folder.lock_file)
    assert lock.acquire()
    assert folder.is_locked()
    assert folder.lock_holder() is None
    note_holder(lock, ProcessIdentity.current())
    assert folder.lock_holder() == ProcessIdentity.current()
    lock.let_go()
    assert not folder.is_locked()


def test_the_configuration_is_kept(tmp_path: Path) -> None:
    group = "scale_groups: {a: {provider: {local: {}}, vm: {cpu: 9000}}}"
    text = f"controller_vm: {{local: {{}}}}\n{group}\n"
    with pytest.raises(InvalidArgument, match="9000 cores"):
        parse_config(text, "c.yaml")
    config = parse_config(
        text.replace("{local: {}}", "{local: {machine: {oversubscribe: true}}}", 1), "c.yaml"
    )
    config.controller_vm.local.machine.oversubscribe = False
    folder = StateFolder(tmp_path)
    atomic_write(folder.config_file, config_to_yaml(config).encode())
    assert folder.read_config() == config, "though this machine could not lend as much"


def test_where_it_is(tmp_path: Path) -> None:
    home = {"HOME": "/home/ada"}
    assert state_root(home) == Path("/home/ada/.local/state/iris")
    assert state_root(home | {"XDG_STATE_HOME": "/state"}) == Path("/state/iris")
    assert state_root(home | {"XDG_STATE_HOME": "state"}) == Path("/home/ada/.local/state/iris")
    config = parse_config("name: example\ncontroller_vm: {local: {}}\n", "c.yaml")
    folder = state_folder_of(config, home)
    assert folder.path == Path("/home/ada/.local/state/iris/example")
    assert working_folders_of(config, folder).bundles == folder.path / "bundles"
    assert working_folders_of(config, folder).cache == folder.path / "cache"


def test_where_the_configuration_puts_it() -> None:
    text = "controller_vm: {local: {state_dir: /s, bundle_dir: /b, cache_dir: /c}}\n"
    config = parse_config(text, "c.yaml")
    folder = state_folder_of(config, {})
    assert folder.path == Path("/s")
    working = working_folders_of(config, folder)
    assert (working.bundles, working.cache) == (Path("/b"), Path("/c"))


def test_nowhere_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(FailedPrecondition, match="no home folder"):
        state_root({})
