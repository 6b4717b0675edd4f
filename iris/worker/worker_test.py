"""The daemon against a scripted controller: how it attaches, and does what it is told, once."""

import asyncio
import sys
from datetime import timedelta

import pytest
from iris_proto import job_pb2, worker_pb2

from iris.model.errors import FailedPrecondition, Internal, Unauthenticated, Unavailable
from iris.testing.eventually import assert_eventually
from iris.worker.attempts.attempt import Attempt
from iris.worker.worker_fixture import Bench, ends, forever, pid_of, shell


async def test_the_hello_says_who_it_is(bench: Bench) -> None:
    worker, stream = await bench.attached()
    hello = stream.hello
    assert (hello.worker_id, hello.slice_id, hello.scale_group) == ("w", "slice-1", "cpu")
    assert hello.incarnation_id == worker.incarnation_id
    assert (hello.total.cpu_millis, hello.total.memory_bytes) == (2000, 1 << 30)
    assert dict(hello.attributes) == {"zone": "z"}
    assert hello.host == "127.0.0.1"
    assert hello.isolation == bench.runtime.isolation
    assert list(hello.attempts) == []


async def test_every_start_is_a_new_incarnation(bench: Bench) -> None:
    assert bench.worker().incarnation_id != bench.worker().incarnation_id


async def test_an_attempt_from_start_to_end(bench: Bench) -> None:
    _, stream = await bench.attached()
    stream.run(a=shell("echo $IRIS_TASK_ID on $IRIS_WORKER_ID; echo bad >&2; exit 3"))
    end = await stream.ended("a")
    assert (end.state, end.exit_code, end.HasField("signal")) == (job_pb2.TASK_FAILED, 3, False)
    assert end.error == "sh exited with code 3."
    assert (end.log_lines, end.logs_incomplete) == (2, False)
    assert end.started_at.ToDatetime() <= end.finished_at.ToDatetime()
    assert sorted(stream.lines("a").values()) == [b"/u/job/0 on w", b"bad"]
    bodies = [message.WhichOneof("body") for message in stream.received]
    last_lines = max(at for at, body in enumerate(bodies) if body == "logs")
    assert any(
        seen.state == job_pb2.TASK_FAILED
        for message in stream.received[last_lines:]
        for seen in message.observed.attempts
    )


async def test_a_wrong_token_is_fatal(bench: Bench) -> None:
    worker = bench.worker(token="wrong")
    await worker.start()
    assert isinstance(await worker.wait_failed(), Unauthenticated)
    with pytest.raises(Unauthenticated):
        await worker.registered()
    assert bench.controller.streams == []


async def test_a_refused_worker_fails(bench: Bench) -> None:
    bench.controller.refuse_with = FailedPrecondition("The slice is gone.", hint="Boot another.")
    worker = bench.worker()
    await worker.start()
    error = await worker.wait_failed()
    assert str(error) == "The slice is gone. Boot another."
    assert len(bench.controller.streams) == 1


async def test_a_controller_with_a_bug_is_tried_again(bench: Bench) -> None:
    bench.controller.refuse_with = Internal("oops")
    worker = bench.worker()
    await worker.start()
    await bench.controller.stream(1)
    bench.controller.refuse_with = None
    await worker.registered()


async def test_it_dials_until_the_controller_is_there(bench: Bench) -> None:
    await bench.controller.stop()
    worker = bench.worker()
    await worker.start()
    await bench.controller.start()
    await worker.registered()


async def test_a_stopped_worker_is_no_longer_waited_for(bench: Bench) -> None:
    await bench.controller.stop()
    worker = bench.worker()
    await worker.start()
    waiting = asyncio.create_task(worker.registered())
    await worker.stop("never mind")
    with pytest.raises(Unavailable, match="was stopped"):
        await waiting


async def test_a_controller_that_does_not_answer_is_left_and_dialled_anew(bench: Bench) -> None:
    bench.controller.silent = True
    worker = bench.worker()
    await worker.start()
    first = await bench.controller.stream()
    await first.over.wait()
    bench.controller.silent = False
    await worker.registered()


async def test_a_complete_set_stops_strangers(bench: Bench) -> None:
    _, stream = await bench.attached()
    stream.run(a=forever(), b=forever())
    strangers = [await pid_of(stream, uid) for uid in "ab"]
    stream.complete(a=None, c=shell("exit 0"))
    end = await stream.ended("b")
    assert (end.state, end.error) == (job_pb2.TASK_KILLED, "the controller does not want it here")
    await stream.ended("c")
    assert [one.is_alive() for one in strangers] == [True, False]
    assert stream.end("a") is None


async def test_messages_that_come_twice_do_no_harm(bench: Bench) -> None:
    _, stream = await bench.attached()
    mark = bench.root / "mark"
    once = shell(f"echo x >> {mark}; exec sleep 600")
    for _ in range(2):
        stream.run(a=once)
        stream.complete(a=once)
    await stream.running("a")
    await assert_eventually(mark.exists, "it ran")
    for _ in range(2):
        stream.stop("a", "never-heard-of")
    end = await stream.ended("a")
    assert end.state == job_pb2.TASK_KILLED
    for _ in range(2):
        stream.acknowledge("a", "never-heard-of")
        stream.acknowledge_logs("a", 100)
    # One that is late, after all is over and forgotten.
    stream.run(a=once)
    stream.run(b=shell("true"))
    await stream.ended("b")
    assert mark.read_text() == "x\n"
    assert len(ends(stream, "a")) == 1


async def test_started_and_stopped_in_one_breath(bench: Bench) -> None:
    _, stream = await bench.attached()
    stream.complete(a=forever())
    stream.stop("a")
    end = await stream.ended("a")
    assert (end.state, end.error) == (job_pb2.TASK_KILLED, "stopped on request")


@pytest.mark.parametrize(
    "nonsense",
    [
        {"desired": worker_pb2.Desired(run=[worker_pb2.DesiredAttempt(attempt_uid="unknown")])},
        {"desired": worker_pb2.Desired(run=[worker_pb2.DesiredAttempt(attempt_uid="../x")])},
        {"welcome": worker_pb2.Welcome()},
    ],
    ids=["no spec", "no uid", "two welcomes"],
)
async def test_what_makes_no_sense_makes_it_begin_anew(
    bench: Bench, nonsense: dict[str, object]
) -> None:
    _, stream = await bench.attached()
    stream.run(a=forever())
    await stream.running("a")
    stream.send(**nonsense)
    again = await bench.controller.stream(1)
    assert [seen.attempt_uid for seen in again.hello.attempts] == ["a"]


async def test_heartbeats_tell_usage(bench: Bench) -> None:
    bench.controller.heartbeat = timedelta(seconds=0.05)
    _, stream = await bench.attached()
    stream.run(a=forever())

    def beats() -> list[worker_pb2.Observation]:
        return [seen for message in stream.received for seen in message.heartbeat.running]

    await assert_eventually(
        lambda: any(seen.usage.memory_bytes > 0 for seen in beats()), "a heartbeat with usage"
    )
    assert {seen.attempt_uid for seen in beats()} == {"a"}


async def test_ports_are_told_and_given_back(bench: Bench) -> None:
    _, stream = await bench.attached()
    stream.run(a=shell("echo $IRIS_PORT_HTTP; exec sleep 600", ports=("http",)))
    lines = await assert_eventually(lambda: stream.lines("a"), "its port")
    assert dict(stream.observations("a")[-1].ports) == {"http": int(lines[0])}
    assert bench.ports.leased() == {int(lines[0])}
    stream.stop("a")
    await stream.ended("a")
    assert bench.ports.leased() == frozenset()


async def test_a_bug_in_an_attempt_is_not_hidden(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr(Attempt, "_run_to_end", broken)
    worker, stream = await bench.attached()
    stream.run(a=shell("true"))
    assert str(await worker.wait_failed()) == "oops"


async def test_workers_share_a_runtime_without_harm(bench: Bench) -> None:
    first, second = bench.worker("one"), bench.worker("two")
    for worker in (first, second):
        await worker.start()
        await worker.registered()
    streams = {stream.hello.worker_id: stream for stream in bench.controller.streams}
    for stream in streams.values():
        stream.run(a=forever())
    tasks = {name: await pid_of(stream, "a") for name, stream in streams.items()}
    await first.stop("enough")
    assert {name: task.is_alive() for name, task in tasks.items()} == {"one": False, "two": True}


async def test_an_attempt_is_held_to_its_limits(bench: Bench) -> None:
    _, stream = await bench.attached()
    timed, big = forever(), forever(f"{sys.executable} -I -S -c 'x = bytearray(1) * (1 << 29)'")
    timed.task_timeout.FromTimedelta(timedelta(seconds=0.2))
    timed.stop_grace.FromTimedelta(timedelta(seconds=60))
    big.resources.memory_bytes = 64 << 20
    stream.run(timed=timed, big=big)
    end = await stream.ended("timed")
    assert (end.state, end.signal) == (job_pb2.TASK_FAILED, 15)
    assert end.error == "The task ran for its limit of 0.2 s and was ended."
    end = await stream.ended("big")
    assert end.state == job_pb2.TASK_FAILED
    assert "limit of 64 MiB" in end.error
    assert end.usage.peak_memory_bytes >= 60 << 20
