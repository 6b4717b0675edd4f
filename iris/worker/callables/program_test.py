"""What a task that calls a Python function does, as the process that a worker would start."""

import functools
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from iris.model.callables import CallableEntrypoint
from iris.model.job import Entrypoint
from iris.worker.callables import program
from iris.worker.callables.program import program_of

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def entrypoint(function: Any, *args: Any) -> Entrypoint:
    """As a client makes it, if the function stood in the client's own program."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        pickled = cloudpickle.dumps(functools.partial(function, *args))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    return Entrypoint(callable=CallableEntrypoint(pickled, HERE, "mine.function"))


@dataclass
class Task:
    """The folders of an attempt."""

    path: Path

    @property
    def work(self) -> Path:
        return self.path / "work"

    def run(
        self, what: Entrypoint, *, own_python: bool = False, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs it with this environment and no other."""
        argv = program_of(what, folder=self.path, work=self.work, own_python=own_python)
        return subprocess.run(argv, env=env, cwd=self.work, capture_output=True, text=True)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "work").mkdir()
    return Task(tmp_path)


def changed(what: Entrypoint, **changes: Any) -> Entrypoint:
    assert what.callable is not None
    return Entrypoint(callable=replace(what.callable, **changes))


def test_a_program_is_run_as_it_is(task: Task) -> None:
    argv = program_of(Entrypoint(("true",)), folder=task.path, work=task.work, own_python=False)
    assert argv == ("true",)
    assert [entry.name for entry in task.path.iterdir()] == ["work"]


def test_it_is_called_with_its_arguments_in_the_working_folder(task: Task) -> None:
    def write(name: str, *numbers: int) -> None:
        Path(name).write_text(str(sum(numbers)))
        print("written", sys.argv[1:])

    done = task.run(entrypoint(write, "sum", 1, 2))
    assert (done.returncode, done.stdout, done.stderr) == (0, "written []\n", "")
    assert (task.work / "sum").read_text() == "3"


def test_the_file_is_not_in_the_working_folder(task: Task) -> None:
    task.run(entrypoint(int))
    assert not list(task.work.iterdir())


def test_it_may_import_what_the_bundle_has_and_nothing_of_the_worker(task: Task) -> None:
    (task.work / "beside.py").write_text("VALUE = 'from the bundle'")

    def look() -> None:
        import importlib.util

        import beside  # type: ignore[import-not-found]

        others = ("iris", "grpc", "pytest", "google")
        print(beside.VALUE, [name for name in others if importlib.util.find_spec(name)])

    done = task.run(entrypoint(look))
    assert (done.stdout, done.stderr) == ("from the bundle []\n", "")


def test_a_function_of_the_bundle_is_found_there(task: Task) -> None:
    (task.work / "beside.py").write_text("def hello():\n    print('hello from', __name__)\n")
    by_name = b"cbeside\nhello\n."
    done = task.run(changed(entrypoint(int), pickled=by_name))
    assert (done.returncode, done.stdout) == (0, "hello from beside\n")


def test_what_it_raises_is_shown_from_the_function_on(task: Task) -> None:
    def fail() -> None:
        raise ValueError("no such luck")

    done = task.run(entrypoint(fail))
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: no such luck\n")
    assert "in fail" in done.stderr
    assert "runner.py" not in done.stderr


@pytest.mark.parametrize(
    ("code", "exits", "says"), [(7, 7, ""), (None, 0, ""), ("bye", 1, "bye\n")]
)
def test_an_exit_is_honoured(task: Task, code: object, exits: int, says: str) -> None:
    done = task.run(entrypoint(sys.exit, code))
    assert (done.returncode, done.stderr) == (exits, says)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line


def test_another_python_is_told_in_one_line(task: Task) -> None:
    line = one_line(task.run(changed(entrypoint(int), python="3.4")))
    assert f"mine.function was pickled by Python 3.4, and this task runs Python {HERE}" in line
    assert "name Python 3.4 in the job's environment" in line


def test_a_missing_module_is_told_in_one_line(task: Task) -> None:
    line = one_line(task.run(changed(entrypoint(int), pickled=b"cnowhere\nhello\n.")))
    assert "No module named 'nowhere'" in line
    assert "in the job's bundle or lock file" in line


def test_what_is_no_pickle_is_told_in_one_line(task: Task) -> None:
    assert "cannot be loaded" in one_line(task.run(changed(entrypoint(int), pickled=b"what?")))


def test_no_cloudpickle_is_told_in_one_line(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_cloudpickle_folder", lambda: "")
    line = one_line(task.run(entrypoint(int)))
    assert "cloudpickle is not installed here, which mine.function needs" in line


def test_a_jobs_own_python_is_found_on_its_path(task: Task) -> None:
    argv = program_of(entrypoint(int), folder=task.path, work=task.work, own_python=True)
    assert argv[0] == "python3"
    assert not set(argv) & set(program._BARE)


def test_lines_are_written_at_once(task: Task) -> None:
    def show() -> None:
        import os

        print("before the end")
        os._exit(0)  # nothing that is held back is written by that

    assert task.run(entrypoint(show)).stdout == "before the end\n"
