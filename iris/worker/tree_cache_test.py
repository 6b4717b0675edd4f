"""Trees appear whole, are shared while they are used, and what was changed is made anew.

What bundles and Python environments do with it is tested with those.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from iris.model.errors import FailedPrecondition, ResourceExhausted, Unavailable
from iris.testing.clock import FakeClock, settle
from iris.testing.eventually import assert_eventually
from iris.worker.tree_cache import Say, TreeCache, TreeLease
from iris.worker.tree_print import print_of, size_of


class Maker:
    """Makes a tree with one file; can be held up or fail."""

    def __init__(self) -> None:
        self.made = 0
        self.given_up = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def make(self, path: Path, say: Say) -> None:
        self.made += 1
        say("begun")
        path.mkdir()
        path.with_name(path.name + ".scratch").write_text("not part of it")
        (path / "file").write_text("x" * 100)
        os.utime(path / "file", (1, 1))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if self.error is not None:
            raise self.error
        say("done")


@pytest.fixture
def maker() -> Maker:
    return Maker()


async def cache(
    tmp_path: Path, *, max_bytes: int = 1 << 20, outlives_callers: bool = False
) -> TreeCache:
    made = TreeCache(
        tmp_path / "cache",
        what="tree",
        max_bytes=max_bytes,
        clock=FakeClock(),
        outlives_callers=outlives_callers,
    )
    await made.start()
    return made


def silent(_: str) -> None:
    pass


def held(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").iterdir() if path.name != "lock")


async def test_who_comes_late_hears_what_was_said_before(tmp_path: Path, maker: Maker) -> None:
    trees = await cache(tmp_path)
    maker.gate.clear()
    logs: list[list[str]] = [[], []]
    first = asyncio.create_task(trees.get("a", maker.make, logs[0].append))
    await assert_eventually(lambda: logs[0], "it is being made")
    second = asyncio.create_task(trees.get("a", maker.make, logs[1].append))
    await settle()
    maker.gate.set()
    assert (await first).path == (await second).path
    assert logs[0] == logs[1] == ["begun", "done"]
    assert maker.made == 1


async def test_until_it_is_whole_it_is_not_where_it_will_be(tmp_path: Path, maker: Maker) -> None:
    trees = await cache(tmp_path)
    maker.gate.clear()
    making = asyncio.create_task(trees.get("a", maker.make, silent))
    await assert_eventually(lambda: held(tmp_path), "it is being made")
    assert "a" not in held(tmp_path)
    maker.gate.set()
    await making
    assert held(tmp_path) == ["a", "a.json"]


async def test_starting_again_leaves_what_is_being_made_alone(tmp_path: Path, maker: Maker) -> None:
    trees = await cache(tmp_path)
    maker.gate.clear()
    making = asyncio.create_task(trees.get("a", maker.make, silent))
    await assert_eventually(lambda: held(tmp_path), "it is being made")
    await trees.start()
    maker.gate.set()
    assert ((await making).path / "file").is_file()


async def test_one_that_fails_leaves_nothing(tmp_path: Path, maker: Maker) -> None:
    trees = await cache(tmp_path)
    maker.error = Unavailable("not today")
    with pytest.raises(Unavailable, match="not today"):
        await trees.get("a", maker.make, silent)
    assert held(tmp_path) == []
    maker.error = OSError(28, "No space left on device")
    with pytest.raises(ResourceExhausted, match=r"The tree a could not be kept: No space left"):
        await trees.get("a", maker.make, silent)
    assert held(tmp_path) == []


async def test_one_is_given_up_with_its_last_caller_and_begun_anew_by_the_next(
    tmp_path: Path, maker: Maker
) -> None:
    trees = await cache(tmp_path)
    maker.gate.clear()
    callers = [asyncio.create_task(trees.get("a", maker.make, silent)) for _ in "ab"]
    await assert_eventually(lambda: maker.made, "it is being made")
    callers[0].cancel()
    await settle()
    assert maker.given_up == 0
    callers[1].cancel()
    # Comes while it is being given up: it must not be given that one.
    next_one = asyncio.create_task(trees.get("a", maker.make, silent))
    await asyncio.wait(callers)
    maker.gate.set()
    assert (await next_one).path.is_dir()
    assert (maker.made, maker.given_up) == (2, 1)
    assert held(tmp_path) == ["a", "a.json"]


async def test_one_that_outlives_its_callers_is_for_the_next(tmp_path: Path, maker: Maker) -> None:
    trees = await cache(tmp_path, outlives_callers=True)
    maker.gate.clear()
    caller = asyncio.create_task(trees.get("a", maker.make, silent))
    await assert_eventually(lambda: maker.made, "it is being made")
    caller.cancel()
    await asyncio.wait([caller])
    maker.gate.set()
    await trees.get("a", maker.make, silent)
    assert (maker.made, maker.given_up) == (1, 0)


def change_content(tree: Path) -> None:
    (tree / "file").write_text("y" * 100)


def change_mode(tree: Path) -> None:
    (tree / "file").chmod(0o777)


def add_file(tree: Path) -> None:
    (tree / "other").write_text("")


def remove_file(tree: Path) -> None:
    (tree / "file").unlink()


def hide_the_change(tree: Path) -> None:
    times = (tree / "file").stat()
    probe = tree.parent / "probe"
    probe.touch()
    while probe.stat().st_ctime_ns <= times.st_ctime_ns:  # the file system's clock ticks slowly
        probe.touch()
    probe.unlink()
    (tree / "file").write_text("z" * 100)
    os.utime(tree / "file", ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES = [change_content, change_mode, add_file, remove_file, hide_the_change]


@pytest.mark.parametrize("change", CHANGES)
async def test_one_that_was_changed_is_made_anew(
    tmp_path: Path, maker: Maker, change: Callable[[Path], None]
) -> None:
    trees = await cache(tmp_path)
    lease = await trees.get("a", maker.make, silent)
    lease.release()
    change(lease.path)
    said: list[str] = []
    fresh = await trees.get("a", maker.make, said.append)
    assert maker.made == 2
    assert (fresh.path / "file").read_text() == "x" * 100
    assert said[0] == "The tree a that was kept here has been changed: it is not used."
    await trees.close()
    assert held(tmp_path) == [fresh.path.name, f"{fresh.path.name}.json"]


async def test_one_that_was_changed_stays_for_who_uses_it(tmp_path: Path, maker: Maker) -> None:
    trees = await cache(tmp_path)
    old = await trees.get("a", maker.make, silent)
    add_file(old.path)
    leases = await asyncio.gather(*(trees.get("a", maker.make, silent) for _ in range(5)))
    assert {lease.path.name for lease in leases} == {"a-2"}
    assert (old.path / "other").exists()
    old.release()
    await assert_eventually(lambda: held(tmp_path) == ["a-2", "a-2.json"], "the old one is gone")
    await trees.close()
    again = await (await cache(tmp_path)).get("a", maker.make, silent)
    assert again.path.name == "a-2"
    assert maker.made == 2


async def test_many_readers_and_makers_at_once_within_the_bound(
    tmp_path: Path, maker: Maker
) -> None:
    trees = await cache(tmp_path, max_bytes=250)

    async def use(key: str) -> None:
        lease: TreeLease = await trees.get(key, maker.make, silent)
        await asyncio.sleep(0)
        assert (lease.path / "file").read_text() == "x" * 100
        lease.release()

    await asyncio.gather(*(use(f"tree{number % 7}") for number in range(70)))
    await use("last")
    assert sum(name.endswith(".json") for name in held(tmp_path)) == 2
    assert len(held(tmp_path)) == 4


async def test_what_a_process_left_that_was_killed_is_removed(tmp_path: Path, maker: Maker) -> None:
    before = await cache(tmp_path)
    (await before.get("a", maker.make, silent)).release()
    await before.close()
    folder = tmp_path / "cache"
    record = (folder / "a.json").read_text()
    for name in (".making-b", ".removing-0", "c", "odd"):
        (folder / name).mkdir()
    (folder / "odd.json").write_text("{}")
    (folder / "none.json").write_text(record)
    (folder / ".making-b.scratch").write_text("")
    after = await cache(tmp_path)
    assert held(tmp_path) == ["a", "a.json"]
    await after.get("a", maker.make, silent)
    assert maker.made == 1


async def test_a_closed_one_gives_nothing(tmp_path: Path, maker: Maker) -> None:
    trees = await cache(tmp_path)
    maker.gate.clear()
    caller = asyncio.create_task(trees.get("a", maker.make, silent))
    await assert_eventually(lambda: maker.made, "it is being made")
    with pytest.raises(FailedPrecondition, match="another process"):
        await cache(tmp_path)
    await trees.close()
    with pytest.raises(Unavailable, match="closed"):
        await caller
    with pytest.raises(Unavailable, match="closed"):
        await trees.get("b", maker.make, silent)
    assert held(tmp_path) == []
    await (await cache(tmp_path)).close()


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 1000)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    (tmp_path / "link").symlink_to("one")
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/three").write_bytes(b"x" * 10)
    assert size_of(tmp_path) == 1010
    before = print_of(tmp_path)
    assert print_of(tmp_path) == before
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("two")
    assert print_of(tmp_path) != before
