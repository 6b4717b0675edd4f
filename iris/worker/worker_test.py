"""The daemon against a scripted controller, with real processes: nothing is lost, doubled or left."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import job_pb2, worker_pb2

from iris.host.clock import SystemClock
from iris.host.ids import RandomIds
from iris.host.ports import PortAllocator
from iris.host.processes import ProcessIdentity
from iris.model.errors import FailedPrecondition, Internal, Unauthenticated, Unavailable
from iris.model.ids import SliceId, WorkerId
from iris.model.resources import Resources
from iris.testing.eventually import assert_eventually
from iris.testing.worker_fakes import FakeBundles
from iris.worker.attempts.attempt import Attempt
from iris.worker.environment import LocalEnvironmentProvider
from iris.worker.images import MachineImageProvider
from iris.worker.runtime import process_tree
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.scripted_controller import TOKEN, ScriptedController, Stream
from iris.worker.worker import Worker, WorkerOptions


class Bench:
    """A controller, and everything that workers need. At the end no process is left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.controller = ScriptedController()
        self.runtime = ProcessRuntime()
        self.ports = PortAllocator()
        self.workers: list[Worker] = []

    def worker(self, name: str = "w", token: str = TOKEN) -> Worker:
        options = WorkerOptions(
            worker_id=WorkerId(name),
            controller_address=self.controller.address,
            token=token,
            slice_id=SliceId("slice-1"),
            scale_group="cpu",
            work_dir=self.root / name,
            inherit_env={"PATH": "/usr/bin:/bin"},
            stop_grace=timedelta(seconds=60),
            shutdown_grace=timedelta(seconds=0.2),
            welcome_timeout=timedelta(seconds=0.5),
        )
        worker = Worker(
            options,
            environment=LocalEnvironmentProvider(Resources(2000, 1 << 30), {"zone": "z"}),
            bundles=FakeBundles(self.root),
            images=MachineImageProvider(),
            runtime=self.runtime,
            ports=self.ports,
            clock=SystemClock(),
            ids=RandomIds(),
            rng=random.Random(0),
        )
        self.workers.append(worker)
        return worker

    async def attached(self) -> tuple[Worker, Stream]:
        worker = self.worker()
        await worker.start()
        await worker.registered()
        return worker, await self.controller.stream()

    async def close(self) -> None:
        await self.controller.stop()
        for worker in self.workers:
            await worker.stop("the test is over")
        await self.runtime.close()
        assert self.ports.leased() == frozenset()
        for worker in self.workers:
            assert not (worker._options.work_dir / "attempts").exists()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    children = set(process_tree.children_of(os.getpid()))
    bench = Bench(tmp_path)
    await bench.controller.start()
    yield bench
    await bench.close()
    assert set(process_tree.children_of(os.getpid())) <= children


def shell(script: str, *, ports: tuple[str, ...] = (), grace: float = 60) -> worker_pb2.AttemptSpec:
    spec = worker_pb2.AttemptSpec(
        task_id="/u/job/0",
        job_id="/u/job",
        num_tasks=1,
        entrypoint=job_pb2.Entrypoint(argv=["sh", "-c", script]),
        port_names=ports,
    )
    spec.stop_grace.FromTimedelta(timedelta(seconds=grace))
    return spec


def forever(announce: str = "echo $$") -> worker_pb2.AttemptSpec:
    """Says its pid and stays."""
    return shell(f"{announce}; exec sleep 600")


async def pid_of(stream: Stream, uid: str) -> ProcessIdentity:
    """Of an attempt made by `forever`."""
    lines = await assert_eventually(lambda: stream.lines(uid), "its pid")
    identity = ProcessIdentity.of(int(lines[0]))
    assert identity is not None
    return identity


async def test_the_hello_says_who_it_is(bench: Bench) -> None:
    worker, stream = await bench.attached()
    hello = stream.hello
    assert (hello.worker_id, hello.slice_id, hello.scale_group) == ("w", "slice-1", "cpu")
    assert hello.incarnation_id == worker.incarnation_id
    assert (hello.total.cpu_millis, hello.total.memory_bytes) == (2000, 1 << 30)
    assert dict(hello.attributes) == {"zone": "z"}
    assert hello.host == "127.0.0.1"
    assert "process tree" in hello.isolation
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


async def test_what_was_acknowledged_is_forgotten(bench: Bench) -> None:
    _, stream = await bench.attached()
    stream.run(a=shell("true"))
    await stream.ended("a")
    stream.run(b=forever())
    await stream.running("b")
    stream.cut()
    again = await bench.controller.stream(1)
    assert [seen.attempt_uid for seen in again.hello.attempts] == ["b"]
    again.complete()
    assert (await again.ended("b")).state == job_pb2.TASK_KILLED


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


async def test_its_tasks_survive_a_restart_of_the_controller(bench: Bench) -> None:
    worker, stream = await bench.attached()
    stream.run(a=forever())
    task = await pid_of(stream, "a")
    await bench.controller.stop()
    assert task.is_alive()
    await bench.controller.start()
    again = await bench.controller.stream(1)
    assert again.hello.incarnation_id == worker.incarnation_id
    (seen,) = again.hello.attempts
    assert (seen.attempt_uid, seen.state) == ("a", job_pb2.TASK_RUNNING)
    again.complete(a=None)
    again.stop("a")
    assert (await again.ended("a")).state == job_pb2.TASK_KILLED
    assert not task.is_alive()


async def test_an_end_that_nobody_acknowledged_is_told_again(bench: Bench) -> None:
    _, stream = await bench.attached()
    bench.controller.acknowledging = False
    stream.run(a=shell("echo last words; exit 7"))
    await stream.ended("a")
    for number in (1, 2):
        bench.controller.streams[-1].cut()
        stream = await bench.controller.stream(number)
        # Its lines were not acknowledged either: they come again, and before the end.
        assert [seen.state for seen in stream.hello.attempts] == [job_pb2.TASK_RUNNING]
        end = await stream.ended("a")
        assert (end.exit_code, end.log_lines) == (7, 1)
        assert stream.lines("a") == {0: b"last words"}
    stream.acknowledge_logs("a", 1)
    stream.cut()
    stream = await bench.controller.stream(3)
    (seen,) = stream.hello.attempts
    assert (seen.state, seen.exit_code) == (job_pb2.TASK_FAILED, 7)
    stream.acknowledge("a")
    stream.cut()
    assert list((await bench.controller.stream(4)).hello.attempts) == []


async def test_on_one_stream_an_end_is_told_again_until_it_is_acknowledged(bench: Bench) -> None:
    bench.controller.heartbeat = timedelta(seconds=0.05)
    bench.controller.acknowledging = False
    _, stream = await bench.attached()
    stream.run(a=shell("true"))
    await assert_eventually(lambda: len(ends(stream, "a")) >= 3, "told three times")
    stream.acknowledge("a")
    stream.run(b=shell("true"))
    await stream.ended("b")
    told = len(ends(stream, "a"))
    await assert_eventually(lambda: len(ends(stream, "b")) >= 3, "other ends told again")
    assert len(ends(stream, "a")) == told


def ends(stream: Stream, uid: str) -> list[worker_pb2.Observation]:
    return [seen for seen in stream.observations(uid) if seen.HasField("finished_at")]


async def test_lines_go_on_after_a_reconnect_without_a_gap_or_a_copy(bench: Bench) -> None:
    bench.controller.acknowledging = False
    _, stream = await bench.attached()
    fifo = bench.root / "fifo"
    os.mkfifo(fifo)
    stream.run(a=shell(f"echo 0; echo 1; echo 2; cat {fifo}; echo 4"))
    await assert_eventually(lambda: len(stream.lines("a")) == 3, "three lines")
    stream.acknowledge_logs("a", 2)
    stream.acknowledge_logs("a", 1)
    stream.run(b=shell("true"))
    await stream.ended("b")  # so the acknowledgements before it were read
    stream.cut()
    await bench.controller.stream(1)
    await asyncio.to_thread(fifo.write_text, "3\n")
    again = bench.controller.streams[1]
    end = await again.ended("a")
    assert end.log_lines == 5
    assert again.lines("a") == {2: b"2", 3: b"3", 4: b"4"}


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


async def test_a_flood_arrives_whole_and_in_order(bench: Bench) -> None:
    _, stream = await bench.attached()
    stream.run(a=shell("seq 1 100000; printf 'no newline \\377'"))
    end = await stream.ended("a")
    assert end.log_lines == 100_001
    lines = stream.lines("a")
    assert [lines[at] for at in range(100_000)] == [b"%d" % n for n in range(1, 100_001)]
    assert lines[100_000] == b"no newline \xff"


async def test_a_controller_that_takes_no_lines_blocks_the_task_and_loses_none(
    bench: Bench,
) -> None:
    bench.controller.acknowledging = False
    worker, stream = await bench.attached()
    stream.run(a=shell("seq 1 200000"))
    (attempt,) = await assert_eventually(worker._set()._attempts.values, "the attempt")
    await assert_eventually(lambda: not attempt.logs.has_room, "the buffer is full")
    assert attempt.logs.size_bytes < 16 << 20
    assert stream.end("a") is None
    bench.controller.acknowledging = True
    stream.acknowledge_logs("a", 1 << 40)
    end = await stream.ended("a")
    assert (end.state, end.log_lines) == (job_pb2.TASK_SUCCEEDED, 200_000)
    assert len(stream.lines("a")) == 200_000


async def test_an_end_waits_for_lines_no_longer_than_it_may(bench: Bench) -> None:
    bench.controller.acknowledging = False
    bench.controller.flush = timedelta(seconds=0.2)
    _, stream = await bench.attached()
    stream.run(a=shell("seq 1 200000"))
    stream.run(b=forever())
    await stream.running("b")
    await assert_eventually(lambda: len(stream.lines("a")) > 10_000, "it writes")
    stream.stop("a")
    end = await stream.ended("a")
    assert (end.state, end.logs_incomplete) == (job_pb2.TASK_KILLED, True)
    assert end.log_lines == len(stream.lines("a"))
    # Who has time keeps all of it.
    stream.stop("b")
    assert not (await stream.ended("b")).logs_incomplete


async def test_stopping_ends_tasks_tells_their_lines_but_not_their_ends(bench: Bench) -> None:
    worker, stream = await bench.attached()
    stream.run(
        a=shell("trap 'echo asked to end; exit 0' TERM; echo ready; while :; do sleep 0.02; done")
    )
    stream.run(b=forever(), c=shell("exit 5"))
    await assert_eventually(lambda: stream.lines("a"), "ready")
    task = await pid_of(stream, "b")
    await stream.ended("c")
    await worker.stop("the machine is given back")
    assert not task.is_alive()
    assert stream.received[-1].goodbye.reason == "the machine is given back"
    said = list(stream.lines("a").values())
    assert b"asked to end" in said
    assert (
        b"Stopping: the worker stops: the machine is given back. SIGTERM, SIGKILL after 0.2 s."
        in said
    )
    # For the controller the worker left; whether they run again is its decision.
    assert stream.end("a") is None
    assert stream.end("b") is None
    await worker.stop("again")


async def test_stopping_waits_for_an_end_to_be_acknowledged(bench: Bench) -> None:
    bench.controller.acknowledging = False
    worker, stream = await bench.attached()
    stream.run(a=shell("exit 5"))
    await stream.ended("a")
    stopping = asyncio.create_task(worker.stop("done"))
    await asyncio.sleep(0)
    assert not stopping.done()
    stream.acknowledge_logs("a", 1)
    stream.acknowledge("a")
    await stopping
    assert stream.received[-1].HasField("goodbye")


async def test_stopping_without_a_controller_leaves_nothing_either(bench: Bench) -> None:
    worker, stream = await bench.attached()
    stream.run(a=forever())
    task = await pid_of(stream, "a")
    await bench.controller.stop()
    await worker.stop("enough")
    assert not task.is_alive()


async def test_a_stubborn_tree_does_not_outlive_its_worker(bench: Bench) -> None:
    worker, stream = await bench.attached()
    hostile = Path(__file__).parent / "runtime" / "testdata" / "hostile.py"
    spec = shell("")
    del spec.entrypoint.argv[:]
    spec.entrypoint.argv.extend([sys.executable, "-I", "-S", str(hostile), "stubborn"])
    stream.run(a=spec)
    lines = await assert_eventually(lambda: stream.lines("a"), "its pids")
    tree = [ProcessIdentity.of(int(pid)) for pid in lines[0].split()]
    assert all(tree)
    await worker.stop("enough")
    assert not [one for one in tree if one and one.is_alive()]


async def test_a_crash_is_without_a_word(bench: Bench) -> None:
    worker, stream = await bench.attached()
    stream.run(a=forever())
    task = await pid_of(stream, "a")
    await worker.crash()
    await stream.over.wait()
    assert not task.is_alive()
    assert not any(message.HasField("goodbye") for message in stream.received)
    assert stream.end("a") is None


async def test_a_folder_is_for_one_worker(bench: Bench) -> None:
    await bench.attached()
    with pytest.raises(FailedPrecondition, match="in use by another worker"):
        await bench.worker().start()


async def test_what_an_earlier_process_left_is_removed(bench: Bench) -> None:
    left = bench.root / "w" / "attempts" / "old" / "work"
    left.mkdir(parents=True)
    (bench.root / "w").chmod(0o700)
    await bench.attached()
    assert not left.exists()


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
