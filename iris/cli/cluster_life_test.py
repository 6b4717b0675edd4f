"""A cluster from its start to its stop, by commands with its configuration."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.cli.fake_person import FakePerson
from iris.cli.main import run_command_line
from iris.testing.leaks import LeakCheck

CONFIG = """
name: lab
controller_vm: {local: {state_dir: STATE}}
scale_groups:
  cpu:
    provider: {local: {}}
    vm: {cpu: 500m, memory: 64MiB, disk: 64MiB}
worker: {stop_grace: 0.2s}
"""


@pytest.fixture
def person(tmp_path: Path) -> Iterator[FakePerson]:
    (tmp_path / "lab.yaml").write_text(CONFIG.replace("STATE", str(tmp_path / "state")))
    with LeakCheck():
        made = FakePerson(tmp_path, {"XDG_STATE_HOME": str(tmp_path)})
        yield made
        assert iris(made, "cluster", "stop", "--config=lab.yaml") == 0


def iris(person: FakePerson, *line: str) -> int:
    return run_command_line(line, person.context)


def test_from_start_to_stop(person: FakePerson, tmp_path: Path) -> None:
    here = "--config=lab.yaml"
    assert iris(person, "cluster", "status", here) == 1
    assert "Cluster 'lab' is not running" in person.stdout
    assert iris(person, "cluster", "logs", here) == 1
    assert "The cluster lab was never started." in person.stderr

    assert iris(person, "cluster", "start", here) == 0
    assert "stop it with: iris cluster stop --config=lab.yaml" in person.stderr
    line = ["job", "run", here, "--no-bundle", "--cpu=0.1", "--memory=16MiB", "--", "echo", "hello"]
    assert iris(person, *line) == 0
    assert person.stdout.splitlines()[-1] == "hello"
    assert iris(person, "cluster", "status", here) == 0
    address = (tmp_path / "state" / "controller.json").read_text().split('"')[3]
    assert f"{address} on " in person.stdout

    assert iris(person, "cluster", "restart", here) == 0
    assert iris(person, "cluster", "reload", "--state-dir=state") == 0
    assert f"cluster stop --state-dir={tmp_path / 'state'}" in person.stderr
    assert iris(person, "job", "list", here) == 0
    assert "echo hello" in person.stdout
    assert iris(person, "cluster", "logs", "--tail=1", here) == 0
    assert "cluster lab serves at" in person.stdout.splitlines()[-1]
    assert iris(person, "cluster", "stop", here) == 0
    assert iris(person, "job", "list", here) == 1
    assert "is not running" in person.stderr.splitlines()[-1]


def test_flags_that_do_not_go_together(person: FakePerson, tmp_path: Path) -> None:
    assert iris(person, "cluster", "start") == 2
    assert "--config=FILE" in person.stderr
    assert iris(person, "job", "list", "--config=lab.yaml", "--address=h:1") == 2
    assert "--config does not go with --address" in person.stderr
    far = CONFIG.replace("{local: {state_dir: STATE}}", "{manual: {host: far}}")
    (tmp_path / "far.yaml").write_text(far)
    assert iris(person, "cluster", "stop", "--config=far.yaml", "--state-dir=s") == 2
    assert "its controller is on another machine" in person.stderr


def test_a_configuration_that_cannot_be_used(person: FakePerson, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: lab\ncontroler_vm: {}\n")
    assert iris(person, "cluster", "start", "--config=bad.yaml") == 1
    assert "bad.yaml:2:1: controler_vm" in person.stderr
