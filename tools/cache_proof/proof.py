"""What has to be true of the cache, step by step, judged by what Bazel says that it ran.

1. **fill**: the first place builds and tests everything once, into two empty caches: HTTP and disk.
2. **http**: the second place, elsewhere and with nothing of its own, gets everything from the HTTP cache.
3. **disk**: the same from the disk cache alone.
4. **readme**: README.md changes. Everything still comes from the cache.
5. **source**: one source of the worker changes. What depends on it runs, exactly that, and all else
   comes from the cache. What depends on it is asked of `bazel cquery`, not taken from the build.

Before each step the second place forgets its outputs, so that what is not in the cache has to run.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.cache_proof.execution_log import Key, Spawn
from tools.cache_proof.nginx import Traffic
from tools.cache_proof.place import Build, Place

README = "README.md"
_SHOWN = 10
_REMOTE_HIT = "remote cache hit"
_DISK_HIT = "disk cache hit"


@dataclass(frozen=True, slots=True)
class Caches:
    """Where results are kept, and what was asked of the HTTP cache so far."""

    url: str
    disk: Path
    traffic: Callable[[], Traffic]


@dataclass(frozen=True, slots=True)
class Step:
    """One step's outcome.

    Attributes:
        name: As in the module's docstring.
        claim: What had to be true.
        actions: Programs of the build, tests among them; `hits` of them came from a cache.
        tests: Tests (shards each for itself) among them; `test_hits` of them came from a cache.
        seconds: What Bazel took.
        found: Entries that the HTTP cache gave out.
        problems: Why the claim is not true; empty when it is.
    """

    name: str
    claim: str
    actions: int
    hits: int
    tests: int
    test_hits: int
    seconds: float
    found: int
    problems: tuple[str, ...]


class Proof:
    """Goes through the steps. Used by one thread, once.

    Args:
        scope: Target patterns.
        source: A file of the workspace, such as `iris/worker/reconcile.py`, and its label.
        tell: Called with each step as it ends.
    """

    def __init__(
        self,
        scope: Sequence[str],
        source: tuple[str, str],
        caches: Caches,
        tell: Callable[[Step], None],
    ) -> None:
        self._scope = scope
        self._source, self._label = source
        self._caches = caches
        self._tell = tell
        self._steps: list[Step] = []
        self._all: Counter[Key] = Counter()

    def run(self, first: Place, second: Place) -> list[Step]:
        """All steps, or those before the first whose claim is not true: the rest would say nothing.

        Raises:
            BuildFailed: something does not build, or a test fails.
        """
        try:
            if not self._fill(first):
                return self._steps
        finally:
            first.shut_down()
        try:
            for step in (self._http, self._disk, self._readme, self._changed_source):
                if not step(second):
                    break
                second.clean()
        finally:
            second.shut_down()
        return self._steps

    def _fill(self, place: Place) -> bool:
        build, found = self._test(place, "fill", [*self._http_flags(), *self._disk_flags()])
        self._all = Counter(spawn.key for spawn in build.spawns)
        uncacheable = [spawn for spawn in build.spawns if not spawn.is_cacheable]
        problems = [
            *_named(
                "came from a cache that was empty", (one for one in build.spawns if one.is_hit)
            ),
            *_named("may not be cached", uncacheable),
        ]
        if not any(spawn.is_test for spawn in build.spawns):
            problems.append("there are no tests in the scope: nothing would be proved")
        return self._add("fill", "empty caches: everything runs", build, found, problems)

    def _http(self, place: Place) -> bool:
        build, found = self._test(place, "http", self._http_flags())
        problems = self._all_hit(build, _REMOTE_HIT)
        if not found:
            problems.append("nginx was not asked for anything")
        return self._add("http", "elsewhere, HTTP cache: nothing runs", build, found, problems)

    def _disk(self, place: Place) -> bool:
        build, found = self._test(place, "disk", self._disk_flags())
        problems = self._all_hit(build, _DISK_HIT)
        return self._add("disk", "elsewhere, disk cache: nothing runs", build, found, problems)

    def _readme(self, place: Place) -> bool:
        place.append(README, "\nA line more.\n")
        build, found = self._test(place, "readme", self._http_flags())
        place.restore()
        problems = self._all_hit(build, _REMOTE_HIT)
        return self._add("readme", f"{README} changed: nothing runs", build, found, problems)

    def _changed_source(self, place: Place) -> bool:
        labels = place.depends_on(
            self._scope, [self._label, f"@workspace_sources//:{self._source}"]
        )
        place.append(self._source, "# A line more.\n")
        build, found = self._test(place, "source", self._http_flags())
        place.restore()
        problems = [
            *self._unlike_before(build),
            *_named(
                "depends on it, and came from the cache",
                (one for one in build.spawns if one.is_hit and one.label in labels),
            ),
            *_named(
                "does not depend on it, and ran",
                (one for one in build.spawns if not one.is_hit and one.label not in labels),
            ),
        ]
        if all(one.is_hit for one in build.spawns if one.is_test):
            problems.append("no test depends on it: nothing would be proved")
        if not any(one.is_hit for one in build.spawns if one.is_test):
            problems.append("every test depends on it: nothing would be proved")
        claim = f"{self._source} changed: what depends on it runs, no more"
        return self._add("source", claim, build, found, problems)

    def _test(self, place: Place, name: str, flags: Sequence[str]) -> tuple[Build, int]:
        before = self._caches.traffic().found
        build = place.test(name, self._scope, flags)
        return build, self._caches.traffic().found - before

    def _http_flags(self) -> list[str]:
        return [f"--remote_cache={self._caches.url}", "--remote_timeout=60"]

    def _disk_flags(self) -> list[str]:
        return [f"--disk_cache={self._caches.disk}"]

    def _all_hit(self, build: Build, runner: str) -> list[str]:
        ran = [spawn for spawn in build.spawns if not spawn.is_hit or spawn.runner != runner]
        return [*self._unlike_before(build), *_named(f"was no {runner}", ran)]

    def _unlike_before(self, build: Build) -> list[str]:
        """The build must have what the first one had: an empty log would prove anything."""
        now = Counter(spawn.key for spawn in build.spawns)
        return [
            f"{sum(difference.values())} actions {word} the first build"
            for difference, word in (
                (self._all - now, "less than in"),
                (now - self._all, "more than in"),
            )
            if difference
        ]

    def _add(
        self, name: str, claim: str, build: Build, found: int, problems: Iterable[str]
    ) -> bool:
        tests = [spawn for spawn in build.spawns if spawn.is_test]
        step = Step(
            name=name,
            claim=claim,
            actions=len(build.spawns),
            hits=sum(spawn.is_hit for spawn in build.spawns),
            tests=len(tests),
            test_hits=sum(spawn.is_hit for spawn in tests),
            seconds=build.seconds,
            found=found,
            problems=tuple(problems),
        )
        self._steps.append(step)
        self._tell(step)
        return not step.problems


def _named(what: str, spawns: Iterable[Spawn]) -> list[str]:
    lines = [f"{one.mnemonic} of {one.label} ({one.runner}) {what}" for one in spawns]
    more = len(lines) - _SHOWN
    return lines[:_SHOWN] + [f"... and {more} more"] * (more > 0)
