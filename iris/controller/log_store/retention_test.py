"""Logs keep within their bounds, and what went is known."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iris.controller.log_store import LogLimits, LogRun, LogStore
from iris.model.ids import AttemptUid

A, B, C = (AttemptUid(f"attempt-{name}") for name in "abc")
LIMITS = LogLimits(attempt_bytes=80_000, total_bytes=150_000)


def batch(first: int, lines: int = 100) -> list[LogRun]:
    return [LogRun(1, 1, b"\n".join(b"line %010d" % n for n in range(first, first + lines)))]


async def write(store: LogStore, uid: AttemptUid, lines: int, first: int = 0) -> None:
    for at in range(first, first + lines, 100):
        assert await store.append(uid, at, batch(at)) == at + 100


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.log"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LogStore]:
    store = LogStore(tmp_path, LIMITS)
    await store.usage()
    yield store
    store.close()


async def test_the_oldest_lines_of_an_attempt_go_first(store: LogStore, tmp_path: Path) -> None:
    await write(store, A, 10_000)
    assert 60_000 < size_of(tmp_path) <= 80_000
    part = await store.read(A, 0, 1)
    assert part.first_index > 5000
    assert part.runs == [LogRun(1, 1, b"line %010d" % part.first_index)]
    assert await store.next_index(A) == 10_000
    files = sorted((tmp_path / A).iterdir())
    assert files[0].name == f"{part.first_index:015d}.log"
    assert len(files) > 4


async def test_a_new_store_knows_how_many_went(store: LogStore, tmp_path: Path) -> None:
    await write(store, A, 10_000)
    first = (await store.read(A, 0, 1)).first_index
    store.close()
    second = LogStore(tmp_path, LIMITS)
    assert (await second.read(A, 0, 1)).first_index == first
    assert (await second.read(A, 9_999, 10)).runs == [LogRun(1, 1, b"line 0000009999")]
    await write(second, A, 100, first=10_000)
    middle = (first + 10_000) // 2
    assert (await second.read(A, middle, 2)).first_index == middle
    second.close()


async def test_a_cut_log_has_no_lines_and_knows_how_many_there_were(
    store: LogStore, tmp_path: Path
) -> None:
    await write(store, A, 2000)
    await store.cut(A)
    await store.cut(A)
    assert size_of(tmp_path) == 0
    assert await store.read(A, 0, 10) == (2000, [])
    store.close()
    second = LogStore(tmp_path, LIMITS)
    assert await second.next_index(A) == 2000
    await write(second, A, 100, first=2000)
    assert (await second.read(A, 0, 1)).runs == [LogRun(1, 1, b"line 0000002000")]
    second.close()


async def test_who_looks_after_all_logs_is_told_when_they_are_too_much(store: LogStore) -> None:
    told: list[int] = []
    store.on_full = lambda: told.append(store.excess_bytes)
    await write(store, A, 4000)
    await write(store, B, 4000)
    assert not told
    await write(store, C, 4000)
    assert told[0] > 0
    assert (await store.usage())[-1].uid == C
    before = store.excess_bytes
    await store.cut(A)
    assert store.excess_bytes == 0 < before
    await store.delete(B)
    assert sum(log.size_bytes for log in await store.usage()) == store._total


async def test_a_damaged_segment_does_not_hide_the_next(store: LogStore, tmp_path: Path) -> None:
    await write(store, A, 1500)
    first, second, *_ = sorted((tmp_path / A).iterdir())
    store.close()
    data = first.read_bytes()
    first.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    again = LogStore(tmp_path, LIMITS)
    index, found = 0, 0
    while (part := await again.read(A, index, 1000)).runs:
        assert part.runs[0].text.startswith(b"line %010d" % part.first_index)
        found += part.next_index - part.first_index
        index = part.next_index
    assert index == 1500
    assert found > 1500 - int(second.name[:15])
    again.close()


async def test_whatever_is_done_what_is_read_is_what_was_written(
    tmp_path: Path, test_seed: str
) -> None:
    rng = random.Random(test_seed)
    limits = LogLimits(attempt_bytes=20_000)
    store, written = LogStore(tmp_path, limits), list[bytes]()
    for _ in range(300):
        match rng.randrange(12):
            case 0:
                store.close()
                store = LogStore(tmp_path, limits)
            case 1 if rng.random() < 0.2:
                await store.cut(A)
            case 2 | 3 | 4 | 5:
                lines = [b"%d" % rng.randrange(10 ** rng.randrange(1, 60)) for _ in range(20)]
                known = min(rng.randrange(4), len(written))
                first, new = len(written) - known, [*written[len(written) - known :], *lines]
                at = rng.randrange(1, len(new))
                runs = [LogRun(1, 1, b"\n".join(part)) for part in (new[:at], new[at:])]
                written += lines
                assert await store.append(A, first, runs) == len(written), test_seed
            case _:
                asked = rng.randrange(len(written) + 1)
                part = await store.read(A, asked, rng.randrange(1, 50))
                found = [text for run in part.runs for text in run.text.split(b"\n")]
                assert part.first_index >= asked
                assert found == written[part.first_index :][: len(found)], test_seed
                assert found or part.first_index == len(written), test_seed
    assert size_of(tmp_path) <= 20_000
    store.close()
