"""The main of every test of the project: pytest under Bazel's rules for tests.

Runs the files that --pytest_file names and nothing else. JUnit XML, shards, --test_filter,
TEST_TMPDIR and undeclared outputs are as Bazel asks; other arguments are absl flags of the tests;
bazel_plugin.py has the rest.

    bazel test //iris/model:ids_test --test_filter=parses          words of a name (pytest's -k)
    bazel test //iris/model:ids_test --test_filter=TestId::test_x  ... or node ids, file optional
    bazel test //iris/model:ids_test --test_arg=--case=hello       an absl flag
    bazel test //iris/model:ids_test --test_arg=--pytest_arg=-vv   an option of pytest's own

When Bazel's timeout is near, every thread's stack is written to the log; when it sends SIGTERM, the
run is interrupted as by Ctrl-C, so that fixtures clean up and the XML is written.
"""

import faulthandler
import gc
import importlib.util
import os
import pathlib
import signal
import sys
import types

import pytest
from absl import flags

from tools.pytest.bazel_environment import BazelEnvironment, read_environment
from tools.pytest.bazel_plugin import BazelPlugin

_FILES = flags.DEFINE_multi_string(
    "pytest_file",
    [],
    "A file to run, relative to the working directory. The build rule names them.",
)
_EXAMPLES = flags.DEFINE_integer(
    "hypothesis_examples", 100, "How many Hypothesis tries where a test does not say it.", 1
)
_ARGUMENTS = flags.DEFINE_multi_string("pytest_arg", [], "An argument for pytest itself.")

_SECONDS_LEFT_AT_DUMP = 5.0


def _watch_for_the_end(environment: BazelEnvironment) -> None:
    """Has stacks dumped shortly before the timeout, and SIGTERM treated as Ctrl-C."""
    log = os.fdopen(os.dup(sys.stderr.fileno()), "w")  # pytest puts its own file in stderr's place
    faulthandler.enable(log)
    if environment.timeout is not None:
        seconds = max(environment.timeout - _SECONDS_LEFT_AT_DUMP, environment.timeout / 2)
        faulthandler.dump_traceback_later(seconds, repeat=True, file=log)

    def interrupt(signum: int, frame: types.FrameType | None) -> None:
        faulthandler.dump_traceback(log)
        raise KeyboardInterrupt(f"signal {signum}: Bazel ends this test")

    signal.signal(signal.SIGTERM, interrupt)


def _prepare_hypothesis(seed: int) -> list[str]:
    """Makes hypothesis repeatable and independent of the machine's speed, where a test uses it."""
    if importlib.util.find_spec("hypothesis") is None:
        return []
    import hypothesis

    hypothesis.settings.register_profile(
        "bazel",
        database=None,
        deadline=None,
        max_examples=_EXAMPLES.value,
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    return [
        "-p",
        "_hypothesis_pytestplugin",
        "--hypothesis-profile=bazel",
        f"--hypothesis-seed={seed}",
    ]


def _pytest_arguments(environment: BazelEnvironment, files: list[pathlib.Path]) -> list[str]:
    arguments = [
        f"--rootdir={pathlib.Path.cwd()}",
        f"--confcutdir={pathlib.Path.cwd()}",
        f"--config-file={pathlib.Path(__file__).with_name('pytest.ini')}",
        f"--basetemp={environment.tmp / 'pytest'}",
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_asyncio.plugin",
        "-p",
        "tools.pytest.fixtures",
        *_prepare_hypothesis(environment.seed),
    ]
    if environment.junit_xml is not None:
        arguments += [
            f"--junit-xml={environment.junit_xml}",
            "-o",
            f"junit_suite_name={environment.target}",
        ]
    if environment.test_filter and "::" not in environment.test_filter:
        arguments += ["-k", environment.test_filter]
    return [*arguments, *_ARGUMENTS.value, *map(str, files)]


def main(argv: list[str]) -> int:
    """Runs the tests.

    Args:
        argv: the program's name and arguments.

    Returns:
        The exit code.
    """
    gc.disable()  # until bazel_plugin.py has all that is imported, which is not garbage
    environment = read_environment()
    if environment.shard_status is not None:
        environment.shard_status.touch()
    try:
        remaining_flags = flags.FLAGS(argv, known_only=True)[1:]
    except flags.Error as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return int(pytest.ExitCode.USAGE_ERROR)
    files = [pathlib.Path.cwd() / file for file in _FILES.value]
    if not files:
        print("ERROR: no --pytest_file was given, so there is nothing to run", file=sys.stderr)
        return int(pytest.ExitCode.USAGE_ERROR)
    _watch_for_the_end(environment)
    # Plugins are named above; whatever else is installed or in the environment does not count.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ.pop("PYTEST_PLUGINS", None)
    print(f"TEST_RANDOM_SEED={environment.seed}", flush=True)
    plugin = BazelPlugin(environment, files, remaining_flags)
    code = pytest.main(_pytest_arguments(environment, files), plugins=[plugin])
    faulthandler.cancel_dump_traceback_later()
    gc.freeze()  # the end of the process need not look at it again
    return plugin.exit_code(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
