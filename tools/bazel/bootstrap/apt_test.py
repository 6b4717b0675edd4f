"""Tests of the private apt: what it takes over from the machine, and what it leaves out."""

import os
from pathlib import Path

import pytest

from tools.bazel.bootstrap.apt import PrivateApt
from tools.bazel.bootstrap.commands import Commands
from tools.bazel.bootstrap.errors import BootstrapError
from tools.bazel.bootstrap.fake_machine import FakeMachine
from tools.bazel.bootstrap.sources import Archive

_ARCHIVE = Archive("http://mirror.example/debian", "/key.gpg")
_PACKAGES = ["bazel-bootstrap", "patchelf"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    fake = FakeMachine(tmp_path / "machine")
    fake.add_debian(offers={"forky": "7.7.1+ds-8"})
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    return fake


@pytest.fixture
def apt(machine: FakeMachine, tmp_path: Path) -> PrivateApt:
    private = PrivateApt(tmp_path / "private", Commands(tmp_path / "log"), "amd64")
    private.update(_ARCHIVE, "forky")
    return private


def _configuration(folder: Path) -> dict[str, str]:
    lines = (folder / "apt.conf").read_text().splitlines()
    return {name: value.strip('";') for name, _, value in (line.partition(" ") for line in lines)}


def test_takes_over_how_to_reach_the_mirror_and_no_hooks(
    machine: FakeMachine, tmp_path: Path
) -> None:
    (machine.debian / "machine.conf").write_text(
        'Acquire::https::Proxy "http://proxy.example:3128";\n'
        'Acquire::Check-Valid-Until "false";\n'
        'Acquire::AllowInsecureRepositories "true";\n'
        'APT::Get::AllowUnauthenticated "true";\n'
        'APT::Update::Post-Invoke:: "rm -rf /";\n'
        'Dir::State "var/lib/apt";\n'
    )

    PrivateApt(tmp_path / "private", Commands(tmp_path / "log"), "amd64")

    settings = _configuration(tmp_path / "private")
    assert settings["Acquire::https::Proxy"] == "http://proxy.example:3128"
    assert settings["Acquire::Check-Valid-Until"] == "false"
    assert settings["Acquire::AllowInsecureRepositories"] == "false"
    assert settings["APT::Get::AllowUnauthenticated"] == "false"
    assert not any("Invoke" in name for name in settings)


def test_every_folder_it_writes_to_is_its_own(apt: PrivateApt, tmp_path: Path) -> None:
    settings = _configuration(tmp_path / "private")

    for name in (
        "Dir::Cache",
        "Dir::State",
        "Dir::State::lists",
        "Dir::State::status",
        "Dir::Log",
    ):
        assert settings[name].startswith(f"{tmp_path}/private/")


def test_the_source_is_signed_and_never_just_trusted(apt: PrivateApt, tmp_path: Path) -> None:
    source = (tmp_path / "private/sources/debian.sources").read_text().splitlines()

    assert "Signed-By: /key.gpg" in source
    assert "Suites: forky" in source
    assert not any("trusted" in line.lower() for line in source)


def test_candidate_is_what_the_index_offers(apt: PrivateApt) -> None:
    assert apt.candidate("bazel-bootstrap") == "7.7.1+ds-8"


@pytest.mark.parametrize("offered", ["", "(none)"])
def test_no_candidate(machine: FakeMachine, apt: PrivateApt, offered: str) -> None:
    (machine.debian / "candidate-forky").write_text(offered)

    assert apt.candidate("bazel-bootstrap") is None


def test_plan_leaves_out_compilers_and_headers(apt: PrivateApt) -> None:
    names = [package.name for package in apt.plan(_PACKAGES)]

    assert "bazel-bootstrap" in names
    assert "openjdk-25-jre-headless" in names
    assert not {"openjdk-25-jdk-headless", "libc6-dev"} & set(names)


def test_download_brings_what_was_planned_and_keeps_it(
    machine: FakeMachine, apt: PrivateApt
) -> None:
    planned = apt.plan(_PACKAGES)

    files = apt.download(_PACKAGES, planned, lambda: None)

    assert [path.name for path in files] == [package.file_name for package in planned]
    assert apt.downloaded_bytes() == sum(package.size for package in planned)
    assert len(machine.calls("fetch")) == len(planned)
    assert apt.plan(_PACKAGES) == planned
    assert apt.download(_PACKAGES, planned, lambda: None) == files
    assert len(machine.calls("fetch")) == len(planned)


def test_a_package_that_does_not_arrive_is_an_error(machine: FakeMachine, apt: PrivateApt) -> None:
    planned = apt.plan(_PACKAGES)
    (machine.debian / "archive" / planned[0].file_name).unlink()

    with pytest.raises(BootstrapError, match=f"all but {planned[0].name}"):
        apt.download(_PACKAGES, planned, lambda: None)


def test_nothing_to_download_is_an_error(machine: FakeMachine, apt: PrivateApt) -> None:
    for package in (machine.debian / "archive").iterdir():
        package.unlink()

    with pytest.raises(BootstrapError, match="nothing to download for bazel-bootstrap"):
        apt.plan(_PACKAGES)


def test_an_error_repeats_what_apt_said(apt: PrivateApt) -> None:
    with pytest.raises(BootstrapError, match="'sid Release' does not have a Release file"):
        apt.update(_ARCHIVE, "sid")


def test_it_is_not_confused_by_a_configuration_of_the_callers(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "APT_CONFIG", str(tmp_path / "callers.conf"))

    PrivateApt(tmp_path / "private", Commands(tmp_path / "log"), "amd64").update(_ARCHIVE, "forky")

    assert machine.calls("apt-get")
