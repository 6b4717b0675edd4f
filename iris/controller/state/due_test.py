"""Moments come in order, and what no longer holds neither comes nor takes room."""

from datetime import timedelta

from iris.controller.state.due import Due, DueHeap
from iris.controller.state.scenario import START


def at(seconds: float, number: int = 1) -> Due:
    return (START + timedelta(seconds=seconds), number, 0)


def test_the_earliest_comes_first_and_only_what_is_due() -> None:
    heap = DueHeap(lambda _: True)
    assert heap.next() is None
    for seconds in (3, 1, 2):
        heap.add(at(seconds))
    assert heap.next() == at(1)[0]
    assert [heap.pop(at(2)[0]) for _ in range(3)] == [at(1), at(2), None]
    assert heap.next() == at(3)[0]


def test_what_no_longer_holds_does_not_come() -> None:
    gone = {2}
    heap = DueHeap(lambda due: due[1] not in gone)
    for number in (1, 2, 3):
        heap.add(at(number, number))
    assert heap.pop(at(1)[0]) == at(1, 1)
    assert heap.next() == at(3)[0]
    gone.add(3)
    assert heap.pop(at(9)[0]) is None


def test_what_no_longer_holds_takes_no_room() -> None:
    latest = 0
    heap = DueHeap(lambda due: due[1] == latest)
    for latest in range(20_000):
        heap.add(at(1_000 - latest % 7, latest))
    assert len(heap) < 2_000
    assert heap.next() == at(1_000 - latest % 7)[0]
