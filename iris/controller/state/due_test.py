"""Moments come in order, and what no longer holds neither comes nor takes room."""

from datetime import timedelta
from random import Random

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


def test_the_order_stays_when_what_no_longer_holds_is_thrown_out() -> None:
    chance = Random(0)
    heap = DueHeap(lambda due: due[1] % 3 == 0)
    added = [at(chance.randrange(100_000), number) for number in range(6_000)]
    for due in added:
        heap.add(due)
    assert len(heap) < len(added)
    holds = sorted(due for due in added if due[1] % 3 == 0)
    assert [heap.pop(at(100_000)[0]) for _ in holds] == holds
    assert heap.next() is None


def test_looking_for_what_no_longer_holds_costs_little_for_each_that_is_added() -> None:
    looked = 0

    def holds(_: Due) -> bool:
        nonlocal looked
        looked += 1
        return True

    heap = DueHeap(holds)
    for number in range(50_000):
        heap.add(at(number, number))
    assert looked < 100_000
