"""Lines before ends, everyone in turn, and again until it is acknowledged."""

from dataclasses import replace

import pytest
from iris_proto import job_pb2, worker_pb2

from iris.model.ids import AttemptUid
from iris.model.states import TaskState
from iris.worker.attempts.model import Observation
from iris.worker.logs.lines import LogStream
from iris.worker.logs.log_buffer import LogBuffer
from iris.worker.protocols import TreeUsage
from iris.worker.stream import outbox as outbox_module
from iris.worker.stream.outbox import Outbox

A, B = AttemptUid("a"), AttemptUid("b")


class FakeAttempt:
    """What the outbox sees of an attempt, set by hand."""

    def __init__(self, uid: AttemptUid) -> None:
        self.uid = uid
        self.logs = LogBuffer()
        self.has_ended = False
        self.is_finished = False
        self.reading = False
        self.logs_incomplete = False

    @property
    def has_more_lines(self) -> bool:
        return self.reading or self.logs.has_unsent

    def observation(self, *, with_usage: bool = False, with_end: bool = True) -> Observation:
        seen = Observation(self.uid, TaskState.RUNNING, log_lines=self.logs.next_index)
        if with_usage:
            seen = replace(seen, usage=TreeUsage(1.0, 2, 3, 4))
        if self.is_finished and with_end:
            state = TaskState.SUCCEEDED
            seen = replace(seen, state=state, logs_incomplete=self.logs_incomplete)
        return seen

    def abandon_logs(self) -> None:
        self.logs_incomplete = True


class Bench:
    """An outbox, its attempts, and what came out, in words."""

    def __init__(self) -> None:
        self.attempts = {uid: FakeAttempt(uid) for uid in (A, B)}
        self.outbox = Outbox(self.attempts)

    def write(self, uid: AttemptUid, *lines: str) -> None:
        self.attempts[uid].logs.append(0, LogStream.STDOUT, [line.encode() for line in lines])
        self.outbox.has_lines(uid)

    def end(self, uid: AttemptUid) -> None:
        self.attempts[uid].has_ended = True
        self.attempts[uid].is_finished = True
        self.outbox.changed(uid)

    def turn(self) -> list[str]:
        return [word for message in self.outbox.turn() for word in words(message)]

    def drain(self) -> list[str]:
        said: list[str] = []
        while new := self.turn():
            said += new
        return said


@pytest.fixture
def bench() -> Bench:
    return Bench()


def words(message: worker_pb2.WorkerMessage) -> list[str]:
    """`a running`, `a ended`, `a 0: one two`."""
    if message.WhichOneof("body") == "logs":
        batch = message.logs
        text = " ".join(line.decode() for run in batch.runs for line in run.text.split(b"\n"))
        return [f"{batch.attempt_uid} {batch.first_index}: {text}"]
    body = message.observed if message.HasField("observed") else None
    attempts = body.attempts if body is not None else message.heartbeat.running
    return [state(seen) for seen in attempts]


def state(seen: worker_pb2.Observation) -> str:
    kind = "ended" if seen.state == job_pb2.TASK_SUCCEEDED else "running"
    return f"{seen.attempt_uid} {kind}{' incomplete' if seen.logs_incomplete else ''}"


def hello(bench: Bench) -> list[str]:
    return [
        f"{seen.uid} {'ended' if seen.state.is_terminal else 'running'}"
        for seen in bench.outbox.connected()
    ]


def test_all_lines_go_before_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_LINES_PER_BATCH", 2)
    bench.outbox.changed(A)
    bench.write(A, "one", "two", "three", "four", "five")
    assert bench.turn() == ["a running", "a 0: one two"]
    bench.end(A)
    bench.write(B, "x")
    assert bench.drain() == ["a 2: three four", "b 0: x", "a 4: five", "a ended"]


def test_a_change_that_nobody_heard_of_yet_is_not_told(bench: Bench) -> None:
    bench.outbox.changed(A)
    bench.outbox.changed(A)
    bench.end(A)
    assert bench.drain() == ["a ended"]


def test_attempts_take_turns(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_LINES_PER_BATCH", 1)
    monkeypatch.setattr(outbox_module, "MAX_BATCHES_PER_TURN", 1)
    bench.write(A, "1", "2", "3")
    bench.write(B, "x")
    assert [bench.turn() for _ in range(4)] == [["a 0: 1"], ["b 0: x"], ["a 1: 2"], ["a 2: 3"]]
    assert not bench.outbox.has_lines_to_send


def test_many_observations_share_a_message(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_OBSERVATIONS_PER_MESSAGE", 3)
    for number in range(7):
        uid = AttemptUid(str(number))
        bench.attempts[uid] = FakeAttempt(uid)
        bench.end(uid)
    assert [len(message.observed.attempts) for message in bench.outbox.turn()] == [3, 3, 1]


def test_an_attempt_that_is_forgotten_between_two_messages_does_no_harm(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_OBSERVATIONS_PER_MESSAGE", 1)
    bench.end(A)
    bench.end(B)
    messages = bench.outbox.turn()
    assert words(next(messages)) == ["a ended"]
    del bench.attempts[B]
    bench.outbox.forget(B)
    assert list(messages) == []


def test_lines_progress_and_ends_are_told_apart(bench: Bench) -> None:
    def has() -> tuple[bool, bool, bool]:
        outbox = bench.outbox
        return outbox.has_lines_to_send, outbox.has_progress, outbox.has_ends

    bench.write(A, "one")
    assert has() == (True, False, False)
    bench.outbox.changed(B)
    assert has() == (True, True, False)
    bench.drain()
    assert has() == (False, False, False)
    bench.attempts[A].has_ended = bench.attempts[A].reading = True
    bench.outbox.changed(A)
    assert has() == (False, False, False)
    assert bench.drain() == []
    bench.end(A)
    assert has() == (False, False, True)


def test_after_a_reconnect_all_that_was_not_acknowledged_comes_again(bench: Bench) -> None:
    bench.write(A, "one", "two")
    bench.end(A)
    bench.drain()
    bench.attempts[A].logs.acknowledge(1)
    assert hello(bench) == ["a running", "b running"]
    assert bench.drain() == ["a 1: two", "a ended"]


def test_an_end_whose_lines_are_there_is_part_of_the_hello(bench: Bench) -> None:
    bench.write(A, "one")
    bench.end(A)
    bench.drain()
    bench.attempts[A].logs.acknowledge(1)
    assert hello(bench) == ["a ended", "b running"]
    assert bench.drain() == []


def test_an_end_is_told_again_with_every_heartbeat_until_it_is_acknowledged(bench: Bench) -> None:
    bench.end(A)
    assert bench.drain() == ["a ended"]
    assert words(bench.outbox.heartbeat()) == ["b running"]
    assert bench.drain() == ["a ended"]
    del bench.attempts[A]
    bench.outbox.forget(A)
    bench.outbox.heartbeat()
    assert bench.drain() == []


def test_a_heartbeat_has_fresh_usage(bench: Bench) -> None:
    running = bench.outbox.heartbeat().heartbeat.running
    assert {seen.attempt_uid: seen.usage.peak_memory_bytes for seen in running} == {A: 3, B: 3}


def test_lines_that_cannot_be_read_in_time_are_given_up(bench: Bench) -> None:
    attempt = bench.attempts[A]
    attempt.has_ended = attempt.reading = True
    bench.outbox.changed(A)
    bench.outbox.give_up_lines(now=100.0, patience=5.0)
    assert bench.outbox.next_give_up(5.0) == 105.0
    bench.outbox.give_up_lines(now=104.9, patience=5.0)
    assert not attempt.logs_incomplete
    bench.outbox.give_up_lines(now=105.0, patience=5.0)
    assert attempt.logs_incomplete
    assert bench.outbox.next_give_up(5.0) is None
    bench.end(A)
    assert bench.drain() == ["a ended incomplete"]


def test_the_patience_begins_anew_with_every_connection(bench: Bench) -> None:
    attempt = bench.attempts[A]
    attempt.has_ended = attempt.reading = True
    bench.outbox.changed(A)
    bench.outbox.give_up_lines(now=100.0, patience=5.0)
    bench.outbox.connected()
    bench.outbox.give_up_lines(now=200.0, patience=5.0)
    assert not attempt.logs_incomplete
    assert bench.outbox.next_give_up(5.0) == 205.0


def test_who_only_cleans_up_for_long_loses_no_line(bench: Bench) -> None:
    attempt = bench.attempts[A]
    attempt.has_ended = True
    bench.outbox.changed(A)
    for now in (100.0, 200.0):
        bench.outbox.give_up_lines(now=now, patience=5.0)
    assert not attempt.logs_incomplete
    assert bench.outbox.next_give_up(5.0) is None


def test_after_an_incomplete_end_no_line_follows(bench: Bench) -> None:
    bench.end(A)
    bench.attempts[A].abandon_logs()
    assert bench.drain() == ["a ended incomplete"]
    bench.write(A, "late")
    assert bench.drain() == []


def test_what_the_worker_ended_for_itself_is_not_told_but_its_lines_are(bench: Bench) -> None:
    bench.outbox.withhold(A)
    bench.write(A, "last words")
    bench.end(A)
    assert bench.drain() == ["a 0: last words"]
    assert hello(bench) == ["a running", "b running"]


def test_it_is_settled_once_lines_and_ends_are_acknowledged(bench: Bench) -> None:
    assert bench.outbox.is_settled
    bench.write(A, "one")
    bench.end(B)
    bench.drain()
    assert not bench.outbox.is_settled
    bench.attempts[A].logs.acknowledge(1)
    assert not bench.outbox.is_settled
    del bench.attempts[B]
    bench.outbox.forget(B)
    assert bench.outbox.is_settled
    bench.outbox.withhold(A)
    bench.end(A)
    assert bench.outbox.is_settled
