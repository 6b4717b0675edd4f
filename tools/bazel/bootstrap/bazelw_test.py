"""Tests of ./bazelw: which Bazel it takes, and what it says when there is none."""

import os
from pathlib import Path

import pytest

from tools.bazel.bootstrap.fake_machine import FakeMachine

_PROBED = 3
"""Addresses that must all answer before Bazelisk is taken from npm."""


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path / "machine")


def _bazel(name: str, version: str = "") -> str:
    """The body of a program that tells what it was called as and with."""
    answer = f'[[ "$*" != --version ]] || {{ echo "{version}"; exit; }}\n' if version else ""
    return (
        f'echo "asked {name}" >>"$HOME/asked"\n{answer}'
        f'echo "{name} $* | caller=$IRIS_CALLER_DIRECTORY | directory=$PWD"'
    )


def _asked(machine: FakeMachine, name: str) -> int:
    path = machine.home / "asked"
    return path.read_text().splitlines().count(f"asked {name}") if path.exists() else 0


def _add_npm(machine: FakeMachine) -> None:
    """An npm that installs a Bazelisk for every kind of machine."""
    body = _bazel("npm-bazelisk")
    names = " ".join(
        f"{system}_{cpu}" for system in ("linux", "darwin") for cpu in ("amd64", "arm64")
    )
    machine.add_program(
        "npm",
        'echo "asked npm" >>"$HOME/asked"\n'
        "while [[ $1 != --prefix ]]; do shift; done; folder=$2/node_modules/@bazel/bazelisk\n"
        'mkdir -p "$folder"\n'
        f"for kind in {names}; do cat >\"$folder/bazelisk-$kind\" <<'END'\n"
        f"#!{machine.bin}/bash\n{body}\nEND\ndone",
    )


def _add_network(machine: FakeMachine, *, reachable: str = "*") -> None:
    """A curl that reaches the addresses matching a pattern."""
    machine.add_program(
        "curl",
        f'echo "asked curl" >>"$HOME/asked"\n[[ ${{@: -1}} == {reachable} ]]',
    )


def _add_debian(machine: FakeMachine) -> None:
    machine.add_python()
    machine.add_debian(offers={"forky": "7.7.1+ds-8"})


# ---- which Bazel -----------------------------------------------------------------------------


def test_the_variable_wins_over_everything(machine: FakeMachine) -> None:
    machine.add_program("bazelisk", _bazel("bazelisk"))
    own = machine.add_program("own", _bazel("own"))

    result = machine.bazelw("build", "//...", BAZEL=str(own))

    assert result.stdout.startswith("own build //...")


def test_the_variable_may_be_a_name_on_path(machine: FakeMachine) -> None:
    machine.add_program("own", _bazel("own"))

    assert machine.bazelw("build", BAZEL="own").stdout.startswith("own build")


def test_a_wrong_variable_is_an_error_and_not_passed_over(machine: FakeMachine) -> None:
    machine.add_program("bazelisk", _bazel("bazelisk"))

    result = machine.bazelw("build", BAZEL="/no/such/bazel")

    assert result.returncode == 69
    assert "$BAZEL is '/no/such/bazel', which is no program" in result.stderr
    assert result.stdout == ""


def test_bazelisk_comes_before_bazel(machine: FakeMachine) -> None:
    machine.add_program("bazel", _bazel("bazel", "bazel 7.7.1"))
    machine.add_program("bazelisk", _bazel("bazelisk"))

    assert machine.bazelw("build").stdout.startswith("bazelisk build")


@pytest.mark.parametrize("version", ["7.7.1", "7.7.2", "7.10.0"])
def test_a_bazel_on_path_that_will_do(machine: FakeMachine, version: str) -> None:
    machine.add_program("bazel", _bazel("bazel", f"bazel {version}"))

    assert machine.bazelw("build").stdout.startswith("bazel build")


@pytest.mark.parametrize(
    "version",
    [
        "bazel 6.9.0",
        "bazel 8.0.0",
        "bazel 8.9.0",
        "bazel 7.7.0",
        "bazel 7.6.9",
        "bazel 4.2.3- (@non-git)",
        "no",
    ],
)
def test_a_bazel_on_path_that_will_not_do_is_passed_over(
    machine: FakeMachine, version: str
) -> None:
    machine.add_program("bazel", _bazel("bazel", version))
    _add_npm(machine)
    _add_network(machine)

    assert machine.bazelw("build").stdout.startswith("npm-bazelisk build")


def test_a_bazel_is_asked_for_its_version_once(machine: FakeMachine) -> None:
    machine.add_program("bazel", _bazel("bazel", "bazel 7.7.1"))

    for _ in range(3):
        machine.bazelw("build")

    assert _asked(machine, "bazel") == 4


def test_a_changed_bazel_is_asked_again(machine: FakeMachine) -> None:
    program = machine.add_program("bazel", _bazel("bazel", "bazel 7.7.1"))
    machine.bazelw("build")
    machine.add_program("bazel", _bazel("bazel", "bazel 6.0.0"))
    later = (machine.cache / "bazel-on-path").stat().st_mtime + 10
    os.utime(program, (later, later))

    result = machine.bazelw("build")

    assert f"bazel on PATH ({program}) is 6.0.0; 7.7.1 or a later 7.x is needed" in result.stderr


def test_itself_under_the_name_bazel_is_passed_over(machine: FakeMachine) -> None:
    (machine.bin / "bazel").symlink_to(machine.workspace / "bazelw")

    result = machine.bazelw("build")

    assert "is this script" in result.stderr


# ---- npm -------------------------------------------------------------------------------------


def test_bazelisk_through_npm_is_installed_once(machine: FakeMachine) -> None:
    _add_npm(machine)
    _add_network(machine)

    first, second = machine.bazelw("build"), machine.bazelw("test", "//a b")

    assert first.stdout.startswith("npm-bazelisk build")
    assert second.stdout.startswith("npm-bazelisk test //a b")
    assert second.stderr == ""
    assert (_asked(machine, "npm"), _asked(machine, "curl")) == (1, _PROBED)
    assert not list(machine.cache.glob("npm.*"))


@pytest.mark.parametrize("reachable", ["none", "*github*", "*bazel.build*"])
def test_an_unreachable_download_passes_npm_over_and_is_remembered(
    machine: FakeMachine, reachable: str
) -> None:
    _add_npm(machine)
    _add_network(machine, reachable=reachable)

    first, second = machine.bazelw("build"), machine.bazelw("build")

    assert "do not answer within" in first.stderr
    assert "did not answer (asked less than a day ago)" in second.stderr
    assert (_asked(machine, "npm"), _asked(machine, "curl")) == (0, _PROBED)


def test_the_memory_of_being_offline_ends(machine: FakeMachine) -> None:
    _add_npm(machine)
    _add_network(machine)
    machine.cache.mkdir(parents=True)
    (machine.cache / "offline").write_text("0\n")

    assert machine.bazelw("build").stdout.startswith("npm-bazelisk build")


@pytest.mark.parametrize("memory", ["", "nonsense\n", "99999999999999\n"])
def test_a_damaged_memory_is_no_memory(machine: FakeMachine, memory: str) -> None:
    _add_npm(machine)
    _add_network(machine)
    machine.cache.mkdir(parents=True)
    (machine.cache / "offline").write_text(memory)

    assert machine.bazelw("build").stdout.startswith("npm-bazelisk build")


def test_an_npm_that_fails_is_passed_over(machine: FakeMachine) -> None:
    machine.add_program("npm", "exit 1")
    _add_network(machine)

    result = machine.bazelw("build")

    assert "npm cannot install @bazel/bazelisk@" in result.stderr
    assert result.returncode == 69
    assert not list(machine.cache.glob("npm.*"))


# ---- Debian ----------------------------------------------------------------------------------


def test_debian_is_the_last_resort_and_stays(machine: FakeMachine) -> None:
    _add_debian(machine)

    first = machine.bazelw("build", "//...")
    machine.forget()
    second = machine.bazelw("build", "//...")

    (rc,) = machine.cache.glob("debian-7.7.1-*.bazelrc")
    expected = f"debian --nosystem_rc --bazelrc={rc} build //... |"
    assert first.stdout.startswith(expected)
    assert "[5/5]" in first.stderr
    assert second.stdout.startswith(expected)
    assert second.stderr == ""
    assert machine.calls("") == []


@pytest.mark.parametrize(
    ("charmap", "locale"), [("ANSI_X3.4-1968", "C.UTF-8"), ("UTF-8", "de_DE.UTF-8")]
)
def test_debian_runs_in_a_locale_that_can_name_any_file(
    machine: FakeMachine, charmap: str, locale: str
) -> None:
    """Outside UTF-8 its JVM crashes at the first file name that is not ASCII."""
    _add_debian(machine)
    machine.add_program("locale", f"echo {charmap}")

    result = machine.bazelw("build", LANG="de_DE.UTF-8")

    assert f"| locale={locale}\n" in result.stdout


def test_debian_leaves_no_trace_in_the_workspace(machine: FakeMachine) -> None:
    _add_debian(machine)
    before = sorted(machine.workspace.rglob("*"))

    machine.bazelw("build")

    assert sorted(machine.workspace.rglob("*")) == before


def test_a_relative_cache_variable_is_ignored(machine: FakeMachine) -> None:
    _add_debian(machine)

    machine.bazelw("build", XDG_CACHE_HOME="relative")

    assert list(machine.cache.glob("debian-*.bazelrc"))


def test_the_cache_variable_moves_the_cache(machine: FakeMachine, tmp_path: Path) -> None:
    _add_debian(machine)

    machine.bazelw("build", XDG_CACHE_HOME=str(tmp_path / "elsewhere"))

    assert list(tmp_path.glob("elsewhere/iris/bazel/debian-*.bazelrc"))
    assert not machine.cache.exists()


def test_an_old_python_is_not_enough(machine: FakeMachine) -> None:
    _add_debian(machine)
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        machine.add_program(name, "exit 1")
    wrapper = machine.workspace / "bazelw"
    wrapper.write_text(
        wrapper.read_text().replace("/usr/bin/python3", str(machine.bin / "python3"))
    )

    result = machine.bazelw("build")

    assert "needs Python 3.11 or newer as python3" in result.stderr


# ---- nothing works ---------------------------------------------------------------------------


def test_one_message_names_all_that_was_tried_and_what_to_install(
    machine: FakeMachine,
) -> None:
    result = machine.bazelw("build")

    assert result.returncode == 69
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "bazelw: there is no Bazel 7.7.1 here, and no way to get one:",
        "  - $BAZEL is not set",
        "  - bazelisk is not on PATH",
        "  - bazel is not on PATH",
        "  - npm is not on PATH",
        "  - this is no Debian-family machine (no apt-get)",
        "bazelw: install Bazelisk (https://github.com/bazelbuild/bazelisk)"
        + " as 'bazelisk' on PATH, or set BAZEL to a Bazel 7.7.1",
    ]


def test_the_message_repeats_why_debian_failed(machine: FakeMachine) -> None:
    _add_debian(machine)
    (machine.debian / "candidate-forky").unlink()

    result = machine.bazelw("build")

    assert result.returncode == 69
    assert "  - Debian's packages: no Debian archive within reach offers Bazel 7;" in result.stderr
    assert "does not have a Release file" in result.stderr


def test_no_home(machine: FakeMachine) -> None:
    result = machine.bazelw("build", HOME="")

    assert "set HOME or XDG_CACHE_HOME" in result.stderr
    assert result.returncode == 69


def test_a_version_file_that_holds_no_version(machine: FakeMachine) -> None:
    (machine.workspace / ".bazelversion").write_text("latest\n")

    result = machine.bazelw("build")

    assert "/.bazelversion does not hold a version like 7.7.1" in result.stderr
    assert result.returncode == 69


def test_one_way_can_be_demanded(machine: FakeMachine) -> None:
    machine.add_program("bazelisk", _bazel("bazelisk"))
    _add_debian(machine)

    assert machine.bazelw("build", IRIS_BAZEL_FROM="debian").stdout.startswith("debian ")
    assert machine.bazelw("build", IRIS_BAZEL_FROM="npm").returncode == 69
    assert "must be env, path, npm or debian" in machine.bazelw(IRIS_BAZEL_FROM="apt").stderr
