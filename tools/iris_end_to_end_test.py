"""The `iris` command as a person uses it: real programs, a real cluster, an own two-file project."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_list("iris", [sys.executable, "tools/iris_main.py"], "The program under test.")
flags.DEFINE_list(
    "local_cluster", [sys.executable, "tools/local_cluster.py"], "The one that starts a cluster."
)

# Nothing here waits by the clock; these only end a test that hangs.
_PATIENCE_SECONDS = 30

_CONFIG = """
name: end-to-end
controller_vm:
  local:
    machine: {cpu: 1, memory: 1GiB, disk: 1GiB}
scale_groups:
  cpu:
    provider: {local: {}}
    vm: {cpu: 250m, memory: 128MiB, disk: 128MiB}
    max_slices: 3
"""

_MODULE = """
def double(number):
    return 2 * number
"""

_PROGRAM = """
import sys, numbers_of_mine

for number in range(3):
    print("doubled:", numbers_of_mine.double(number))
sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
"""


@dataclass(frozen=True)
class Done:
    """A program that has ended."""

    code: int
    out: str
    err: str


class Person:
    """Somebody with a project of their own, in a folder and a home of their own."""

    def __init__(self, root: Path) -> None:
        self._started: list[subprocess.Popen[str]] = []
        self.project = root / "project"
        self.project.mkdir(parents=True)
        (self.project / "numbers_of_mine.py").write_text(_MODULE)
        (self.project / "main.py").write_text(_PROGRAM)
        self.environment: Mapping[str, str] = {
            "HOME": str(root),
            "XDG_STATE_HOME": str(root / "state"),
            "USER": "ann",
            "PATH": os.environ.get("PATH", os.defpath),
            # Only for running outside of Bazel, where the programs do not bring their own.
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }

    def start(self, program: list[str], *arguments: str) -> subprocess.Popen[str]:
        """Begins a program in the project's folder."""
        paths = [os.path.abspath(part) if os.path.exists(part) else part for part in program]
        process = subprocess.Popen(
            [*paths, *arguments],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Ends what a test that failed has left. A cluster then stops by itself."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def iris(self, *arguments: str) -> Done:
        """Runs `iris` to its end."""
        process = self.start(FLAGS.iris, *arguments)
        out, err = process.communicate(timeout=_PATIENCE_SECONDS)
        return Done(process.returncode, out, err)


def start_cluster(person: Person, root: Path) -> subprocess.Popen[str]:
    """A cluster of their own, which is up."""
    (root / "cluster.yaml").write_text(_CONFIG)
    cluster = person.start(FLAGS.local_cluster, f"--config={root / 'cluster.yaml'}")
    assert cluster.stdout is not None
    for line in cluster.stdout:
        if "Ctrl-C stops the cluster" in line:
            return cluster
    pytest.fail(f"the cluster did not start: {cluster.communicate()[1]}")


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """With a cluster that is up."""
    root = tmp_path_factory.mktemp("home")
    with contextlib.closing(Person(root)) as ann:
        cluster = start_cluster(ann, root)
        yield ann
        cluster.send_signal(signal.SIGINT)
        out, err = cluster.communicate(timeout=_PATIENCE_SECONDS)
        assert (cluster.returncode, err) == (0, "")
        assert "nothing of it is left running" in out


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[Person]:
    """Somebody whose cluster a test starts, and ends."""
    with contextlib.closing(Person(tmp_path)) as other:
        yield other


def python(*arguments: str) -> list[str]:
    """A job's command: `python3` of the path may be another version, or missing."""
    return ["--", sys.executable, *arguments]


def run(person: Person, *arguments: str) -> Done:
    return person.iris("job", "run", "--cpu", "100m", "--memory", "64MiB", *arguments)


def test_an_own_project_of_two_files(person: Person) -> None:
    done = run(person, *python("main.py"))
    assert done.code == 0, done.err
    assert done.out == "doubled: 0\ndoubled: 2\ndoubled: 4\n"
    assert "2 files" in done.err
    assert re.search(r"/ann/main-[0-9a-f]{6} succeeded after", done.err)


def test_a_version_that_fails_is_understood(person: Person) -> None:
    done = run(person, "--name", "failing", *python("main.py", "3"))
    assert done.code == 3
    assert done.out == "doubled: 0\ndoubled: 2\ndoubled: 4\n"
    assert "task 0 exited with code 3" in done.err
    assert "    | doubled: 4\n" in done.err

    explained = person.iris("job", "explain", "failing")
    assert explained.code == 0
    assert "task 0 exited with code 3" in explained.out
    assert person.iris("job", "logs", "failing/0").out == done.out


def test_a_program_that_does_not_exist(person: Person) -> None:
    done = run(person, "--name", "missing", "--", "no-such-program")
    assert done.code != 0
    assert "no-such-program" in done.err


def test_several_tasks_are_told_apart(person: Person) -> None:
    done = run(
        person, "--replicas", "3", *python("-c", "import os; print(os.environ['IRIS_TASK_INDEX'])")
    )
    assert done.code == 0, done.err
    assert sorted(done.out.splitlines()) == ["[0] 0", "[1] 1", "[2] 2"]


def test_a_running_job_is_followed_and_cancelled(person: Person) -> None:
    forever = "import signal; print('running', flush=True); signal.pause()"
    done = run(person, "--name", "forever", "--detach", *python("-c", forever))
    assert (done.code, done.out) == (0, "/ann/forever\n")

    following = person.start(FLAGS.iris, "job", "logs", "--follow", "forever")
    assert following.stdout is not None
    assert following.stdout.readline() == "running\n"
    listed = person.iris("job", "list", "--active")
    assert "/ann/forever" in listed.out
    assert "running" in listed.out

    cancelled = person.iris("job", "cancel", "forever")
    assert cancelled.code == 0
    assert "killed" in cancelled.err
    following.communicate(timeout=_PATIENCE_SECONDS)
    assert following.returncode == 0
    assert "/ann/forever" not in person.iris("job", "list", "--active").out
    assert "was cancelled" in person.iris("job", "explain", "forever").out


def test_ctrl_c_cancels(person: Person) -> None:
    forever = "import signal; print('running', flush=True); signal.pause()"
    arguments = ["job", "run", "--name", "interrupted", "--cpu", "100m", "--memory", "64MiB"]
    running = person.start(FLAGS.iris, *arguments, *python("-c", forever))
    assert running.stdout is not None
    assert running.stdout.readline() == "running\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=_PATIENCE_SECONDS)
    assert running.returncode == 130
    assert "cancelling /ann/interrupted" in err
    assert "/ann/interrupted was cancelled" in err


def test_a_second_ctrl_c_leaves_at_once(person: Person) -> None:
    stubborn = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('running', flush=True); signal.pause(); signal.pause()"
    )
    arguments = ["job", "run", "--name", "stubborn", "--cpu", "100m", "--memory", "64MiB"]
    running = person.start(FLAGS.iris, *arguments, "--stop-grace", "1h", *python("-c", stubborn))
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline() == "running\n"
    running.send_signal(signal.SIGINT)
    for line in running.stderr:
        if "Ctrl-C again leaves at once" in line:
            break
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=_PATIENCE_SECONDS)
    assert running.returncode == 130
    assert "/ann/stubborn" in person.iris("job", "list", "--active").out


def test_a_job_that_could_never_run_is_refused_with_the_reason(person: Person) -> None:
    done = person.iris("job", "run", "--cpu", "64", "--no-bundle", *python("-c", "pass"))
    assert done.code == 1
    assert "cpu" in done.err


def test_the_cluster_says_what_it_has(person: Person) -> None:
    status = person.iris("cluster", "status")
    assert status.code == 0
    assert "end-to-end" in status.out
    assert re.search(r"^cpu +local +1 VM", status.out, re.MULTILINE)


def test_a_cluster_is_stopped_from_another_terminal(bob: Person, tmp_path: Path) -> None:
    cluster = start_cluster(bob, tmp_path)
    forever = "import signal; signal.pause()"
    assert run(bob, "--detach", "--no-bundle", *python("-c", forever)).code == 0

    stopped = bob.iris("cluster", "stop")

    assert stopped.code == 0
    assert "end-to-end has stopped" in stopped.err
    out, err = cluster.communicate(timeout=_PATIENCE_SECONDS)
    assert (cluster.returncode, err) == (0, "")
    assert "the cluster was stopped from elsewhere" in out
    assert "No cluster runs on this machine" in bob.iris("job", "list").err


def test_a_controller_that_is_killed_is_told(bob: Person, tmp_path: Path) -> None:
    cluster = start_cluster(bob, tmp_path)
    record = json.loads((tmp_path / "state/iris/end-to-end/controller.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    _, err = cluster.communicate(timeout=_PATIENCE_SECONDS)
    assert cluster.returncode == 1
    assert "The controller has ended by itself (exit code -9)" in err
