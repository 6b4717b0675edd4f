"""Bugs in what becomes of jobs, attempts and workers, and in what survives a restart."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from iris.controller.brain import Brain
from iris.controller.sessions import Sessions
from iris.controller.silence import SilenceWatch
from iris.controller.state import events, machine
from iris.controller.state.attachments import Attachments
from iris.controller.state.effects import Effects
from iris.controller.state.fleet import Fleet, Worker
from iris.controller.state.jobs import Job
from iris.controller.state.machine import ControllerState
from iris.controller.state.outcomes import Outcomes
from iris.controller.state.records import AttemptRecord, StopIntent
from iris.controller.state.retry import RetryPolicy
from iris.controller.store import Changes, Recovered
from iris.controller.store.database import Database
from iris.model.ids import JobId
from iris.model.states import JobState, TaskState, roll_up
from iris.simulation.mutants.mutant import Mutant
from iris.worker.reconcile import Actions, Reconciler

_Patch = AbstractContextManager[object]


def _lost_report() -> _Patch:
    compare = Attachments._compare

    def forgetful(
        self: Attachments, worker: Worker, event: events.WorkerAttached, effects: Effects
    ) -> None:
        compare(self, worker, replace(event, ended=()), effects)

    return patch.object(Attachments, "_compare", forgetful)


def _no_pause() -> _Patch:
    return patch.object(RetryPolicy, "delay", lambda self, retries, jitter: timedelta(0))


def _no_cap() -> _Patch:
    after_failure = Outcomes._after_failure

    def forgiving(
        self: Outcomes,
        job: Job,
        attempt: AttemptRecord,
        at: datetime,
        jitter: float,
        effects: Effects,
    ) -> None:
        job.tasks[attempt.index] = replace(job.tasks[attempt.index], failures=-1)
        after_failure(self, job, attempt, at, jitter, effects)

    return patch.object(Outcomes, "_after_failure", forgiving)


def _id_used_again() -> _Patch:
    attached = Attachments.attached

    def credulous(self: Attachments, event: events.WorkerAttached, effects: Effects) -> None:
        known = self._fleet.get(event.worker_id)
        if known is not None and known.record.incarnation_id != event.incarnation_id:
            # The name is the same, so it must be the same worker, with all that it had.
            known.record = replace(known.record, incarnation_id=event.incarnation_id)
            event = replace(event, running=tuple(known.attempts))
        attached(self, event, effects)

    return patch.object(Attachments, "attached", credulous)


def _cancelled_keeps_its_room() -> _Patch:
    end_attempt = Outcomes.end_attempt

    def greedy(
        self: Outcomes,
        attempt: AttemptRecord,
        state: TaskState,
        at: datetime,
        jitter: float,
        effects: Effects,
        **details: Any,
    ) -> None:
        if attempt.stop is not StopIntent.KILL:
            end_attempt(self, attempt, state, at, jitter, effects, **details)
            return
        with patch.object(Fleet, "give_back", lambda *_: False):
            end_attempt(self, attempt, state, at, jitter, effects, **details)

    return patch.object(Outcomes, "end_attempt", greedy)


def _restart_loses_jobs() -> _Patch:
    load = Database.load

    def amnesiac(self: Database) -> Recovered:
        stored = load(self)
        return Recovered(workers=stored.workers, next_number=stored.next_number)

    return patch.object(Database, "load", amnesiac)


def _told_before_stored() -> _Patch:
    commit = Database.commit
    waiting: dict[int, tuple[Sequence[events.Event], Changes]] = {}

    def late(self: Database, happened: Sequence[events.Event], changes: Changes) -> None:
        before = waiting.pop(id(self), None)
        if before is not None:
            commit(self, *before)
        waiting[id(self)] = (happened, changes)

    return patch.object(Database, "commit", late)


def _dead_watch() -> _Patch:
    return patch.object(SilenceWatch, "silent", lambda self, now: [])


def _order_forgotten() -> _Patch:
    tell = Sessions.tell

    def absent_minded(self: Sessions, effects: Effects) -> None:
        effects.run = dict(list(effects.run.items())[: max(1, len(effects.run) - 1)])
        tell(self, effects)

    return patch.object(Sessions, "tell", absent_minded)


def _acknowledged_once() -> _Patch:
    observed = ControllerState._observed

    def curt(self: ControllerState, event: events.AttemptObserved, effects: Effects) -> None:
        attempt = self.jobs.attempt(event.observation.attempt_uid)
        had_ended = attempt is not None and attempt.state.is_terminal
        observed(self, event, effects)
        if had_ended:
            effects.acknowledge.clear()

    class Curt(ControllerState):
        """Acknowledges an end when it hears of it first, and never again."""

        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self._handlers[events.AttemptObserved] = lambda event, effects: curt(
                self, event, effects
            )

    return patch("iris.simulation.controller.ControllerState", Curt)


def _placed_while_it_stops() -> _Patch:
    attached = Attachments.attached

    def eager(self: Attachments, event: events.WorkerAttached, effects: Effects) -> None:
        attached(self, replace(event, running=()), effects)

    return patch.object(Attachments, "attached", eager)


def _strangers_run_on() -> _Patch:
    desired = Reconciler.desired

    def tolerant(self: Any, *, complete: bool, run: Any, stop: Any) -> Actions[Any]:
        return desired(self, complete=False, run=run, stop=stop)

    return patch.object(Reconciler, "desired", tolerant)


def _live_job_pruned() -> _Patch:
    def greedy(self: Brain, now: datetime) -> Any:
        oldest = next(
            (
                job.job_id
                for job in sorted(self.state.jobs.newest_first(), key=lambda job: job.record.number)
                if job.record.submitted_at < now - self._retention
                and not any(task.state.is_active for task in job.tasks)
                and not self.state.jobs.children_of(job.job_id)
            ),
            None,
        )
        yield from due_events(self, now)
        job = self.state.jobs.get(JobId(oldest or ""))
        if job is not None:
            self.state.jobs.forget(job, self._turn.effects)

    due_events = Brain._due_events
    return patch.object(Brain, "_due_events", greedy)


def _failures_do_not_count() -> _Patch:
    def rosy(counts: Mapping[TaskState, int], **more: Any) -> JobState:
        state = roll_up(counts, **more)
        return JobState.SUCCEEDED if state is JobState.FAILED else state

    return patch.object(machine, "roll_up", rosy)


RESULTS = "results are the right ones"
RETRIES = "retries are delayed and capped"
SURVIVES = "what was acknowledged survives"
CAPACITY = "no worker's capacity is exceeded"
IN_TIME = "all is over in time"
SOUND = "the state does not contradict itself"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "failures do not count",
        "A job all of whose tasks have failed is shown as a success.",
        _failures_do_not_count,
        frozenset({"jobs end once, with the right result"}),
    ),
    Mutant(
        "a lost report is a failure",
        "A worker's report of an end is lost with its stream; when it comes back and names the end "
        "again, the controller only sees that the attempt no longer runs and takes it for lost.",
        _lost_report,
        frozenset({RESULTS}),
    ),
    Mutant(
        "retries without a pause",
        "A task that fails everywhere is started again at once, dozens of times in two minutes.",
        _no_pause,
        frozenset({RETRIES}),
    ),
    Mutant(
        "retries without a cap",
        "Failures are not counted: a task that always fails is run again for ever.",
        _no_cap,
        frozenset({RETRIES}),
    ),
    Mutant(
        "a worker's id is used again",
        "A machine dies and another comes up under its name; what the first one ran counts as "
        "running on the second, for hours.",
        _id_used_again,
        frozenset({"the dead are given up", "no attempt runs on two workers", CAPACITY}),
    ),
    Mutant(
        "a cancelled job keeps its room",
        "Cancelling a job does not give back what its attempts held.",
        _cancelled_keeps_its_room,
        frozenset({CAPACITY, SOUND}),
    ),
    Mutant(
        "a restart loses every job",
        "The controller starts again and knows of no jobs.",
        _restart_loses_jobs,
        frozenset({SURVIVES}),
    ),
    Mutant(
        "users are told before it is stored",
        "What a turn did is written with the next one: a crash in between loses what was promised.",
        _told_before_stored,
        frozenset({SURVIVES}),
    ),
    Mutant(
        "the watch over silent workers is dead",
        "Whatever gives silent workers up has died and nobody noticed: attempts hang on machines "
        "that are no more.",
        _dead_watch,
        frozenset({"the dead are given up", IN_TIME}),
    ),
    Mutant(
        "an order is forgotten",
        "Of several attempts that are placed at once, the last is never told to its worker and "
        "hangs in ASSIGNED.",
        _order_forgotten,
        frozenset({IN_TIME}),
    ),
    Mutant(
        "an end is acknowledged only once",
        "When the acknowledgement is lost the worker tells the end again, is not answered, and "
        "keeps it for ever.",
        _acknowledged_once,
        frozenset({"ends are acknowledged"}),
    ),
    Mutant(
        "room is given away twice",
        "A worker comes back with an attempt that was given up meanwhile; its room is given away "
        "though it still runs.",
        _placed_while_it_stops,
        frozenset({CAPACITY, SOUND, RESULTS}),
    ),
    Mutant(
        "two attempts of one task",
        "A worker that was cut off comes back and goes on with what has been placed elsewhere.",
        _strangers_run_on,
        frozenset({"no attempt runs on two workers", IN_TIME}),
    ),
    Mutant(
        "a live job is forgotten",
        "Jobs are forgotten by their age, whether or not they have ended.",
        _live_job_pruned,
        frozenset({SURVIVES}),
    ),
)
