"""The smoke flow can turn red, says why, and cleans up all the same."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from absl import flags

from iris.testing.leaks import LeakCheck
from tests.bugs.numbered import BUGS
from tests.bugs.put_back import folder_for

CONFIG = flags.DEFINE_string("smoke_config", None, "The configuration of the flow's cluster.")
BUNDLE = flags.DEFINE_string("bundle", None, "The workspace bundle.")


def smoke_argv(report_dir: Path, *more: str, config: str | None = None) -> list[str]:
    return [
        *(sys.executable, "-P", "-s", "-m", "iris.smoke.main", "--local"),
        *(f"--config={config or CONFIG.value}", f"--workspace_bundle={BUNDLE.value}"),
        *(f"--report_dir={report_dir}", "--timeout=50", *more),
    ]


def smoke_environment(*first: Path) -> dict[str, str]:
    # Not the test's own XML_OUTPUT_FILE or TEST_TARGET: this run is no test of Bazel's.
    return {"PYTHONPATH": os.pathsep.join([*map(str, first), *sys.path]), "PATH": os.defpath}


def run_smoke(report_dir: Path, *more: str, bug: str = "") -> tuple[int, dict[str, Any]]:
    argv = smoke_argv(report_dir, *more)
    first = [folder_for(report_dir / "bug", bug)] if bug else []
    with LeakCheck():
        done = subprocess.run(
            argv, env=smoke_environment(*first), capture_output=True, text=True, timeout=55
        )
    print(done.stdout, done.stderr)
    return done.returncode, json.loads((report_dir / "report.json").read_text())


def verdicts(report: dict[str, Any]) -> dict[str, str]:
    return {case["name"]: case["verdict"] for case in report["cases"]}


def test_the_total_deadline_interrupts_the_work_and_not_the_cleanup(tmp_path: Path) -> None:
    # Slices go back a second after the last work: no machine is fast enough for that.
    code, report = run_smoke(tmp_path, "--timeout=1", "--cases=hello,slices-go-back")
    assert code == 1
    assert "not done within its 1 s" in report["problem"]
    assert verdicts(report)["teardown-leaves-nothing"] == "passed"


def test_a_case_beyond_its_own_deadline_is_named(tmp_path: Path) -> None:
    # The tree ignores SIGTERM, and has 0.3 s of grace.
    code, report = run_smoke(tmp_path, "--case_timeout=0.1", "--cases=cancel-stubborn-tree")
    assert code == 1
    assert verdicts(report)["cancel-stubborn-tree"] == "timeout"
    assert verdicts(report)["teardown-leaves-nothing"] == "passed"


@pytest.mark.parametrize("seconds", [0.3, 0.6])
def test_a_case_that_ends_while_the_controller_is_down_or_comes_up_leaves_nothing(
    tmp_path: Path, seconds: float
) -> None:
    # Wherever that is on this machine: between them they are over before, during and after.
    code, report = run_smoke(tmp_path, f"--case_timeout={seconds}", "--cases=controller-killed")
    assert code == 1
    assert verdicts(report)["controller-killed"] == "timeout"
    assert verdicts(report)["teardown-leaves-nothing"] == "passed"


def test_a_tree_beyond_its_memory_is_ended_and_the_limit_said(tmp_path: Path) -> None:
    code, report = run_smoke(tmp_path, "--memory_limit=20MiB", "--cases=hello")
    assert code == 1
    assert str(20 << 20) in report["bounds"]["violation"]


def test_a_python_that_is_not_there_turns_every_job_red(tmp_path: Path) -> None:
    code, report = run_smoke(tmp_path, "--python=/nonexistent/python3", "--cases=hello")
    assert code == 1
    assert verdicts(report)["hello"] == "failed"
    assert "/nonexistent/python3" in json.dumps(report["cases"])


def test_an_interruption_is_reported_and_cleaned_up_after(tmp_path: Path) -> None:
    argv = smoke_argv(tmp_path)
    with (
        LeakCheck(),
        subprocess.Popen(argv, env=smoke_environment(), stdout=subprocess.PIPE, text=True) as smoke,
    ):
        assert smoke.stdout is not None
        for line in smoke.stdout:
            if "cluster up" in line:
                break
        for _ in range(3):
            smoke.send_signal(signal.SIGTERM)
        smoke.stdout.read()
    assert smoke.returncode == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["problem"] == "the flow was interrupted"
    assert verdicts(report)["teardown-leaves-nothing"] == "passed"


@pytest.mark.parametrize("name", BUGS)
def test_an_old_bug_that_is_put_back_turns_the_case_that_is_meant_for_it_red(
    tmp_path: Path, name: str
) -> None:
    bug = BUGS[name]
    # What goes back, or is left, has to have been bought.
    settles = bug.case in ("slices-go-back", "teardown-leaves-nothing")
    chosen = "hello,three-at-once,gang-of-four,slices-go-back" if settles else bug.case
    code, report = run_smoke(tmp_path, "--case_timeout=6", f"--cases={chosen}", bug=name)
    assert code == 1
    red = [case for case, verdict in verdicts(report).items() if verdict != "passed"]
    assert bug.case in red, bug.what
    # The others run on the same bug, and say nothing of it.
    assert set(red) <= {bug.case, "teardown-leaves-nothing"}


def test_a_cluster_that_is_kept_can_be_looked_into_and_one_that_passed_is_not(
    tmp_path: Path,
) -> None:
    flags_ = ("--keep_on_failure", "--cases=hello")
    code, report = run_smoke(tmp_path / "good", *flags_)
    assert (code, report["kept"]) == (0, "")
    argv = smoke_argv(tmp_path / "bad", "--python=/nonexistent/python3", *flags_)
    with LeakCheck():
        done = subprocess.run(
            argv, env=smoke_environment(), capture_output=True, text=True, timeout=55
        )
        assert done.returncode == 1
        kept = json.loads((tmp_path / "bad" / "report.json").read_text())["kept"]
        said = re.search(r"serves at (\S+), .* its log in (\S+); end it with: kill (\d+)", kept)
        assert said is not None
        os.kill(int(said[3]), 0)
        assert Path(said[2]).is_file()
        os.kill(int(said[3]), signal.SIGTERM)
    shutil.rmtree(Path(said[2]).parent)


@pytest.mark.parametrize(
    ("flags_", "message"),
    [
        (["--cases=nonsense"], "No smoke case is called nonsense"),
        (["--address=127.0.0.1:1"], "exactly one of --config (or --local) and --address"),
        (["surplus"], "unexpected arguments"),
    ],
)
def test_bad_input_starts_nothing(tmp_path: Path, flags_: list[str], message: str) -> None:
    argv = smoke_argv(tmp_path / "report", *flags_)
    done = subprocess.run(argv, env=smoke_environment(), capture_output=True, text=True, timeout=55)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "report").exists()
