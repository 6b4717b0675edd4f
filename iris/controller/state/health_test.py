"""Workers that are not well, or that a user has drained: no new work, and all else goes on."""

import pytest

from iris.autoscaler.demand import SliceOccupancy
from iris.controller.state import events, invariants
from iris.controller.state.effects import Effects
from iris.controller.state.scenario import START, Scenario, spec
from iris.model.errors import Internal, NotFound
from iris.model.health import HealthProblem
from iris.model.ids import SliceId, WorkerId
from iris.model.states import TaskState
from iris.scheduler.snapshot import WorkerView

DISK = HealthProblem("disk", "120 MiB free, needs 1 GiB")
W1, S1 = WorkerId("w1"), SliceId("s1")
WELL = (True, "", "")


@pytest.fixture
def world() -> Scenario:
    world = Scenario()
    world.attach("w1")
    world.attach("w2")
    return world


def health(world: Scenario, *problems: HealthProblem, incarnation: str = "one") -> Effects:
    return world.apply(events.WorkerHealthChanged(world.now, W1, incarnation, problems))


def drain(world: Scenario, worker: str = "w1", *, drain: bool = True) -> Effects:
    return world.apply(events.WorkerDrainChanged(world.now, WorkerId(worker), drain))


def reattach(world: Scenario, *problems: HealthProblem, slice_id: str = "s1", new: bool) -> None:
    world.attach("w1", incarnation="two" if new else "one", slice_id=slice_id, problems=problems)


def shown(world: Scenario) -> tuple[bool, str, str]:
    invariants.check(world.state)
    (view,) = [one for one in world.state.fleet.views() if one.worker_id == W1]
    assert isinstance(view, WorkerView)
    return view.accepting, view.not_accepting, view.problem


def test_a_worker_that_is_not_well_gets_no_work_and_keeps_what_it_has(world: Scenario) -> None:
    world.submit(spec(2))
    world.assign((0, "w1"))
    world.run(0)
    effects = health(world, DISK)
    assert effects.reschedule
    assert list(effects.workers) == [W1]
    assert not effects.stop
    assert shown(world) == (False, "unhealthy", "disk: 120 MiB free, needs 1 GiB")
    assert world.states() == [TaskState.RUNNING, TaskState.PENDING]
    world.end(0, TaskState.SUCCEEDED)
    with pytest.raises(Internal, match="which takes no work"):
        world.assign((1, "w1"))


def test_it_gets_work_again_once_it_is_well(world: Scenario) -> None:
    health(world, DISK)
    assert health(world).reschedule
    assert shown(world) == WELL


def test_what_is_no_news_changes_nothing(world: Scenario) -> None:
    health(world, DISK)
    again = health(world, DISK)
    assert not again.reschedule
    assert not again.workers
    assert not health(world, incarnation="another").workers, "an older process does not count"
    assert shown(world)[1] == "unhealthy"
    gone = events.WorkerHealthChanged(world.now, WorkerId("nobody"), "one", (DISK,))
    assert not world.apply(gone).workers


def test_what_a_worker_says_when_it_comes_counts(world: Scenario) -> None:
    health(world, DISK)
    reattach(world, new=False)
    assert shown(world) == WELL
    reattach(world, DISK, new=False)
    assert shown(world)[1] == "unhealthy"


def test_a_drained_worker_gets_no_work_and_keeps_what_it_has(world: Scenario) -> None:
    world.submit(spec(2))
    world.assign((0, "w1"))
    effects = drain(world)
    assert effects.reschedule
    assert not effects.stop
    assert shown(world) == (False, "draining", "")
    world.run(0)
    assert world.states()[0] is TaskState.RUNNING
    assert drain(world, drain=False).reschedule
    assert shown(world) == WELL


def test_whoever_does_not_exist_cannot_be_drained(world: Scenario) -> None:
    with pytest.raises(NotFound, match="There is no worker w9"):
        drain(world, "w9")


@pytest.mark.parametrize("new", [False, True])
def test_it_stays_drained_when_it_comes_back(world: Scenario, new: bool) -> None:
    drain(world)
    reattach(world, new=new)
    assert shown(world)[1] == "draining"


def test_another_machine_of_its_name_is_not_drained(world: Scenario) -> None:
    drain(world)
    reattach(world, slice_id="s2", new=False)
    assert shown(world) == WELL


def test_it_stays_drained_over_a_restart_of_the_controller(world: Scenario) -> None:
    drain(world)
    health(world, DISK)
    world = world.restored()
    assert shown(world) == (False, "draining", "disk: 120 MiB free, needs 1 GiB")
    reattach(world, new=False)
    assert shown(world) == (False, "draining", "")


def test_the_autoscaler_sees_who_is_there_and_takes_no_work(world: Scenario) -> None:
    def occupancy() -> SliceOccupancy:
        invariants.check(world.state)
        return world.state.fleet.occupancy()[S1]

    sick = ((W1, "disk: 120 MiB free, needs 1 GiB"),)
    assert occupancy() == SliceOccupancy(2, 0, START)
    health(world, DISK)
    drain(world)
    assert occupancy() == SliceOccupancy(2, 0, START, closed=1, problems=sick)
    drain(world, "w2")
    assert occupancy().closed == 2
    world.detach("w1")
    assert occupancy() == SliceOccupancy(1, 0, START, closed=1)
    world.lose("w2")
    assert occupancy() == SliceOccupancy(0, 0, START)
    reattach(world, DISK, new=True)
    assert occupancy() == SliceOccupancy(1, 0, START, closed=1, problems=sick)
    world.apply(events.SliceDraining(world.now, S1))
    assert occupancy() == SliceOccupancy(0, 0, START, problems=sick)
