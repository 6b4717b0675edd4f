"""What the controller's loop sees of the store: nobody is blocked, nothing is half done."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from iris.controller.state.events import SliceGone
from iris.controller.store import Changes, Database, Recovered, Store
from iris.controller.store.sample_records import (
    ATTEMPT,
    EVERYTHING,
    JOB,
    NOW,
    TASK,
    WORKER,
    change,
    counts,
    job,
    ran,
    submitted,
)
from iris.model.errors import AlreadyExists, DataLoss, FailedPrecondition, Unavailable
from iris.model.ids import SliceId
from iris.model.states import JobState


async def test_everything_comes_back_equal(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    assert await store.load() == Recovered()
    await store.commit(submitted(JOB), EVERYTHING)
    store.close()
    store.close()
    again = Store.open(tmp_path / "state.db")
    assert await again.load() == Recovered(
        (JOB,), {JOB.job_id: (TASK,)}, (ATTEMPT,), (WORKER,), next_number=2
    )
    again.close()


async def test_later_records_replace_earlier_ones_and_gone_workers_go(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    await store.commit([], EVERYTHING)
    ended = replace(JOB, state=JobState.SUCCEEDED, finished_at=NOW)
    await store.commit(
        [SliceGone(NOW, SliceId("s"), "idle", 0.5)],
        Changes(jobs=(ended,), gone_workers=(WORKER.worker_id,)),
    )
    found = await store.load()
    assert (found.jobs, found.workers) == ((ended,), ())
    store.close()


async def test_a_second_controller_is_refused_in_one_line(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    with pytest.raises(FailedPrecondition, match="Another controller uses the state"):
        Store.open(tmp_path / "state.db")
    store.close()
    Store.open(tmp_path / "state.db").close()


async def test_a_record_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store.open(path)
    await store.commit([], EVERYTHING)
    store.close()
    change(path, """UPDATE tasks SET record = '{"index": "two"}'""")
    store = Store.open(path)
    with pytest.raises(DataLoss, match="damaged") as caught:
        await store.load()
    assert "\n" not in str(caught.value)
    store.close()


async def test_commits_go_on_while_a_back_up_is_made(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    jobs = [job(number) for number in range(1, 20_001)]
    await store.commit(submitted(*jobs), Changes(tuple(jobs)))
    backing_up = asyncio.create_task(store.back_up(tmp_path / "copy.db"))
    during = 0
    while not backing_up.done():
        more = job(20_001 + during)
        await store.commit(submitted(more), Changes((more,)))
        during += 1
    await backing_up
    store.close()
    copy = Store.open(tmp_path / "copy.db")
    found = (await copy.load()).jobs
    copy.close()
    # As it was at one moment, which was after what was there and not after the last.
    assert [job.number for job in found] == list(range(1, len(found) + 1))
    assert 20_000 <= len(found) <= 20_000 + during


async def test_a_back_up_is_given_up_when_the_store_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def endless(_: Database, target: Path, *, stop: Callable[[], bool]) -> None:
        begun.set()
        while not stop():
            pass
        raise Unavailable(f"{target.name} was given up")

    monkeypatch.setattr(Database, "back_up", endless)
    store = Store.open(tmp_path / "state.db")
    backing_up = asyncio.create_task(store.back_up(tmp_path / "copy.db"))
    await asyncio.to_thread(begun.wait, 30)
    store.close()
    with pytest.raises(Unavailable, match=r"copy\.db was given up"):
        await backing_up


async def test_a_back_up_overwrites_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    (tmp_path / "copy.db").write_bytes(b"precious")
    with pytest.raises(AlreadyExists, match=r"copy\.db"):
        await store.back_up(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_bytes() == b"precious"
    store.close()


async def test_old_events_go_in_steps_between_which_commits_come_through(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store.open(path)
    for _ in range(30):
        await store.commit([SliceGone(NOW, SliceId("s"), "idle", 0.5)] * 200, Changes())
    pruning = asyncio.create_task(store.prune_events(NOW + timedelta(days=1)))
    await asyncio.sleep(0)
    last = job(1)
    await store.commit(submitted(last, at=NOW + timedelta(days=2)), Changes((last,)))
    assert not pruning.done()
    assert await pruning >= 29 * 200
    await store.commit([], ran(last))
    store.close()
    assert counts(path)["events"] <= 201
