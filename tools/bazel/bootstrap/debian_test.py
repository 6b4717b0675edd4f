"""Tests of the whole Debian route, over a fake archive: the steps, and what it survives."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.bazel.bootstrap import debian
from tools.bazel.bootstrap.debian import (
    Installation,
    Machine,
    install,
    upstream_version,
)
from tools.bazel.bootstrap.errors import BootstrapError
from tools.bazel.bootstrap.fake_machine import LOADER, FakeMachine

_FETCHED = 5
"""How many of the fake archive's packages are not left out."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    fake = FakeMachine(tmp_path / "machine")
    fake.add_debian(offers={"forky": "7.7.1+ds-8+b1"})
    monkeypatch.delenv(debian.MIRROR_VARIABLE, raising=False)
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    return fake


@pytest.fixture
def wanted(machine: FakeMachine) -> Installation:
    return Installation(machine.cache / "debian-7.7.1", "7.7.1")


def _install(machine: FakeMachine, wanted: Installation) -> list[str]:
    """Installs in this process; returns the lines of progress."""
    lines: list[str] = []
    places = Machine(
        machine.apt_folder,
        (machine.keyring,),
        certificates=machine.home / "no-certificates",
    )
    install(wanted, places, lines.append)
    return lines


def test_makes_a_bazel_that_runs_and_removes_the_downloads(
    machine: FakeMachine, wanted: Installation
) -> None:
    _install(machine, wanted)

    assert wanted.is_complete
    output = subprocess.run(
        [wanted.root / "usr/bin/bazel", "build"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert output.stdout.startswith("debian build")
    assert f"--install_base={wanted.root}/usr/share/bazel" in wanted.bazelrc.read_text()
    assert sorted(path.name for path in machine.cache.iterdir()) == [
        "debian-7.7.1",
        "debian-7.7.1.bazelrc",
        "debian-7.7.1.lock",
        "debian-7.7.1.log",
    ]


def test_leaves_out_what_is_not_needed(machine: FakeMachine, wanted: Installation) -> None:
    _install(machine, wanted)

    assert not (wanted.root / "usr/bin/javac").exists()
    assert len(machine.calls("fetch")) == _FETCHED


def test_says_each_step_once(machine: FakeMachine, wanted: Installation) -> None:
    lines = _install(machine, wanted)

    steps = [line[1:4] for line in lines if line.startswith("[")]
    assert steps == ["1/5", "2/5", "3/5", "4/5", "5/5"]


def test_the_second_start_does_nothing(machine: FakeMachine, wanted: Installation) -> None:
    _install(machine, wanted)
    machine.forget()

    assert _install(machine, wanted) == []
    assert machine.calls("") == []


def test_a_broken_installation_is_made_anew(machine: FakeMachine, wanted: Installation) -> None:
    _install(machine, wanted)
    (wanted.root / "usr/bin/bazel").unlink()

    _install(machine, wanted)

    assert wanted.is_complete


def test_a_repair_that_fails_is_not_taken_for_complete(
    machine: FakeMachine, wanted: Installation
) -> None:
    _install(machine, wanted)
    (wanted.root / "usr/bin/bazel").unlink()
    (machine.debian / "candidate-forky").unlink()

    with pytest.raises(BootstrapError):
        _install(machine, wanted)

    assert not wanted.bazelrc.exists()


def test_a_tree_that_was_never_started_is_started_not_downloaded_again(
    machine: FakeMachine, wanted: Installation
) -> None:
    _install(machine, wanted)
    wanted.bazelrc.unlink()
    machine.forget()

    _install(machine, wanted)

    assert wanted.is_complete
    assert machine.calls("apt-get") == []


def test_falls_back_to_the_development_suite(machine: FakeMachine, wanted: Installation) -> None:
    (machine.debian / "candidate-forky").rename(machine.debian / "candidate-sid")

    _install(machine, wanted)

    assert wanted.is_complete


def test_another_minor_version_is_used_with_a_warning(
    machine: FakeMachine, wanted: Installation
) -> None:
    (machine.debian / "candidate-forky").write_text("7.8.0+ds-1")

    lines = _install(machine, wanted)

    (warning,) = [line for line in lines if line.startswith("WARNING")]
    assert "has Bazel 7.8.0, the project wants 7.7.1" in warning


def test_another_major_version_is_refused(machine: FakeMachine, wanted: Installation) -> None:
    (machine.debian / "candidate-forky").write_text("8.1.0+ds-1")
    (machine.debian / "candidate-sid").write_text("9.0.0-1")

    with pytest.raises(BootstrapError, match=r"(?s)has Bazel 8\.1\.0.*has Bazel 9\.0\.0"):
        _install(machine, wanted)


def test_an_architecture_that_debian_does_not_build_bazel_for(
    machine: FakeMachine, wanted: Installation
) -> None:
    (machine.debian / "candidate-forky").write_text("")

    with pytest.raises(BootstrapError, match="has no bazel-bootstrap for architecture amd64"):
        _install(machine, wanted)


def test_no_network_names_every_place_that_was_asked(
    machine: FakeMachine, wanted: Installation
) -> None:
    (machine.debian / "candidate-forky").unlink()

    with pytest.raises(BootstrapError) as failure:
        _install(machine, wanted)

    message = str(failure.value)
    assert "forky of http://mirror.example/debian: apt-get failed with exit code 100" in message
    assert "sid of http://mirror.example/debian" in message
    assert debian.MIRROR_VARIABLE in message
    assert not wanted.is_complete


def test_a_named_mirror_replaces_the_machines_sources(
    machine: FakeMachine, wanted: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(debian.MIRROR_VARIABLE, "http://other.example/debian")

    lines = _install(machine, wanted)

    assert any("http://other.example/debian" in line for line in lines)
    assert not any("mirror.example" in line for line in lines)


def test_no_keyring(machine: FakeMachine, wanted: Installation) -> None:
    machine.keyring.unlink()

    with pytest.raises(BootstrapError, match="install the package debian-archive-keyring"):
        _install(machine, wanted)


def test_no_sources(machine: FakeMachine, wanted: Installation) -> None:
    (machine.apt_folder / "sources.list").unlink()

    with pytest.raises(BootstrapError, match="name no archive; set IRIS_DEBIAN_MIRROR"):
        _install(machine, wanted)


def test_no_apt(machine: FakeMachine, wanted: Installation) -> None:
    (machine.bin / "apt-get").unlink()

    with pytest.raises(BootstrapError, match="not a Debian-family machine: no apt-get"):
        _install(machine, wanted)


def test_a_full_disk_is_noticed_before_anything_is_downloaded(
    machine: FakeMachine, wanted: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(machine.home)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5_000_000))

    with pytest.raises(BootstrapError, match="has 5 MB free, 1000 MB are needed"):
        _install(machine, wanted)

    assert machine.calls("") == []


def test_a_cache_folder_that_cannot_be_made(machine: FakeMachine, wanted: Installation) -> None:
    (machine.home / ".cache").write_text("a file where a folder should be")

    with pytest.raises(BootstrapError, match=r"Not a directory .*\.cache"):
        _install(machine, wanted)


def test_a_cache_folder_with_a_colon(machine: FakeMachine) -> None:
    wanted = Installation(machine.home / "a:b" / "debian-7.7.1", "7.7.1")

    with pytest.raises(BootstrapError, match="':' in its name"):
        _install(machine, wanted)


def test_a_bazel_that_does_not_start_is_never_published(
    machine: FakeMachine, wanted: Installation
) -> None:
    package = next((machine.debian / "archive").glob("bazel-bootstrap_*"))
    good = package.read_bytes()
    package.write_bytes(good.replace(b"Build label: 7.7.1", b"Build label: 0.0.0"))

    with pytest.raises(BootstrapError, match=r"reports 'Build label: 0\.0\.0"):
        _install(machine, wanted)

    assert not wanted.root.exists()
    assert not wanted.bazelrc.exists()


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("7.7.1+ds-8+b1", "7.7.1"),
        ("1:7.7.1-1", "7.7.1"),
        ("7.7.1~rc1-1", "7.7.1"),
        ("7.7.1", "7.7.1"),
    ],
)
def test_upstream_version(version: str, expected: str) -> None:
    assert upstream_version(version) == expected


def test_killed_while_unpacking_leaves_nothing_half_done(
    machine: FakeMachine, wanted: Installation
) -> None:
    half = wanted.beside(".unpacking") / "usr/bin"
    half.mkdir(parents=True)
    (half / "leftover").touch()

    _install(machine, wanted)

    assert not wanted.beside(".unpacking").exists()
    assert not (wanted.root / "usr/bin/leftover").exists()
    assert (wanted.root / LOADER).exists()
