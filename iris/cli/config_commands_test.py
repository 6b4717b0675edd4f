"""Tests of `iris config`, as a person or a program runs it."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from iris.cli.fake_person import FakePerson
from iris.cli.main import run_command_line
from iris.cli.terminal import Terminal
from iris.config import config_to_yaml, make_local_config, parse_config
from iris.model.resources import GIB, Resources

_LAB = """\
name: lab
controller_vm:
  manual: {host: "${HEAD:-head}"}
ssh: {user: ada}
bootstrap: {environment: {HF_TOKEN: "${HF_TOKEN}", SECRET: hunter2}}
scale_groups:
  cpu:
    provider: {manual: {hosts: [a, b]}}
  pod:
    provider: {slurm: }
    min_slices: 1
    max_slices: 3
"""


@pytest.fixture
def person(tmp_path: Path) -> FakePerson:
    (tmp_path / "lab.yaml").write_text(_LAB)
    (tmp_path / "bad.yaml").write_text(
        "controller_vm: {manual: {host: h, prot: 1}}\n"
        "timeouts: {boot_timeout_seconds: 300}\n"
        "ssh: {port: 0}\n"
    )
    (tmp_path / "old.yaml").write_text("controller_vm: {local: }\nautoscaler: {call_timeout: 7s}\n")
    return FakePerson(tmp_path, {"HF_TOKEN": "s3cr3t"})


def _iris(person: FakePerson, *line: str) -> int:
    return run_command_line(["config", *line], person.context)


def test_check_says_ok_and_what_it_is(person: FakePerson) -> None:
    assert _iris(person, "check", "lab.yaml") == 0
    assert person.stdout == (
        "ok: cluster lab, controller manual, 2 scale groups (1 manual, 1 slurm), 1 to 5 slices\n"
    )
    assert person.stderr == ""


def test_check_says_everything_that_is_wrong_where_editors_look_for_it(person: FakePerson) -> None:
    assert _iris(person, "check", "bad.yaml") == 1
    assert person.stdout == ""
    assert person.stderr.splitlines() == [
        "bad.yaml:2:12: warning: timeouts.boot_timeout_seconds: is an older spelling; "
        "write boot_timeout: 300s",
        "bad.yaml:1:35: controller_vm.manual.prot: unknown key 'prot', did you mean 'port'?",
        "bad.yaml:3:13: ssh.port: 0 is less than the minimum, 1",
        "iris: 2 problems in bad.yaml",
    ]


def test_check_accepts_older_spellings_and_shows_the_new_ones(person: FakePerson) -> None:
    assert _iris(person, "check", "old.yaml") == 0
    assert person.stdout == "ok: cluster iris, controller local, 0 scale groups, 0 to 0 slices\n"
    assert person.stderr == (
        "old.yaml:2:14: warning: autoscaler.call_timeout: has moved; "
        "write timeouts: {call_timeout: 7s}\n"
    )


def test_check_reads_the_variables_of_whoever_calls(person: FakePerson) -> None:
    del person.environment["HF_TOKEN"]
    assert _iris(person, "check", "lab.yaml") == 1
    assert person.stderr.startswith(
        "lab.yaml:5:37: bootstrap.environment.HF_TOKEN: the environment variable HF_TOKEN is not "
        "set; set it, or write ${HF_TOKEN:-what holds without it}\n"
    )


def test_check_for_programs(person: FakePerson) -> None:
    assert _iris(person, "check", "--json", "bad.yaml") == 1
    said = json.loads(person.stdout)
    assert (said["ok"], said["summary"]) == (False, "")
    assert said["problems"][1] == {
        "key": "ssh.port",
        "message": "0 is less than the minimum, 1",
        "file": "bad.yaml",
        "line": 3,
        "column": 13,
    }
    assert [warning["line"] for warning in said["warnings"]] == [2]
    assert person.stderr == ""


def test_check_for_programs_of_what_is_good(person: FakePerson) -> None:
    assert _iris(person, "check", "--json", "lab.yaml") == 0
    said = json.loads(person.stdout)
    assert (said["ok"], said["problems"]) == (True, [])
    assert said["summary"].startswith("cluster lab, ")


@pytest.mark.parametrize("verb", ["check", "explain", "local"])
def test_a_file_that_is_not_there(person: FakePerson, verb: str) -> None:
    assert _iris(person, verb, "nope.yaml") == 1
    assert person.stdout == ""
    assert person.stderr == ("nope.yaml: No such file or directory\niris: 1 problem in nope.yaml\n")


def test_explain_is_a_table_of_plain_lines(person: FakePerson) -> None:
    assert _iris(person, "explain", "lab.yaml") == 0
    lines = person.stdout.splitlines()
    assert lines[0].split() == ["KEY", "VALUE", "FROM"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert rows["controller_vm.manual.host"] == ["${HEAD:-head}", "lab.yaml:3,", "$HEAD"]
    assert rows["scale_groups.cpu.ssh.user"] == ["ada", "ssh,", "lab.yaml:4"]
    assert rows["scale_groups.cpu.max_slices"] == ["2", "hosts,", "lab.yaml:8"]
    assert rows["scale_groups.pod.max_slices"] == ["3", "lab.yaml:12"]
    assert rows["autoscaler.interval"] == ["10s", "default"]
    assert rows["bootstrap.environment.HF_TOKEN"] == ["${HF_TOKEN}", "lab.yaml:5,", "$HF_TOKEN"]
    assert rows["bootstrap.environment.SECRET"] == ["***", "lab.yaml:5"]
    assert "hunter2" not in person.stdout


def test_explain_one_key(person: FakePerson) -> None:
    assert _iris(person, "explain", "lab.yaml", "scale_groups.pod.provider.slurm") == 0
    assert [line.split() for line in person.stdout.splitlines()[1:]] == [
        [f"scale_groups.pod.provider.slurm.{name}", "not", "set"]
        for name in ("partition", "account", "qos", "time_limit", "sbatch_options")
    ]


def test_explain_a_key_that_there_is_not(person: FakePerson) -> None:
    assert _iris(person, "explain", "lab.yaml", "autoscaler.intervall") == 1
    assert person.stderr == (
        "iris: There is no key 'autoscaler.intervall' in this configuration.\n"
        "      In autoscaler 'intervall' is unknown: did you mean 'interval'?\n"
    )


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_explain_on_a_screen_has_a_table_for_each_mapping(person: FakePerson) -> None:
    screen = _Screen()
    context = replace(person.context, terminal=Terminal(screen, io.StringIO(), width=60))
    assert run_command_line(["config", "explain", "lab.yaml", "bootstrap"], context) == 0
    text = re.sub("\x1b[^m]*m", "", screen.getvalue())
    assert [line.split() for line in text.splitlines()] == [
        ["bootstrap"],
        ["commands", "not", "set"],
        ["python", "python3", "default"],
        ["work_dir", "not", "set"],
        ["bootstrap.environment"],
        ["HF_TOKEN", "${HF_TOKEN}", "lab.yaml:5,", "$HF_TOKEN"],
        ["SECRET", "***", "lab.yaml:5"],
    ]


def test_explain_for_programs(person: FakePerson) -> None:
    assert _iris(person, "explain", "--json", "lab.yaml", "scale_groups.cpu.ssh") == 0
    user, port, *_ = json.loads(person.stdout)
    assert user == {
        "key": "scale_groups.cpu.ssh.user",
        "value": "ada",
        "source": "file",
        "file": "lab.yaml",
        "line": 4,
        "column": 7,
        "written_key": "ssh.user",
        "variables": [],
    }
    assert (port["value"], port["source"], port["line"]) == (None, "not set", None)


def test_local_prints_what_runs_here(person: FakePerson) -> None:
    assert _iris(person, "local", "lab.yaml") == 0
    machine = Resources(1000, GIB, GIB)
    config = parse_config(_LAB, "lab.yaml", environment={"HF_TOKEN": "s3cr3t"})
    local = make_local_config(config)
    assert person.stdout == config_to_yaml(local)
    assert parse_config(person.stdout, "out", machine=lambda: machine, environment={}) == local
    assert "s3cr3t" not in person.stdout


def test_bad_usage(person: FakePerson) -> None:
    assert _iris(person, "explain", "lab.yaml", "--jsn") == 2
    assert "Did you mean --json?" in person.stderr
    assert _iris(person, "check") == 2
    assert _iris(person, "check", "lab.yaml", "--address", "x:1") == 2
