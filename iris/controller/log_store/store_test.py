"""Every line is stored once, in order, survives a crash, and reaches those who follow."""

import asyncio
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from iris.controller.log_store import LogLimits, LogRun, LogStore
from iris.controller.log_store.attempt_log import AttemptLog
from iris.controller.log_store.frames import encode
from iris.model.errors import InvalidArgument
from iris.model.ids import AttemptUid

UID = AttemptUid("attempt-1")
Line = tuple[int, int, bytes]


def runs(first: int, last: int, *, per_run: int = 7) -> list[LogRun]:
    """Numbered lines, several in each run."""
    return [
        LogRun(at, 1, b"\n".join(b"line %d" % n for n in range(at, min(at + per_run, last))))
        for at in range(first, last, per_run)
    ]


def texts(first: int, last: int) -> list[bytes]:
    return [b"line %d" % number for number in range(first, last)]


def lines(found: Sequence[LogRun]) -> list[Line]:
    return [(run.time_ns, run.stream, text) for run in found for text in run.text.split(b"\n")]


async def read_all(store: LogStore, first: int = 0, uid: AttemptUid = UID) -> list[bytes]:
    found: list[bytes] = []
    while (part := await store.read(uid, first, 1000)).runs:
        assert part.first_index == first
        found += [text for _, _, text in lines(part.runs)]
        first = part.next_index
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    store = LogStore(tmp_path / "logs")
    yield store
    store.close()


async def test_lines_come_back_as_they_were_written(store: LogStore) -> None:
    written = [
        LogRun(1, 1, b""),
        LogRun(2, 2, b"  spaces  \n\n"),
        LogRun(3, 3, b"\xff\x00\r\n# 1 o 2 3 00000000"),
        LogRun(4, 4, b"a b c"),
    ]
    assert await store.append(UID, 0, written) == 7
    assert (await store.read(UID, 0, 100)).runs == written
    assert (await store.read(UID, 2, 3)) == (2, [LogRun(2, 2, b"\n"), LogRun(3, 3, b"\xff\x00\r")])
    assert await store.read(UID, 7, 100) == (7, [])


async def test_lines_that_were_sent_before_are_not_stored_twice(store: LogStore) -> None:
    await store.append(UID, 0, runs(0, 5))
    assert await store.append(UID, 0, runs(0, 5)) == 5
    assert await store.append(UID, 3, runs(3, 30, per_run=10)) == 30
    assert await read_all(store) == texts(0, 30)


@pytest.mark.parametrize("known", range(12))
async def test_however_much_of_a_batch_is_known(store: LogStore, known: int) -> None:
    await store.append(UID, 0, runs(0, known))
    assert await store.append(UID, 0, runs(0, 12, per_run=4)) == 12
    assert await read_all(store) == texts(0, 12)


async def test_lines_beyond_a_gap_are_refused_so_that_the_worker_sends_again(
    store: LogStore,
) -> None:
    await store.append(UID, 0, runs(0, 2))
    assert await store.append(UID, 5, runs(5, 9)) == 2
    assert await read_all(store) == texts(0, 2)


async def test_lines_that_were_written_in_part_are_written_again(
    store: LogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(log: AttemptLog, new: list[LogRun]) -> None:
        with file_of(tmp_path).open("ab") as file:
            file.write(encode(new[0], 1) + encode(new[1], 1)[:-3])
        log.next_index += len(new)
        raise OSError(errno.ENOSPC, "no space left")

    await store.append(UID, 0, runs(0, 2))
    with monkeypatch.context() as patch:
        patch.setattr(AttemptLog, "append", fill_the_disk)
        with pytest.raises(OSError, match="no space"):
            await store.append(UID, 2, runs(2, 6, per_run=1))
    assert await store.next_index(UID) == 3
    assert await store.append(UID, 2, runs(2, 6, per_run=1)) == 6
    assert await read_all(store) == texts(0, 6)


@pytest.mark.parametrize("per_run", [1, 7, 1000])
async def test_any_part_of_a_long_log_can_be_read(store: LogStore, per_run: int) -> None:
    total = 9000
    for first in range(0, total, 700):
        batch = runs(first, min(first + 700, total), per_run=per_run)
        await store.append(UID, first, batch)
    for first in (0, 1, 699, 700, 701, 4321, 8999):
        part = await store.read(UID, first, 3)
        assert part.first_index == first
        assert [text for *_, text in lines(part.runs)] == texts(first, min(first + 3, total))


async def test_what_is_read_at_once_is_bounded_in_bytes_too(store: LogStore) -> None:
    await store.append(UID, 0, [LogRun(n, 1, b"x" * 1000) for n in range(100)])
    assert len((await store.read(UID, 0, 1000, max_bytes=9500)).runs) == 10
    assert len((await store.read(UID, 0, 1000, max_bytes=1)).runs) == 1


async def test_a_new_store_finds_the_lines_of_the_old_one(tmp_path: Path) -> None:
    first = LogStore(tmp_path / "logs")
    await first.append(UID, 0, runs(0, 3000))
    first.close()
    second = LogStore(tmp_path / "logs")
    assert await second.append(UID, 2990, runs(2990, 3010)) == 3010
    assert await read_all(second, 2500) == texts(2500, 3010)
    second.close()


@pytest.mark.parametrize("cut", range(1, 60))
async def test_what_a_killed_process_wrote_only_in_part_is_cut_off_and_written_anew(
    tmp_path: Path, cut: int
) -> None:
    first = LogStore(tmp_path / "logs")
    await first.append(UID, 0, [*runs(0, 2, per_run=1), LogRun(3, 1, b"line 2\nline 3")])
    first.close()
    path = file_of(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    second = LogStore(tmp_path / "logs")
    kept = await second.next_index(UID)
    assert kept < 4
    assert await second.append(UID, kept, runs(kept, 6)) == 6
    assert await read_all(second) == texts(0, 6)
    second.close()


async def test_what_a_dead_machine_left_as_zeros_does_not_count(tmp_path: Path) -> None:
    first = LogStore(tmp_path / "logs")
    await first.append(UID, 0, runs(0, 6, per_run=3))
    first.close()
    path = file_of(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-8] + bytes(7) + b"\n")
    second = LogStore(tmp_path / "logs")
    assert await second.next_index(UID) == 3
    assert await read_all(second) == texts(0, 3)
    second.close()


async def test_a_follower_is_woken_by_each_append(store: LogStore) -> None:
    seen: list[bytes] = []

    async def follow() -> None:
        while len(seen) < 30:
            await store.grown(UID, len(seen))
            seen.extend(await read_all(store, len(seen)))

    follower = asyncio.create_task(follow())
    for number in range(30):
        await store.append(UID, number, runs(number, number + 1))
    async with asyncio.timeout(30):
        await follower
    assert seen == texts(0, 30)


async def test_a_follower_can_be_woken_without_new_lines(store: LogStore) -> None:
    waiting = asyncio.create_task(store.grown(UID, 0))
    while not store._waiters.get(UID):
        await asyncio.sleep(0)
    store.wake(UID)
    async with asyncio.timeout(30):
        await waiting
    assert not store._waiters


async def test_deleted_lines_are_gone(store: LogStore, tmp_path: Path) -> None:
    await store.append(UID, 0, runs(0, 3))
    await store.delete(UID)
    await store.delete(UID)
    assert await read_all(store) == []
    assert list((tmp_path / "logs").iterdir()) == []
    assert await store.append(UID, 0, runs(0, 2)) == 2


async def test_a_uid_that_is_a_path_is_refused(store: LogStore) -> None:
    with pytest.raises(InvalidArgument, match="no attempt uid"):
        await store.append(AttemptUid("../escape"), 0, runs(0, 1))


async def test_logs_of_earlier_versions_are_read_and_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o700)
    old = folder / f"{UID}.log"
    old.write_bytes(b"1 o line 0\n2 e line 1\n3 s line 2\n4 o half a li")
    store = LogStore(folder, LogLimits(attempt_bytes=1600))
    assert await store.append(UID, 3, runs(3, 5)) == 5
    assert await read_all(store) == texts(0, 5)
    assert (await store.read(UID, 1, 1)).runs == [LogRun(2, 2, b"line 1")]
    assert [log.uid for log in await store.usage()] == [UID, UID]
    await store.append(UID, 5, runs(5, 200))
    assert not old.exists(), "its bound counts for it too"
    await store.delete(UID)
    assert list(folder.iterdir()) == []
    store.close()


def file_of(folder: Path) -> Path:
    """The only segment."""
    (path,) = (folder / "logs" / UID).iterdir()
    return path
