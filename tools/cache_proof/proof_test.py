"""The steps, against places that behave and places that do not."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tools.cache_proof.execution_log import Spawn
from tools.cache_proof.nginx import Traffic
from tools.cache_proof.place import Build
from tools.cache_proof.proof import Caches, Proof, Step
from tools.cache_proof.report import as_json, header, row

SCOPE = ["//a/..."]
SOURCE = ("a/used.py", "//a:used.py")
DEPENDS = frozenset({"//a:used", "//a:pack", "//a:used_test"})


def spawn(label: str, mnemonic: str = "TestRunner") -> Spawn:
    return Spawn(label, mnemonic, (f"{label}.out",), "linux-sandbox", False, True)


EVERYTHING = (
    spawn("//a:pack", "Pack"),
    spawn("//a:proto", "PyGrpc"),
    spawn("//a:used_test"),
    spawn("//a:other_test"),
)


def hit(one: Spawn, runner: str) -> Spawn:
    return replace(one, runner=runner, is_hit=True)


@dataclass
class FakePlace:
    """Hits what a build of its sources would; `spoil` changes what a step would do.

    Attributes:
        found: What the HTTP cache gave out, shared by the places.
    """

    is_first: bool
    found: list[int]
    spoil: Callable[[str, list[Spawn]], list[Spawn]]
    calls: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)

    def test(self, name: str, scope: Sequence[str], flags: Sequence[str]) -> Build:
        caches = [flag.partition("=")[0] for flag in flags]
        self.calls.append(f"{name} {' '.join(caches)}")
        runner = "remote cache hit" if "--remote_cache" in caches else "disk cache hit"
        spawns = [
            one
            if self.is_first or (SOURCE[0] in self.changed and one.label in DEPENDS)
            else hit(one, runner)
            for one in EVERYTHING
        ]
        if runner == "remote cache hit":
            self.found[0] += sum(one.is_hit for one in spawns)
        return Build(tuple(self.spoil(name, spawns)), 1.5)

    def clean(self) -> None:
        self.calls.append("clean")

    def depends_on(self, scope: Sequence[str], sources: Sequence[str]) -> frozenset[str]:
        self.calls.append(f"depends_on {' '.join(sources)}")
        return DEPENDS

    def append(self, path: str, text: str) -> None:
        self.changed.add(path)

    def restore(self) -> None:
        self.changed.clear()

    def shut_down(self) -> None:
        self.calls.append("shut_down")


def prove(
    spoil: Callable[[str, list[Spawn]], list[Spawn]] = lambda name, spawns: spawns,
) -> tuple[list[Step], FakePlace, FakePlace]:
    found = [0]
    first, second = FakePlace(True, found, spoil), FakePlace(False, found, spoil)
    caches = Caches("http://127.0.0.1:7", Path("/disk"), lambda: Traffic(found[0], 0, 0))
    told: list[Step] = []
    steps = Proof(SCOPE, SOURCE, caches, told.append).run(first, second)
    assert told == steps
    return steps, first, second


def in_step(
    wanted: str, change: Callable[[list[Spawn]], list[Spawn]]
) -> Callable[[str, list[Spawn]], list[Spawn]]:
    return lambda name, spawns: change(spawns) if name == wanted else spawns


def test_a_cache_that_works_passes_every_step() -> None:
    steps, first, second = prove()
    assert [step.problems for step in steps] == [()] * 5
    assert [(step.name, step.hits, step.test_hits) for step in steps] == [
        *(("fill", 0, 0), ("http", 4, 2), ("disk", 4, 2), ("readme", 4, 2), ("source", 2, 1)),
    ]
    assert [step.found for step in steps] == [0, 4, 0, 4, 2]
    assert first.calls == ["fill --remote_cache --remote_timeout --disk_cache", "shut_down"]
    assert second.calls == [
        "http --remote_cache --remote_timeout",
        "clean",
        "disk --disk_cache",
        "clean",
        "readme --remote_cache --remote_timeout",
        "clean",
        "depends_on //a:used.py @workspace_sources//:a/used.py",
        "source --remote_cache --remote_timeout",
        "clean",
        "shut_down",
    ]
    assert second.changed == set()


def ran(one: Spawn) -> Spawn:
    return replace(one, runner="linux-sandbox", is_hit=False)


@pytest.mark.parametrize("name", ["http", "disk", "readme"])
@pytest.mark.parametrize("position", range(4))
def test_one_action_that_runs_again_is_named_and_ends_it(name: str, position: int) -> None:
    def change(spawns: list[Spawn]) -> list[Spawn]:
        return [ran(one) if at == position else one for at, one in enumerate(spawns)]

    steps, _, second = prove(in_step(name, change))
    assert steps[-1].name == name
    (problem,) = steps[-1].problems
    assert EVERYTHING[position].label in problem and "linux-sandbox" in problem
    assert second.calls[-1] == "shut_down"


def test_a_hit_of_another_cache_does_not_count() -> None:
    steps, _, _ = prove(
        in_step("disk", lambda _: [hit(one, "remote cache hit") for one in EVERYTHING])
    )
    assert len(steps[-1].problems) == 4


@pytest.mark.parametrize("name", ["http", "disk", "readme", "source"])
def test_a_build_of_less_proves_nothing(name: str) -> None:
    steps, _, _ = prove(in_step(name, lambda spawns: spawns[:-1]))
    assert "1 actions less than in the first build" in steps[-1].problems


def test_a_build_of_more_is_another_build() -> None:
    more = hit(spawn("//a:new_test"), "remote cache hit")
    steps, _, _ = prove(in_step("http", lambda spawns: [*spawns, more]))
    assert steps[-1].problems == ("1 actions more than in the first build",)


def test_a_first_build_that_hits_was_not_the_first() -> None:
    steps, _, second = prove(
        in_step("fill", lambda spawns: [hit(spawns[0], "disk cache hit"), *spawns[1:]])
    )
    assert "came from a cache that was empty" in steps[-1].problems[0]
    assert second.calls == []


def test_what_may_not_be_cached_is_named() -> None:
    def change(spawns: list[Spawn]) -> list[Spawn]:
        return [replace(spawns[0], is_cacheable=False), *spawns[1:]]

    steps, _, _ = prove(in_step("fill", change))
    assert steps[-1].problems == ("Pack of //a:pack (linux-sandbox) may not be cached",)


def test_a_scope_without_tests_proves_nothing() -> None:
    steps, _, _ = prove(in_step("fill", lambda spawns: spawns[:2]))
    assert "there are no tests in the scope" in steps[-1].problems[0]


def test_what_depends_on_the_source_must_run() -> None:
    def change(spawns: list[Spawn]) -> list[Spawn]:
        return [hit(one, "remote cache hit") if one.mnemonic == "Pack" else one for one in spawns]

    steps, _, _ = prove(in_step("source", change))
    assert steps[-1].problems == (
        "Pack of //a:pack (remote cache hit) depends on it, and came from the cache",
    )


def test_what_does_not_depend_on_it_must_not() -> None:
    steps, _, _ = prove(in_step("source", lambda spawns: [*spawns[:-1], ran(spawns[-1])]))
    assert "TestRunner of //a:other_test (linux-sandbox) does not depend on it, and ran" in (
        steps[-1].problems
    )


def test_a_table_for_people_and_an_object_for_programs() -> None:
    steps, _, _ = prove(in_step("disk", lambda spawns: [ran(spawns[0]), *spawns[1:]]))
    lines = [row(step) for step in steps]
    assert lines[0].startswith("✓") and lines[-1].startswith("✗")
    assert "Pack of //a:pack" in lines[-1].splitlines()[1]
    assert header().index("claim") == lines[0].index(steps[0].claim)
    report = json.loads(as_json("abc", SCOPE, steps, 12.34))
    assert (report["passed"], report["commit"], report["seconds"]) == (False, "abc", 12.3)
    assert [step["name"] for step in report["steps"]] == ["fill", "http", "disk"]
    assert json.loads(as_json("abc", SCOPE, steps[:2], 1))["passed"]
    assert not json.loads(as_json("abc", SCOPE, [], 1))["passed"]
