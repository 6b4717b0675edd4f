"""Tests of ./bazelw: what of the home folder it has the sandbox hide."""

import os
import sys
from pathlib import Path

import pytest

from tools.bazel.bootstrap.fake_machine import FakeMachine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's sandbox is meant")

ENTRIES = (".ssh/id", ".config/pip/pip.conf", ".netrc", "notes", ".cache/pip/x", ".cache/bazel/x")


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    machine = FakeMachine(tmp_path / "machine")
    machine.add_program("bazelisk", "printf '%s\\n' \"$@\"")
    for name in ENTRIES:
        make_file(machine.home / name)
    return machine


def make_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def hidden(machine: FakeMachine, *arguments: str, **environment: str) -> set[str]:
    """Entries of the home folder that a build may not see."""
    environment = {"IRIS_SANDBOX_HOME": "", **environment}
    result = machine.bazelw(*(arguments or ("build",)), directory=None, **environment)
    assert result.returncode == 0, result.stderr
    first = result.stdout.splitlines()[0]
    if not first.startswith("--bazelrc="):
        return set()
    lines = Path(first.partition("=")[2]).read_text().splitlines()
    start, end = f'build "--sandbox_block_path={machine.home.resolve()}/', '"'
    assert all(line.endswith(end) for line in lines)
    # What lies in the home folder of whoever runs this test is hidden too.
    return {line[len(start) : -len(end)] for line in lines if line.startswith(start)}


def test_all_is_hidden_but_the_caches_of_the_build(machine: FakeMachine) -> None:
    assert hidden(machine) == {".ssh", ".config", ".netrc", "notes", ".cache/pip"}


def test_nothing_is_hidden_twice(machine: FakeMachine) -> None:
    """Within a folder that is hidden there is nothing left to hide: the sandbox would break."""
    hidden(machine)
    (rc,) = machine.cache.glob("home-*.bazelrc")
    paths = [Path(line.partition("=")[2].rstrip('"')) for line in rc.read_text().splitlines()]
    assert [path for path in paths if any(one in path.parents for one in paths)] == []


def test_the_arguments_follow_unchanged(machine: FakeMachine) -> None:
    result = machine.bazelw("test", "//a b", IRIS_SANDBOX_HOME="")
    assert result.stdout.splitlines()[1:] == ["test", "//a b"]


def test_it_can_be_told_not_to(machine: FakeMachine) -> None:
    assert hidden(machine, IRIS_SANDBOX_HOME="shown") == set()


def test_the_file_of_a_workspace_that_is_gone_goes_too(machine: FakeMachine) -> None:
    hidden(machine)
    gone = machine.cache / f"home-{str(machine.home / 'gone').replace('/', '%')}.bazelrc"
    gone.touch()
    make_file(machine.home / ".new")
    hidden(machine)
    assert [path for path in machine.cache.glob("home-*") if path == gone] == []
    assert len(list(machine.cache.glob("home-*"))) == 1


def test_bazel_is_asked_for_its_version_as_before(machine: FakeMachine) -> None:
    assert machine.bazelw("--version", IRIS_SANDBOX_HOME="").stdout == "--version\n"


def test_nothing_is_written_while_nothing_changes(machine: FakeMachine) -> None:
    hidden(machine)
    (rc,) = machine.cache.glob("home-*.bazelrc")
    os.utime(rc, (1, 1))
    hidden(machine)
    assert rc.stat().st_mtime == 1
    make_file(machine.home / ".new")
    assert ".new" in hidden(machine)


@pytest.mark.parametrize("shims", [".pyenv/shims", ".local/bin", "envs/mine/bin"])
def test_a_python_on_the_path_stays(machine: FakeMachine, shims: str) -> None:
    make_file(machine.home / shims / "python3.11")
    make_file(machine.home / "bin/other")
    path = f"{machine.home}/bin:{machine.home / shims}:{machine.bin}"
    found = hidden(machine, PATH=path)
    assert shims.partition("/")[0] not in found
    assert {"bin", ".ssh"} <= found


def test_so_does_the_python_that_a_virtual_environment_was_made_of(machine: FakeMachine) -> None:
    make_file(machine.home / "venv/bin/python3")
    make_file(machine.home / "miniconda/bin/python3.11")
    (machine.home / "venv/pyvenv.cfg").write_text(f"home = {machine.home}/miniconda/bin\n")
    found = hidden(machine, PATH=f"{machine.home}/venv/bin:{machine.bin}")
    assert found.isdisjoint({"venv", "miniconda"})


def test_a_python_that_was_named_stays(machine: FakeMachine) -> None:
    make_file(machine.home / "pythons/bin/python3")
    assert "pythons" in hidden(machine)
    python = f"{machine.home}/pythons/bin/python3"
    assert "pythons" not in hidden(machine, IRIS_PYTHON=python)


def test_what_is_beside_the_workspace_is_hidden_and_the_workspace_is_not(
    machine: FakeMachine,
) -> None:
    inside = machine.home / "src/iris"
    make_file(machine.home / "src/other/x")
    inside.parent.mkdir(exist_ok=True)
    machine.workspace.rename(inside)
    machine.workspace = inside
    found = hidden(machine)
    assert "src/other" in found
    assert found.isdisjoint({"src", "src/iris"})


@pytest.mark.parametrize("place", ["argument", "user.bazelrc", "home"])
def test_output_that_was_moved_stays(machine: FakeMachine, place: str) -> None:
    make_file(machine.home / "out/x")
    assert "out" in hidden(machine)
    flag = f"--output_user_root={machine.home}/out"
    line = f"startup {flag}\n"
    if place == "argument":
        result = machine.bazelw(flag, "build", IRIS_SANDBOX_HOME="")
        rc = result.stdout.splitlines()[0].partition("=")[2]
        assert "/out" not in Path(rc).read_text()
        return
    folder = machine.home if place == "home" else machine.workspace
    (folder / (".bazelrc" if place == "home" else place)).write_text(line)
    assert "out" not in hidden(machine)


def test_odd_names_and_links(machine: FakeMachine, tmp_path: Path) -> None:
    make_file(machine.home / 'a "quoted" \\ name/x')
    make_file(tmp_path / "elsewhere/x")
    (machine.home / "link").symlink_to(tmp_path / "elsewhere")
    found = hidden(machine)
    assert 'a \\"quoted\\" \\\\ name' in found
    assert "link" not in found
