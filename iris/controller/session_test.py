"""What is said to a worker: in the right order, once, and bounded however slowly it listens."""

import asyncio

import pytest
from iris_proto import worker_pb2

from iris.controller.session import Session, SpecSource
from iris.model.errors import Unavailable
from iris.model.ids import AttemptUid, WorkerId

A, B, C = AttemptUid("a"), AttemptUid("b"), AttemptUid("c")


def session(*named: AttemptUid) -> Session:
    return Session(WorkerId("w"), "one", worker_pb2.Welcome(), named)


def spec_of(uid: AttemptUid) -> worker_pb2.AttemptSpec:
    return worker_pb2.AttemptSpec(task_id=f"/job/{uid}")


async def told(session: Session, specs: SpecSource = spec_of) -> list[str]:
    """What comes next, in short: `run a+spec, b`."""
    async with asyncio.timeout(30):
        return [_short(message) for message in await session.next_messages(specs)]


def _short(message: worker_pb2.ControllerMessage) -> str:
    match message.WhichOneof("body"):
        case "desired":
            desired = message.desired
            run = [one.attempt_uid + "+spec" * one.HasField("spec") for one in desired.run]
            kind = "all" if desired.complete else "run" if run else "stop"
            return f"{kind} {','.join(run or desired.stop)}".strip()
        case "acknowledge":
            return f"ack {','.join(message.acknowledge.attempt_uids)}"
        case "logs":
            return f"lines {message.logs.attempt_uid} {message.logs.next_index}"
        case kind:
            return str(kind)


async def test_the_beginning() -> None:
    one = session(A)
    one.run(B)  # is in the complete set
    one.stop(C)
    one.acknowledge(C)
    one.acknowledge_logs(A, 7)
    one.begin([A, B], [])
    assert await told(one) == ["welcome", "all a,b+spec", "ack c", "lines a 7"]


async def test_a_spec_travels_once() -> None:
    one = session()
    one.begin([A], [])
    await told(one)
    one.run(A)
    one.run(B)
    assert await told(one) == ["run b+spec"]


async def test_what_the_worker_never_heard_of_is_started_before_it_is_stopped() -> None:
    one = session(A)
    one.begin([], [A, B])
    assert await told(one) == ["welcome", "all b+spec", "stop b"], "a is stopped as it is not named"
    one.run(C)
    one.stop(C)
    assert await told(one) == ["run c+spec", "stop c"]


async def test_what_is_over_before_it_was_said_is_not_said() -> None:
    one = session()
    one.begin([], [])
    await told(one)
    one.run(A)
    one.acknowledge_logs(B, 1)
    assert await told(one, lambda _: None) == ["lines b 1"]


async def test_a_slow_worker_is_told_the_latest_only() -> None:
    one = session()
    one.begin([], [])
    await told(one)
    for index in range(10_000):
        one.acknowledge_logs(A, index)
        one.stop(B)
    assert await told(one) == ["stop b", "lines a 9999"]


@pytest.mark.parametrize("complete", [True, False])
async def test_many_large_specs_go_in_several_messages_and_the_complete_set_in_one(
    complete: bool,
) -> None:
    uids = [AttemptUid(f"u{number}") for number in range(20)]

    def large(uid: AttemptUid) -> worker_pb2.AttemptSpec:
        return worker_pb2.AttemptSpec(task_id=uid, env={"X": "x" * (1 << 20)})

    one = session()
    if complete:
        one.begin(uids, [])
    else:
        one.begin([], [])
        await told(one)
        for uid in uids:
            one.run(uid)
    messages = await one.next_messages(large)
    assert max(message.ByteSize() for message in messages) < 8 << 20
    desired = [m.desired for m in messages if m.WhichOneof("body") == "desired"]
    assert len(desired) > 3
    specs = [run.attempt_uid for part in desired for run in part.run if run.HasField("spec")]
    assert specs == uids
    assert [part.complete for part in desired] == [False] * (len(desired) - 1) + [complete]
    if complete:
        assert {run.attempt_uid for run in desired[-1].run} == set(uids)


async def test_it_ends_with_what_it_was_closed_with_first() -> None:
    one = session()
    one.begin([], [])
    one.close(Unavailable("first"))
    one.close()
    with pytest.raises(Unavailable, match="first"):
        await one.next_messages(spec_of)
    two = session()
    two.close()
    assert await two.next_messages(spec_of) == []


async def test_nothing_is_said_before_the_worker_is_registered() -> None:
    one = session()
    one.acknowledge(A)
    waiting = asyncio.create_task(told(one))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    one.begin([], [])
    assert await waiting == ["welcome", "all", "ack a"]
