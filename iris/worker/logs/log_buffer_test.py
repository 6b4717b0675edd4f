"""Lines stay until they are acknowledged, in order, and a full buffer says so."""

import random

import pytest

from iris.worker.logs.lines import LogStream
from iris.worker.logs.log_buffer import LogBudget, LogBuffer


def texts(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def filled(count: int) -> LogBuffer:
    buffer = LogBuffer()
    buffer.append(1, LogStream.STDOUT, texts(count))
    return buffer


def take_all(buffer: LogBuffer) -> dict[int, bytes]:
    """Everything unsent, by index."""
    taken: dict[int, bytes] = {}
    while buffer.has_unsent:
        batch = buffer.take(3, 1 << 20)
        assert len(batch.lines) <= 3
        assert all(run.texts for run in batch.runs)
        taken |= {batch.first_index + at: line.text for at, line in enumerate(batch.lines)}
    return taken


def test_lines_come_in_order_with_their_index() -> None:
    buffer = filled(10)
    assert take_all(buffer) == dict(enumerate(texts(10)))
    assert buffer.next_index == 10
    assert not buffer.is_acknowledged


def test_a_batch_is_bounded_but_never_empty() -> None:
    buffer = LogBuffer()
    buffer.append(1, LogStream.STDOUT, [b"x" * 1000, b"y" * 1000, b"z"])
    assert len(buffer.take(10, 100).lines) == 1
    assert len(buffer.take(10, 5000).lines) == 2


def test_lines_of_several_reads_are_bounded_together() -> None:
    buffer = LogBuffer()
    for text in (b"a", b"b" * 1000, b"c"):
        buffer.append(1, LogStream.STDOUT, [text])
    # A run without lines would be an empty line to whoever gets it.
    assert [run.texts for run in buffer.take(10, 500).runs] == [[b"a"]]
    assert [run.texts for run in buffer.take(10, 500).runs] == [[b"b" * 1000]]
    assert [run.texts for run in buffer.take(10, 500).runs] == [[b"c"]]
    assert not buffer.has_unsent


def test_what_was_not_acknowledged_is_sent_again_after_a_rewind() -> None:
    buffer = filled(10)
    take_all(buffer)
    buffer.acknowledge(4)
    buffer.rewind()
    assert take_all(buffer) == dict(enumerate(texts(6, first=4), start=4))
    buffer.acknowledge(10)
    assert buffer.is_acknowledged
    assert buffer.size_bytes == 0
    buffer.append(1, LogStream.STDERR, [b"next"])
    assert take_all(buffer) == {10: b"next"}


@pytest.mark.parametrize("next_index", [0, 3, 100])
def test_acknowledgements_that_are_late_or_too_early_change_nothing(next_index: int) -> None:
    buffer = filled(10)
    buffer.take(5, 1 << 20)
    buffer.acknowledge(5)
    buffer.acknowledge(next_index)
    assert take_all(buffer) == dict(enumerate(texts(5, first=5), start=5))


def test_what_an_earlier_connection_brought_need_not_be_sent_again() -> None:
    buffer = filled(10)
    buffer.take(6, 1 << 20)
    buffer.rewind()
    buffer.acknowledge(6)
    assert take_all(buffer) == dict(enumerate(texts(4, first=6), start=6))


def test_when_it_is_full_it_says_so_and_again_once_half_of_it_is_free() -> None:
    buffer = LogBuffer(capacity_bytes=48 * 100)
    resumed: list[int] = []
    buffer.on_room = lambda: resumed.append(buffer.size_bytes)
    buffer.append(1, LogStream.STDOUT, [b""] * 99)
    assert buffer.has_room
    buffer.append(1, LogStream.STDOUT, [b""])
    assert not buffer.has_room
    take_all(buffer)
    buffer.acknowledge(49)
    assert not buffer.has_room
    assert resumed == []
    buffer.acknowledge(51)
    assert buffer.has_room
    assert len(resumed) == 1


def test_words_of_ours_are_taken_even_when_it_is_full() -> None:
    buffer = LogBuffer(capacity_bytes=1)
    buffer.append(1, LogStream.STDOUT, [b"x"])
    buffer.append(2, LogStream.SYSTEM, [b"stopping"])
    assert take_all(buffer) == {0: b"x", 1: b"stopping"}


def test_many_buffers_hold_little_each_once_all_together_hold_much() -> None:
    budget = LogBudget(1 << 20)
    first, second = LogBuffer(budget=budget), LogBuffer(budget=budget)
    while first.has_room:
        first.append(1, LogStream.STDOUT, [b"x" * 1000])
    assert 1 << 20 <= first.size_bytes < (1 << 20) + 2000
    while second.has_room:
        second.append(1, LogStream.STDOUT, [b"x" * 1000])
    assert 64 << 10 <= second.size_bytes < (64 << 10) + 2000
    take_all(second)
    second.acknowledge(second.next_index - 31)
    assert second.has_room, "its own share is free, whatever the other holds"
    first.discard()
    first.discard()
    assert budget.used_bytes == second.size_bytes
    while second.has_room:
        second.append(1, LogStream.STDOUT, [b"x" * 1000])
    assert second.size_bytes >= 1 << 20
    assert budget.used_bytes == second.size_bytes


def test_nothing_is_lost_or_doubled_whatever_the_order(test_seed: str) -> None:
    rng = random.Random(test_seed)
    buffer, written = LogBuffer(capacity_bytes=3000), 0
    held: dict[int, bytes] = {}
    for _ in range(3000):
        match rng.randrange(4):
            case 0:
                count = rng.randrange(5)
                buffer.append(0, LogStream.STDOUT, texts(count, first=written))
                written += count
            case 1 if buffer.has_unsent:
                batch = buffer.take(rng.randrange(1, 6), rng.randrange(1, 2000))
                assert all(run.texts for run in batch.runs), test_seed
                for at, line in enumerate(batch.lines, start=batch.first_index):
                    assert held.setdefault(at, line.text) == line.text == b"%d" % at, test_seed
            case 2:
                known = next((at for at in range(written) if at not in held), written)
                buffer.acknowledge(rng.randrange(known + 1))
            case 3 if rng.random() < 0.1:
                buffer.rewind()
    held |= take_all(buffer)
    assert held == dict(enumerate(texts(written))), f"seed {test_seed}"
