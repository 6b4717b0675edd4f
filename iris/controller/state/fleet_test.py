"""Workers and slices: what is free, who holds what, and what others are shown of it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from iris.autoscaler.demand import SliceOccupancy
from iris.controller.state.fleet import Fleet, Place, Worker
from iris.controller.state.records import WorkerRecord
from iris.controller.state.scenario import START, TASK, WORKER_TOTAL
from iris.model.ids import AttemptUid, JobId, SliceId, WorkerId
from iris.model.priority import PriorityBand
from iris.model.resources import Resources

BATCH, PRODUCTION = PriorityBand.BATCH, PriorityBand.PRODUCTION
W1, W2, S1, S2 = WorkerId("w1"), WorkerId("w2"), SliceId("s1"), SliceId("s2")
A, B = AttemptUid("a"), AttemptUid("b")
NOTHING = Resources()


def record(worker_id: WorkerId = W1, slice_id: SliceId = S1) -> WorkerRecord:
    return WorkerRecord(
        worker_id=worker_id,
        incarnation_id="one",
        slice_id=slice_id,
        scale_group="cpu",
        total=WORKER_TOTAL,
        attributes=(("slice-id", slice_id),),
        host="127.0.0.1",
        isolation="none",
        version="1",
        attached_at=START,
    )


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def place(
    user: str = "ann", band: PriorityBand = BATCH, *, resources: Resources = TASK, **more: bool
) -> Place:
    return Place(resources, JobId(f"/{user}/job"), user, band, START, **more)


def put(fleet: Fleet, worker_id: WorkerId = W1, slice_id: SliceId = S1) -> Worker:
    return fleet.put(record(worker_id, slice_id), START, connected=True)


# --- resources -------------------------------------------------------------------------------


def test_what_is_taken_is_not_free_until_it_is_given_back_once() -> None:
    fleet = Fleet()
    worker = put(fleet)
    fleet.take(worker, A, place())
    fleet.take(worker, B, place(resources=TASK * 2))
    assert (worker.free, worker.releasing) == (WORKER_TOTAL - TASK * 3, NOTHING)
    assert fleet.give_back(W1, B, START)
    assert worker.free == WORKER_TOTAL - TASK
    assert not fleet.give_back(W1, B, START), "there is nothing any more"
    assert not fleet.give_back(W2, A, START)
    assert (worker.free, list(worker.attempts)) == (WORKER_TOTAL - TASK, [A])


def test_what_is_to_stop_is_released_once() -> None:
    fleet = Fleet()
    worker = put(fleet)
    fleet.take(worker, A, place())
    fleet.take(worker, B, place(stopping=True))
    assert worker.releasing == TASK
    for _ in range(2):
        fleet.will_stop(W1, A)
        assert worker.releasing == TASK * 2
    fleet.will_stop(W1, AttemptUid("nobody"))
    fleet.will_stop(W2, A)
    assert worker.free == WORKER_TOTAL - TASK * 2
    fleet.give_back(W1, A, START)
    fleet.give_back(W1, B, START)
    assert (worker.free, worker.releasing) == (WORKER_TOTAL, NOTHING)


def test_a_worker_that_comes_back_has_what_it_had() -> None:
    fleet = Fleet()
    worker = put(fleet)
    attributes = worker.attributes
    fleet.take(worker, A, place())
    fleet.disconnect(worker)
    larger = replace(record(), total=WORKER_TOTAL * 2)
    assert fleet.put(larger, at(9), connected=True) is worker
    assert worker.free == WORKER_TOTAL * 2 - TASK
    assert worker.attributes is attributes
    changed = replace(larger, attributes=(("zone", "a"),))
    fleet.put(changed, at(9), connected=True)
    assert worker.attributes == {"zone": "a"}
    (view,) = fleet.views()
    assert (view.total, view.attributes) == (WORKER_TOTAL * 2, {"zone": "a"})


# --- who holds what --------------------------------------------------------------------------


def test_usage_is_by_user_and_band() -> None:
    fleet = Fleet()
    first, second = put(fleet), put(fleet, W2)
    fleet.take(first, A, place("ann"))
    fleet.take(second, B, place("ann"))
    fleet.take(second, AttemptUid("c"), place("ann", PRODUCTION))
    fleet.take(second, AttemptUid("d"), place("bob", resources=TASK * 2))
    both = {("ann", BATCH): TASK * 2, ("ann", PRODUCTION): TASK, ("bob", BATCH): TASK * 2}
    assert fleet.usage == both
    fleet.will_stop(W1, A)
    assert fleet.usage == both, "as long as it is there"
    fleet.give_back(W1, A, START)
    assert fleet.usage["ann", BATCH] == TASK
    fleet.remove(second, START)
    assert not fleet.usage


def test_workers_with_work_of_a_band_in_the_order_in_which_they_came_to_it() -> None:
    fleet = Fleet()
    first, second = put(fleet), put(fleet, W2)
    fleet.take(second, A, place())
    fleet.take(first, B, place())
    fleet.take(second, AttemptUid("c"), place())
    assert list(fleet.with_band(BATCH)) == [W2, W1]
    assert list(fleet.with_band(PRODUCTION)) == []
    fleet.give_back(W2, A, START)
    assert list(fleet.with_band(BATCH)) == [W2, W1]
    fleet.give_back(W2, AttemptUid("c"), START)
    assert list(fleet.with_band(BATCH)) == [W1]
    fleet.remove(first, START)
    assert list(fleet.with_band(BATCH)) == []


# --- views -----------------------------------------------------------------------------------


def test_every_change_of_a_worker_is_shown_and_no_other_worker_is_made_anew() -> None:
    fleet = Fleet()
    worker, other = put(fleet), put(fleet, W2, S2)
    fleet.take(worker, A, place())
    before = fleet.views()
    changes = (
        lambda: fleet.take(worker, B, place()),
        lambda: fleet.will_stop(W1, A),
        lambda: fleet.give_back(W1, A, START),
        lambda: fleet.disconnect(worker),
        lambda: fleet.put(record(), START, connected=True),
        lambda: fleet.drain(S1),
    )
    for number, change in enumerate(changes):
        change()
        after = fleet.views()
        assert after[0] != before[0], number
        assert after[1] is before[1], number
        before = after
    assert fleet.views() is before, "nothing has changed"
    fleet.remove(worker, START)
    assert fleet.views() == before[1:]
    fleet.remove(other, START)
    assert fleet.views() == ()
    assert len(fleet) == 0


def test_why_a_worker_takes_no_work() -> None:
    fleet = Fleet()
    worker = put(fleet)

    def shown() -> tuple[bool, str]:
        (view,) = fleet.views()
        return view.accepting, view.not_accepting

    assert shown() == (True, "")
    worker.strangers = frozenset({A, B})
    fleet.put(record(), START, connected=True)
    assert shown() == (False, "clearing")
    assert not fleet.stranger_left(W1, "another", A)
    assert not fleet.stranger_left(W2, "one", A)
    assert not fleet.stranger_left(W1, "one", A), "one is still there"
    assert not fleet.stranger_left(W1, "one", A)
    assert shown() == (False, "clearing")
    assert fleet.stranger_left(W1, "one", B)
    assert not fleet.stranger_left(W1, "one", B)
    assert shown() == (True, "")
    fleet.disconnect(worker)
    assert shown() == (False, "silent")
    fleet.drain(S1)
    assert shown() == (False, "draining")
    assert fleet.is_draining(worker)


# --- slices ----------------------------------------------------------------------------------


def test_how_many_of_a_slice_are_connected_and_since_when_it_is_idle() -> None:
    fleet = Fleet()
    first = put(fleet)
    second = fleet.put(record(W2), at(1), connected=False)
    assert fleet.occupancy() == {S1: SliceOccupancy(1, 0, at(1))}
    fleet.put(record(W2), at(2), connected=True)
    fleet.put(record(W2), at(2), connected=True)
    assert fleet.occupancy() == {S1: SliceOccupancy(2, 0, at(1))}, "it came back to the same"
    fleet.take(first, A, place())
    fleet.take(second, B, place())
    fleet.disconnect(first)
    fleet.disconnect(first)
    fleet.give_back(W1, A, at(3))
    assert fleet.occupancy() == {S1: SliceOccupancy(1, 1, None)}
    fleet.give_back(W2, B, at(4))
    assert fleet.occupancy() == {S1: SliceOccupancy(1, 0, at(4))}
    assert fleet.in_slice(S1) == (W1, W2)
    fleet.remove(second, at(5))
    assert fleet.occupancy() == {S1: SliceOccupancy(0, 0, at(4))}
    fleet.remove(first, at(6))
    assert fleet.occupancy() == {}
    assert fleet.in_slice(S1) == ()
    assert not fleet.slices, "nothing is kept of a slice without workers"


def test_what_was_handed_out_stays_as_it_was() -> None:
    fleet = Fleet()
    worker = put(fleet)
    before, views = fleet.occupancy(), fleet.views()
    fleet.take(worker, A, place())
    fleet.remove(worker, START)
    assert before == {S1: SliceOccupancy(1, 0, START)}
    assert [view.free for view in views] == [WORKER_TOTAL]
    assert fleet.occupancy() == {}


@pytest.mark.parametrize("first", ["the workers", "the drain"])
def test_a_draining_slice_takes_no_work_until_it_is_gone(first: str) -> None:
    fleet = Fleet()
    if first == "the drain":
        fleet.drain(S1)
        assert fleet.occupancy() == {}
    worker, other = put(fleet), put(fleet, W2, S2)
    fleet.drain(S1)
    assert (fleet.refusal(worker), fleet.refusal(other)) == ("draining", "")
    assert fleet.occupancy()[S1] == SliceOccupancy(0, 0, START)
    fleet.remove(worker, START)
    assert fleet.refusal(put(fleet)) == "draining", "also one that comes late"
    fleet.remove(worker, START)
    fleet.forget_slice(S1)
    assert fleet.refusal(put(fleet)) == ""


def test_a_worker_without_a_slice_occupies_none() -> None:
    fleet = Fleet()
    worker = put(fleet, W1, SliceId(""))
    fleet.take(worker, A, place())
    assert fleet.occupancy() == {}
    assert len(fleet.views()) == 1
