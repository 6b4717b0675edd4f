"""The pytest plugin that makes a run a good Bazel test.

* every file that the target names holds at least one test, or the run fails;
* `--test_filter` and shards decide what runs; a filter that matches nothing fails;
* absl flags that test modules define are parsed after the modules are imported, before any test
  runs; a flag that nobody defined, or a bad value, fails the run;
* `random` is seeded before each test from TEST_RANDOM_SEED and the test's name, so that a test
  behaves the same alone, in another order and in another shard;
* what was imported until then is no garbage, and no collection looks at it: importing and the full
  collections at the end of a run would take a fifth of the time of a small test;
* what Bazel says is in the configuration's stash, for fixtures.py.
"""

import gc
import pathlib
import random
import sys
from collections.abc import Iterator, Sequence

import pytest
from absl import flags

from tools.pytest.bazel_environment import BazelEnvironment
from tools.pytest.selection import is_in_shard, select_by_node_id

ENVIRONMENT = pytest.StashKey[BazelEnvironment]()
"""Where fixtures find what Bazel says."""


def seed_of(item: pytest.Item) -> str:
    """What a test's randomness comes from: the run's seed and its own name, and nothing before it."""
    return f"{item.config.stash[ENVIRONMENT].seed} {item.nodeid}"


class BazelPlugin:
    """One run's state. Made by main.py and registered with pytest; used from its main thread."""

    def __init__(
        self,
        environment: BazelEnvironment,
        files: Sequence[pathlib.Path],
        remaining_flags: Sequence[str],
    ) -> None:
        """Creates the plugin.

        Args:
            environment: what Bazel says.
            files: the files of the target, each of which must hold a test.
            remaining_flags: arguments that no module imported so far has defined as flags.
        """
        self._environment = environment
        self._files = files
        self._remaining_flags = remaining_flags
        self._ran = 0
        self.is_empty_shard = False
        """Whether the other shards got all tests; then nothing collected is no failure."""

    def pytest_configure(self, config: pytest.Config) -> None:
        """Lets fixtures know the environment."""
        config.stash[ENVIRONMENT] = self._environment

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Iterator[None]:
        """Checks what was collected, lets pytest apply its own filter, and keeps this shard's part."""
        self._check_files(items)
        self._parse_remaining_flags()
        yield
        selected = self._filter(items)
        environment = self._environment
        kept = [
            item
            for position, item in enumerate(selected)
            if is_in_shard(position, environment.shard_index, environment.shard_total)
        ]
        self.is_empty_shard = bool(selected) and not kept
        if len(kept) < len(items):
            keep = set(kept)
            config.hook.pytest_deselected(items=[item for item in items if item not in keep])
            items[:] = kept

    def _check_files(self, items: Sequence[pytest.Item]) -> None:
        collected = {item.path for item in items}
        empty = [str(file) for file in self._files if file not in collected]
        if empty:
            raise pytest.UsageError(
                f"no tests in {', '.join(empty)}: a test is a function test_*, or a method test_* of "
                "a class Test*, and must not be skipped with its whole module"
            )

    def _parse_remaining_flags(self) -> None:
        try:
            rest = flags.FLAGS([sys.argv[0], *self._remaining_flags])[1:]
        except flags.Error as error:
            raise pytest.UsageError(str(error)) from error
        if rest:
            raise pytest.UsageError(
                f"{rest[0]!r} is no flag: a test takes absl flags, --name=value"
            )

    def _filter(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Applies a filter of node ids. (One without `::` went to pytest as -k, see main.py.)"""
        test_filter = self._environment.test_filter
        if "::" not in test_filter:
            return list(items)
        wanted = select_by_node_id([item.nodeid for item in items], test_filter)
        return [item for item in items if item.nodeid in wanted]

    def pytest_collection_finish(self) -> None:
        """Starts to collect garbage, of what tests make from now on."""
        gc.freeze()
        gc.enable()

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Seeds `random` for this test."""
        random.seed(seed_of(item))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts tests that were not skipped."""
        if (
            (report.when == "call" and not report.skipped)
            or report.failed
            or hasattr(report, "wasxfail")
        ):
            self._ran += 1

    def exit_code(self, pytest_code: int) -> int:
        """What the process exits with.

        Args:
            pytest_code: what `pytest.main` returned.

        Returns:
            0 if every test of this shard ran and passed, and there was one, unless the other shards
            have them all.
        """
        if pytest_code == pytest.ExitCode.NO_TESTS_COLLECTED:
            if self.is_empty_shard:
                return 0
            wanted = self._environment.test_filter
            reason = (
                f"--test_filter={wanted} matches none of them" if wanted else "none was collected"
            )
            print(f"ERROR: no test ran: {reason}", file=sys.stderr)
        elif pytest_code == pytest.ExitCode.OK and not self._ran:
            print("ERROR: no test ran: all were skipped", file=sys.stderr)
            return int(pytest.ExitCode.NO_TESTS_COLLECTED)
        return int(pytest_code)
