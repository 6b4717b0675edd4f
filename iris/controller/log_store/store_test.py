"""Every line is stored once, in order, survives a crash, and reaches those who follow."""

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.controller.log_store import LogStore, StoredLine
from iris.controller.log_store.attempt_log import AttemptLog
from iris.controller.log_store.line import decode, encode
from iris.model.errors import InvalidArgument
from iris.model.ids import AttemptUid

UID = AttemptUid("attempt-1")


def line(number: int, stream: int = 1) -> StoredLine:
    return StoredLine(1000 + number, stream, b"line %d" % number)


def lines(first: int, last: int) -> list[StoredLine]:
    return [line(number) for number in range(first, last)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    store = LogStore(tmp_path / "logs")
    yield store
    store.close()


async def test_lines_come_back_as_they_were_written(store: LogStore) -> None:
    written = [
        StoredLine(1, 1, b""),
        StoredLine(2, 2, b"  spaces  "),
        StoredLine(3, 3, b"\xff\x00\r"),
        StoredLine(4, 4, b"a b c"),
    ]
    assert await store.append(UID, 0, written) == 4
    assert await store.read(UID, 0, 100) == written
    assert await store.read(UID, 2, 1) == written[2:3]
    assert await store.read(UID, 4, 100) == []


async def test_lines_that_were_sent_before_are_not_stored_twice(store: LogStore) -> None:
    await store.append(UID, 0, lines(0, 5))
    assert await store.append(UID, 0, lines(0, 5)) == 5
    assert await store.append(UID, 3, lines(3, 8)) == 8
    assert await store.read(UID, 0, 100) == lines(0, 8)


async def test_lines_beyond_a_gap_are_refused_so_that_the_worker_sends_again(
    store: LogStore,
) -> None:
    await store.append(UID, 0, lines(0, 2))
    assert await store.append(UID, 5, lines(5, 9)) == 2
    assert await store.read(UID, 0, 100) == lines(0, 2)


async def test_lines_that_were_written_in_part_are_written_again(
    store: LogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(log: AttemptLog, new: list[StoredLine]) -> None:
        with (tmp_path / "logs" / f"{UID}.log").open("ab") as file:
            file.write(encode(new[0]) + encode(new[1])[:-3])
        log.next_index += len(new)
        raise OSError(errno.ENOSPC, "no space left")

    await store.append(UID, 0, lines(0, 2))
    with monkeypatch.context() as patch:
        patch.setattr(AttemptLog, "append", fill_the_disk)
        with pytest.raises(OSError, match="no space"):
            await store.append(UID, 2, lines(2, 6))
    assert await store.next_index(UID) == 3
    assert await store.append(UID, 2, lines(2, 6)) == 6
    assert await store.read(UID, 0, 100) == lines(0, 6)


async def test_any_part_of_a_long_log_can_be_read(store: LogStore) -> None:
    total = 5000
    for first in range(0, total, 700):
        await store.append(UID, first, lines(first, min(first + 700, total)))
    for first in (0, 1, 1023, 1024, 1025, 2048, 4999):
        assert await store.read(UID, first, 3) == lines(first, min(first + 3, total))


async def test_a_new_store_finds_the_lines_of_the_old_one(tmp_path: Path) -> None:
    first = LogStore(tmp_path / "logs")
    await first.append(UID, 0, lines(0, 3000))
    first.close()
    second = LogStore(tmp_path / "logs")
    assert await second.append(UID, 2990, lines(2990, 3010)) == 3010
    assert await second.read(UID, 2500, 10_000) == lines(2500, 3010)
    second.close()


async def test_half_a_line_of_a_killed_process_is_cut_off_and_written_anew(tmp_path: Path) -> None:
    first = LogStore(tmp_path / "logs")
    await first.append(UID, 0, lines(0, 3))
    first.close()
    path = tmp_path / "logs" / f"{UID}.log"
    os.truncate(path, path.stat().st_size - 4)
    second = LogStore(tmp_path / "logs")
    assert await second.next_index(UID) == 2
    assert await second.append(UID, 2, lines(2, 4)) == 4
    assert await second.read(UID, 0, 10) == lines(0, 4)
    second.close()


async def test_a_follower_is_woken_by_each_append(store: LogStore) -> None:
    seen: list[StoredLine] = []

    async def follow() -> None:
        while len(seen) < 30:
            await store.grown(UID, len(seen))
            seen.extend(await store.read(UID, len(seen), 100))

    follower = asyncio.create_task(follow())
    for number in range(30):
        await store.append(UID, number, [line(number)])
    async with asyncio.timeout(30):
        await follower
    assert seen == lines(0, 30)


async def test_a_follower_can_be_woken_without_new_lines(store: LogStore) -> None:
    waiting = asyncio.create_task(store.grown(UID, 0))
    while not store._waiters.get(UID):
        await asyncio.sleep(0)
    store.wake(UID)
    async with asyncio.timeout(30):
        await waiting
    assert not store._waiters


async def test_deleted_lines_are_gone(store: LogStore, tmp_path: Path) -> None:
    await store.append(UID, 0, lines(0, 3))
    await store.delete(UID)
    await store.delete(UID)
    assert await store.read(UID, 0, 10) == []
    assert list((tmp_path / "logs").iterdir()) == []


async def test_a_uid_that_is_a_path_is_refused(store: LogStore) -> None:
    with pytest.raises(InvalidArgument, match="no attempt uid"):
        await store.append(AttemptUid("../escape"), 0, lines(0, 1))


def test_a_newline_within_a_line_cannot_make_two_of_it() -> None:
    assert decode(encode(StoredLine(1, 2, b"a\nb"))) == StoredLine(1, 2, b"a b")
