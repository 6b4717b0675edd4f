"""The table of events is the truth: applied anew, they give the records that are stored beside them."""

from pathlib import Path
from typing import get_args

from iris.controller.changes import changes_of
from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.machine import ControllerState
from iris.controller.state.scenario import JOB, Scenario, spec
from iris.controller.store.database import Database
from iris.controller.store.replay import verify
from iris.model.health import HealthProblem
from iris.model.ids import SliceId, WorkerId
from iris.model.job import ExistingJobPolicy
from iris.model.priority import PriorityBand
from iris.model.published import Endpoint, TaskOutput
from iris.model.states import TaskState

KINDS = set(get_args(events.Event))
GANG, BATCH, OLD = "/alice/gang", "/alice/batch", "/alice/old"


def story() -> tuple[Scenario, Effects]:
    """One that has every kind of event in it."""
    world, effects = Scenario(), Effects()
    apply = world.apply

    def collect(event: events.Event) -> Effects:
        done = apply(event)
        effects.add(done)
        return done

    world.apply = collect  # type: ignore[method-assign]
    for worker in ("w0", "w1", "w2"):
        world.attach(worker, slice_id=f"s-{worker}")
    world.submit(spec(3, failures=2))
    world.submit(spec(2, gang=True, failures=1), GANG)
    world.assign((0, "w0"), (1, "w1"))
    world.assign((0, "w0"), (1, "w1"), job_id=GANG)
    world.run(0, 1)
    world.run(0, 1, job_id=GANG)
    uid = world.uid(0)
    for name in ("http", "grpc"):
        world.apply(
            events.EndpointRegistered(world.now, uid, Endpoint(name, "w0:80", (("a", "b"),)))
        )
    world.apply(events.EndpointUnregistered(world.now, uid, "grpc"))
    output = TaskOutput("model", "sha256:" + "0" * 64, 7)
    world.apply(events.OutputPublished(world.now, uid, output))
    world.end(0, TaskState.FAILED, exit_code=3)
    world.end(1, TaskState.SUCCEEDED)
    world.end(1, TaskState.FAILED, job_id=GANG)
    world.detach("w0")
    world.lose("w0")
    world.pass_time(100)
    world.assign((0, "w1"), (1, "w2"), job_id=GANG)
    world.apply(events.SliceDraining(world.now, SliceId("s-w1")))
    world.apply(events.SliceGone(world.now, SliceId("s-w2"), "preempted", 0.25))
    disk = HealthProblem("disk", "120 MiB free, needs 1 GiB")
    world.apply(events.WorkerHealthChanged(world.now, WorkerId("w1"), "one", (disk,)))
    world.apply(events.WorkerDrainChanged(world.now, WorkerId("w1"), drain=True))
    world.terminate("enough", GANG)
    world.attach("w3", slice_id="s-w3")
    world.submit(spec(2, band=PriorityBand.BATCH), BATCH)
    world.assign((0, "w3"), job_id=BATCH)
    world.preempt(world.uid(0, BATCH))
    world.end(0, TaskState.KILLED, BATCH)
    world.assign((0, "w3"), (1, "w3"), job_id=BATCH)
    world.submit(spec(2), OLD)
    world.assign((0, "w3"), job_id=OLD)
    world.end(0, TaskState.FAILED, OLD)
    world.submit(spec(3), OLD, policy=ExistingJobPolicy.REPLACE)
    world.submit(spec(), f"{OLD}/child")
    world.terminate("", OLD)
    world.prune(f"{OLD}/child", OLD)
    return world, effects


def test_events_applied_anew_give_the_stored_records(tmp_path: Path) -> None:
    world, effects = story()
    assert {type(event) for event in world.log} == KINDS, "the story lacks a kind"
    database = Database.open(tmp_path / "state.db")
    database.commit(world.log, changes_of(world.state, effects))
    assert list(database.events()) == world.log
    stored = database.load()
    assert verify(database, ControllerState()) == len(world.log)
    database.close()

    # What was compared is not nothing.
    assert [job.job_id for job in stored.jobs] == [JOB, GANG, BATCH]
    assert stored.next_number == 7
    assert {job_id: len(tasks) for job_id, tasks in stored.tasks.items()} == {
        JOB: 2,
        GANG: 2,
        BATCH: 2,
    }
    assert {attempt.state for attempt in stored.attempts} > {
        TaskState.PREEMPTED,
        TaskState.FAILED,
        TaskState.SUCCEEDED,
    }
    assert {worker.worker_id for worker in stored.workers} == {"w1", "w3"}
    (drained,) = [worker for worker in stored.workers if worker.drained]
    assert [str(one) for one in drained.problems] == ["disk: 120 MiB free, needs 1 GiB"]
