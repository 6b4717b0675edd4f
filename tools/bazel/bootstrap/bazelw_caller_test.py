"""Tests of ./bazelw: what it hands on to Bazel, from wherever it is called."""

import shutil
import stat
from pathlib import Path

import pytest

from tools.bazel.bootstrap.fake_machine import FakeMachine

_TELL = 'echo "bazelisk $* | caller=$IRIS_CALLER_DIRECTORY | directory=$PWD"'


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path / "machine")


def test_arguments_and_exit_code_pass_through_unchanged(machine: FakeMachine) -> None:
    machine.add_program("bazelisk", "printf '<%s>' \"$@\"; exit 37")

    result = machine.bazelw("run", "", "a b", "*", "--", "-x", "$HOME")

    assert result.stdout == "<run><><a b><*><--><-x><$HOME>"
    assert result.returncode == 37


def test_no_arguments(machine: FakeMachine) -> None:
    machine.add_program("bazelisk", 'echo "$#"')

    assert machine.bazelw().stdout == "0\n"


def test_outside_the_workspace_it_goes_there_and_tells_where_from(
    machine: FakeMachine, tmp_path: Path
) -> None:
    machine.add_program("bazelisk", _TELL)
    own_project = tmp_path / "my project"
    own_project.mkdir()

    result = machine.bazelw("run", directory=own_project)

    assert result.stdout == (
        f"bazelisk run | caller={own_project} | directory={machine.workspace.resolve()}\n"
    )


def test_inside_the_workspace_it_stays(machine: FakeMachine) -> None:
    machine.add_program("bazelisk", _TELL)
    package = machine.workspace / "iris" / "model"
    package.mkdir(parents=True)

    result = machine.bazelw("build", directory=package)

    assert result.stdout == f"bazelisk build | caller={package} | directory={package}\n"


def test_a_folder_that_only_begins_like_the_workspace_is_outside(
    machine: FakeMachine,
) -> None:
    machine.add_program("bazelisk", _TELL)
    twin = machine.workspace.with_name("workspace2")
    twin.mkdir()

    result = machine.bazelw("build", directory=twin)

    assert f"directory={machine.workspace.resolve()}\n" in result.stdout


def test_called_through_links_it_finds_its_workspace(machine: FakeMachine, tmp_path: Path) -> None:
    machine.add_program("bazelisk", _TELL)
    links = tmp_path / "links"
    links.mkdir()
    (links / "second").symlink_to("../machine/workspace/bazelw")
    (links / "first").symlink_to("second")
    real = machine.workspace
    machine.workspace = links
    shutil.copy(real / ".bazelversion", tmp_path)
    (links / "bazelw").symlink_to(links / "first")

    result = machine.bazelw("build", directory=tmp_path)

    assert f"directory={real.resolve()}\n" in result.stdout


def test_it_is_executable() -> None:
    wrapper = Path(__file__).parents[3] / "bazelw"

    assert wrapper.stat().st_mode & stat.S_IXUSR
