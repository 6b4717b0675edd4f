"""The events are the truth: applied anew, they have to give the records that are stored beside them."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from iris.controller.state.machine import ControllerState
from iris.controller.state.records import TaskRecord
from iris.controller.store.changes import Recovered
from iris.controller.store.database import Database
from iris.model.errors import DataLoss, FailedPrecondition

_DIFFERENCES_NAMED = 5


def verify(database: Database, fresh: ControllerState) -> int:
    """Applies every event to a fresh state, whose settings are those of the one that wrote them, and
    compares it with the records. Returns the number of events.

    For tests, simulations and the cautious: it takes as long as everything that happened. An Iris
    with other rules than the one that wrote the events may come to another state.

    Raises FailedPrecondition when events were pruned, DataLoss naming what differs.
    """
    if not database.has_every_event():
        raise FailedPrecondition(
            f"Events of {database.path} were pruned: what is left does not tell the whole story.",
            hint="Only a file that keeps every event can be verified.",
        )
    count = 0
    for event in database.events():
        fresh.apply(event)
        count += 1
    found = list(differences(records_of(fresh), database.load()))
    if found:
        named = "; ".join(found[:_DIFFERENCES_NAMED])
        raise DataLoss(
            f"The records of {database.path} are not what its {count} events give, "
            f"in {len(found)} places: {named}."
        )
    return count


def records_of(state: ControllerState) -> Recovered:
    """What a store would hold of a state."""
    jobs = sorted(state.jobs.newest_first(), key=lambda job: job.record.number)
    tasks = {
        job.job_id: tuple(task for task in job.tasks if task != TaskRecord(task.index))
        for job in jobs
    }
    return Recovered(
        jobs=tuple(job.record for job in jobs),
        tasks={job_id: of_job for job_id, of_job in tasks.items() if of_job},
        attempts=tuple(
            attempt
            for job in jobs
            for index in range(len(job.tasks))
            for attempt in state.jobs.attempts_of(job, index)
        ),
        workers=tuple(sorted((w.record for w in state.fleet), key=lambda w: w.worker_id)),
        next_number=state.jobs.next_number,
    )


def differences(replayed: Recovered, stored: Recovered) -> Iterator[str]:
    """What is not the same in the two, each for people."""
    for name, one, other in (
        ("job", {j.job_id: j for j in replayed.jobs}, {j.job_id: j for j in stored.jobs}),
        ("task", _tasks(replayed), _tasks(stored)),
        ("attempt", {a.uid: a for a in replayed.attempts}, {a.uid: a for a in stored.attempts}),
        (
            "worker",
            {w.worker_id: w for w in replayed.workers},
            {w.worker_id: w for w in stored.workers},
        ),
        ("next job", {"number": replayed.next_number}, {"number": stored.next_number}),
    ):
        yield from _compare(name, dict[Any, Any](one), dict[Any, Any](other))


def _tasks(records: Recovered) -> dict[str, TaskRecord]:
    return {
        f"{job_id}/{task.index}": task for job_id, tasks in records.tasks.items() for task in tasks
    }


def _compare(name: str, replayed: dict[Any, Any], stored: dict[Any, Any]) -> Iterator[str]:
    for key in replayed.keys() - stored.keys():
        yield f"{name} {key} is not stored"
    for key in stored.keys() - replayed.keys():
        yield f"{name} {key} is stored, and there is none"
    for key in replayed.keys() & stored.keys():
        if replayed[key] != stored[key]:
            yield f"{name} {key}: {_what_differs(replayed[key], stored[key])}"


def _what_differs(replayed: Any, stored: Any) -> str:
    if isinstance(replayed, int):
        return f"{replayed}, stored is {stored}"
    return ", ".join(
        f"{field.name} is {getattr(replayed, field.name)!r}, stored is {getattr(stored, field.name)!r}"
        for field in fields(replayed)
        if getattr(replayed, field.name) != getattr(stored, field.name)
    )
