"""What workers run is looked at as it is, not as the controller says."""

from pathlib import Path

import pytest

from iris.controller.state.records import WorkerRecord
from iris.controller.store import Changes
from iris.model.ids import AttemptUid, JobId, SliceId, WorkerId
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.simulation.checkers.checker import Broken, Evidence
from iris.simulation.checkers.runs import OnePlace, RealCapacity
from iris.simulation.facts import Process
from iris.simulation.messages import RunSpec
from iris.simulation.scenario import Scenario
from iris.simulation.world import World

TOTAL = Resources(4_000)


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    world = World(Scenario(0, (), ()), tmp_path, checkers=lambda evidence: [])
    evidence = world._evidence
    evidence.facts.witnesses += [OnePlace(evidence), RealCapacity(evidence)]
    return evidence


def worker(evidence: Evidence, name: str) -> Process:
    """A process that the controller knows and that has heard from it."""
    process = evidence.facts.born(WorkerId(name), f"{name}#1", SliceId("s"), TOTAL, {}, 0.0)
    record = WorkerRecord(
        WorkerId(name), f"{name}#1", SliceId("s"), "cpu", TOTAL, (), "", "", "",
        evidence.clock.now(),
    )  # fmt: skip
    evidence.ledger.commit(Changes(workers=(record,)))
    process.serving = True
    return process


def spec(index: int = 0, cores: int = 1) -> RunSpec:
    return RunSpec(JobId("/a/job"), index, 0, Resources(cores * 1_000), "program")


def start(evidence: Evidence, uid: str, process: Process, what: RunSpec) -> None:
    evidence.facts.started(AttemptUid(uid), what, process, 0.0)


def test_a_task_on_two_workers_is_seen(evidence: Evidence) -> None:
    start(evidence, "one", worker(evidence, "w1"), spec())
    with pytest.raises(Broken, match="/a/job/0 runs as one on w1#1, two on w2#1"):
        start(evidence, "two", worker(evidence, "w2"), spec())


def test_an_attempt_that_runs_again_is_seen(evidence: Evidence) -> None:
    process = worker(evidence, "w1")
    start(evidence, "one", process, spec())
    run = evidence.facts.runs[AttemptUid("one")][0]
    evidence.facts.ended(run, TaskState.SUCCEEDED, 1.0)
    with pytest.raises(Broken, match="started again"):
        start(evidence, "one", process, spec())


@pytest.mark.parametrize("why", ["not serving", "stopping", "given up", "another process"])
def test_what_cannot_be_helped_is_no_complaint(evidence: Evidence, why: str) -> None:
    first = worker(evidence, "w1")
    start(evidence, "one", first, spec())
    match why:
        case "not serving":
            first.serving = False
        case "stopping":
            evidence.facts.runs[AttemptUid("one")][0].stopping_at = 1.0
        case "given up":
            evidence.ledger.commit(Changes(gone_workers=(WorkerId("w1"),)))
        case "another process":
            first.incarnation_id = "w1#0"
    start(evidence, "two", worker(evidence, "w2"), spec())


def test_other_tasks_may_run_together(evidence: Evidence) -> None:
    process = worker(evidence, "w1")
    for index in range(4):
        start(evidence, f"a{index}", process, spec(index))


def test_more_than_a_machine_has_is_seen(evidence: Evidence) -> None:
    process = worker(evidence, "w1")
    start(evidence, "one", process, spec(0, 3))
    with pytest.raises(Broken, match="no worker's capacity is exceeded"):
        start(evidence, "two", process, spec(1, 2))
