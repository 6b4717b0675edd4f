"""Tests of the main that runs all tests: it runs as a program on files that these tests write.

The one thing a test runner must never do is pass having run nothing, so most of them are about that.
"""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree

import pytest

MAIN = pathlib.Path("tools/pytest/main.py").absolute()
PASSING = "def test_passes(): pass\n"


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    output: str
    outcomes: dict[str, str]
    """Test name -> passed, failure, error or skipped, from the JUnit XML."""


class Runner:
    """Runs the main in a folder of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.xml = folder / "test.xml"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TEST_TARGET": "//some:test",
            "TEST_TMPDIR": str(folder / "tmp"),
            "XML_OUTPUT_FILE": str(self.xml),
        }
        (folder / "tmp").mkdir()

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(textwrap.dedent(text))
        return f"--pytest_file={name}"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(MAIN), *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> Outcome:
        process = self.start(*arguments, **environment)
        output, _ = process.communicate()
        return Outcome(process.returncode, output, self.outcomes())

    def outcomes(self) -> dict[str, str]:
        if not self.xml.exists():
            return {}
        cases = xml.etree.ElementTree.parse(self.xml).iter("testcase")
        return {case.get("name", ""): next((c.tag for c in case), "passed") for case in cases}


@pytest.fixture
def runner(tmp_path: pathlib.Path) -> Runner:
    return Runner(tmp_path)


def test_passes_and_writes_junit_xml(runner: Runner) -> None:
    outcome = runner.run(runner.write("a_test.py", PASSING))
    assert (outcome.code, outcome.outcomes) == (0, {"test_passes": "passed"}), outcome.output
    suite = next(xml.etree.ElementTree.parse(runner.xml).iter("testsuite"))
    assert suite.get("name") == "//some:test"


def test_a_failure_fails(runner: Runner) -> None:
    outcome = runner.run(runner.write("a_test.py", PASSING + "def test_fails(): assert 1 == 2\n"))
    assert outcome.code == 1
    assert outcome.outcomes == {"test_passes": "passed", "test_fails": "failure"}


@pytest.mark.parametrize(
    "text",
    ["", "def tset_mistyped(): pass\n", "import pytest\npytest.skip(allow_module_level=True)\n"],
    ids=["empty", "mistyped", "skipped"],
)
def test_a_file_that_collects_nothing_fails(runner: Runner, text: str) -> None:
    good, bad = runner.write("a_test.py", PASSING), runner.write("b_test.py", text)
    outcome = runner.run(good, bad)
    assert outcome.code != 0
    assert "no tests in" in outcome.output and "b_test.py" in outcome.output


def test_a_run_in_which_all_is_skipped_fails(runner: Runner) -> None:
    outcome = runner.run(
        runner.write("a_test.py", "import pytest\n@pytest.mark.skip\ndef test_a(): pass\n")
    )
    assert outcome.code != 0
    assert "all were skipped" in outcome.output


def test_a_file_that_cannot_be_imported_fails(runner: Runner) -> None:
    outcome = runner.run(runner.write("a_test.py", "import no_such_module\n" + PASSING))
    assert outcome.code != 0
    assert "no_such_module" in outcome.output


def test_no_file_at_all_fails(runner: Runner) -> None:
    outcome = runner.run()
    assert outcome.code != 0
    assert "--pytest_file" in outcome.output


def test_only_the_named_files_run(runner: Runner) -> None:
    runner.write("b_test.py", "def test_other(): assert False\n")
    assert runner.run(runner.write("a_test.py", PASSING)).outcomes == {"test_passes": "passed"}


TWO_CLASSES = """
class TestA:
    def test_one(self): pass
    def test_two(self): pass
class TestB:
    def test_one(self): pass
"""


@pytest.mark.parametrize(
    ("test_filter", "count"),
    [("one", 2), ("TestA and two", 1), ("a_test.py::TestA", 2), ("a_test.py::TestB::test_one", 1)],
)
def test_a_filter_selects(runner: Runner, test_filter: str, count: int) -> None:
    outcome = runner.run(runner.write("a_test.py", TWO_CLASSES), TESTBRIDGE_TEST_ONLY=test_filter)
    assert outcome.code == 0, outcome.output
    assert f"{count} passed" in outcome.output


@pytest.mark.parametrize("test_filter", ["three", "a_test.py::TestC"])
@pytest.mark.parametrize("shards", ["1", "2"])
def test_a_filter_that_matches_nothing_fails(runner: Runner, test_filter: str, shards: str) -> None:
    outcome = runner.run(
        runner.write("a_test.py", TWO_CLASSES),
        TESTBRIDGE_TEST_ONLY=test_filter,
        TEST_TOTAL_SHARDS=shards,
    )
    assert outcome.code != 0
    assert f"--test_filter={test_filter} matches none" in outcome.output


def test_shards_divide_the_tests_among_them(runner: Runner) -> None:
    file = runner.write("a_test.py", TWO_CLASSES)
    ran: list[int] = []
    for index in range(4):
        status = runner.folder / f"shard_{index}"
        outcome = runner.run(
            file,
            TEST_TOTAL_SHARDS="4",
            TEST_SHARD_INDEX=str(index),
            TEST_SHARD_STATUS_FILE=str(status),
        )
        assert outcome.code == 0, outcome.output
        assert status.exists()
        ran.append(sum(value == "passed" for value in outcome.outcomes.values()))
    assert ran == [1, 1, 1, 0]


def test_a_shard_of_nothing_fails(runner: Runner) -> None:
    outcome = runner.run(runner.write("a_test.py", ""), TEST_TOTAL_SHARDS="2", TEST_SHARD_INDEX="1")
    assert outcome.code != 0


WITH_FLAG = """
from absl import flags
COLOUR = flags.DEFINE_enum("colour", "red", ["red", "blue"], "A colour.")
def test_colour(): assert COLOUR.value == "blue"
"""


def test_flags_of_a_test_module_are_parsed(runner: Runner) -> None:
    file = runner.write("a_test.py", WITH_FLAG)
    assert runner.run(file, "--colour=blue").code == 0
    assert runner.run(file).outcomes == {"test_colour": "failure"}


@pytest.mark.parametrize("argument", ["--color=blue", "--colour=green", "blue"])
def test_a_bad_flag_fails_before_any_test_runs(runner: Runner, argument: str) -> None:
    outcome = runner.run(runner.write("a_test.py", WITH_FLAG), argument)
    assert outcome.code != 0
    assert outcome.outcomes == {}
    assert argument.removeprefix("--").split("=")[0] in outcome.output


def test_coroutines_are_tests(runner: Runner) -> None:
    outcome = runner.run(runner.write("a_test.py", "async def test_a(): assert False\n"))
    assert outcome.outcomes == {"test_a": "failure"}, outcome.output


def test_an_exception_in_a_thread_fails(runner: Runner) -> None:
    outcome = runner.run(
        runner.write(
            "a_test.py",
            """
            import threading
            def test_a():
                thread = threading.Thread(target=lambda: 1 / 0)
                thread.start()
                thread.join()
            """,
        )
    )
    assert outcome.code == 1, outcome.output


def test_garbage_of_tests_is_collected_and_what_it_raises_fails(runner: Runner) -> None:
    outcome = runner.run(
        runner.write(
            "a_test.py",
            """
            import gc
            class Cycle:
                def __init__(self): self.me = self
                def __del__(self): 1 / 0
            def test_collects(): assert gc.isenabled()
            def test_leaves_garbage(): Cycle()
            """,
        )
    )
    assert outcome.outcomes["test_collects"] == "passed"
    assert outcome.code != 0, outcome.output
    assert "ZeroDivisionError" in outcome.output


def test_random_depends_on_the_seed_and_the_test_alone(runner: Runner) -> None:
    file = runner.write(
        "a_test.py",
        """
        import random
        def test_a(undeclared_outputs_dir):
            (undeclared_outputs_dir / "a").write_text(str(random.random()))
        def test_b(undeclared_outputs_dir):
            (undeclared_outputs_dir / "b").write_text(str(random.random()))
        """,
    )

    def numbers(test_filter: str, seed: str) -> dict[str, str]:
        outputs = runner.folder / f"outputs_{test_filter}_{seed}"
        outcome = runner.run(
            file,
            TESTBRIDGE_TEST_ONLY=test_filter,
            TEST_RANDOM_SEED=seed,
            TEST_UNDECLARED_OUTPUTS_DIR=str(outputs),
        )
        assert f"TEST_RANDOM_SEED={seed}\n" in outcome.output
        return {path.name: path.read_text() for path in outputs.iterdir()}

    both = numbers("test", "1")
    assert both["a"] != both["b"]
    assert numbers("test_b", "1") == {"b": both["b"]}
    assert numbers("test_b", "2") != {"b": both["b"]}


def test_paths_are_the_tests_own(runner: Runner) -> None:
    outcome = runner.run(
        runner.write(
            "a_test.py",
            """
            import os, pathlib, socket
            def test_tmp_path(tmp_path):
                assert pathlib.Path(os.environ["TEST_TMPDIR"]) in tmp_path.parents
            def test_short(short_tmp_path):
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(str(short_tmp_path / "socket"))
                assert len(str(short_tmp_path)) < 40
            """,
        )
    )
    assert outcome.code == 0, outcome.output


def test_a_declared_conftest_counts(runner: Runner) -> None:
    runner.write("conftest.py", "import pytest\n@pytest.fixture\ndef shared(): return 1\n")
    outcome = runner.run(runner.write("a_test.py", "def test_a(shared): assert shared == 1\n"))
    assert outcome.code == 0, outcome.output


def test_configuration_and_plugins_of_the_machine_do_not_count(runner: Runner) -> None:
    runner.write("pytest.ini", "[pytest]\naddopts = --no-such-option\n")
    outcome = runner.run(
        runner.write("a_test.py", PASSING),
        PYTEST_ADDOPTS="--no-such-option",
        PYTEST_PLUGINS="no_such_plugin",
    )
    assert outcome.code == 0, outcome.output


def test_sigterm_cleans_up_and_writes_xml(runner: Runner) -> None:
    file = runner.write(
        "a_test.py",
        """
        import pathlib, threading
        import pytest
        @pytest.fixture
        def resource():
            yield
            pathlib.Path("released").touch()
        def test_hangs(resource):
            pathlib.Path("running").touch()
            threading.Event().wait()
        """,
    )
    process = runner.start(file)
    while not (runner.folder / "running").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode != 0
    assert (runner.folder / "released").exists()
    assert runner.xml.exists()
    assert "in test_hangs" in output


def test_stacks_are_dumped_before_the_timeout(runner: Runner) -> None:
    file = runner.write(
        "a_test.py", "import threading\ndef test_hangs(): threading.Event().wait()\n"
    )
    process = runner.start(file, TEST_TIMEOUT="2")
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "in test_hangs" in line:
            break
    process.kill()
    process.communicate()
    assert any("Timeout" in line for line in lines), lines
