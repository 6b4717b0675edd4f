"""Attempts and jobs end as they really ended, once, and are tried again as often as was promised."""

from datetime import datetime, timedelta
from functools import partial

from iris.controller.brain import Turn
from iris.controller.state import events
from iris.controller.state.records import AttemptRecord, JobRecord, StopIntent
from iris.model.ids import AttemptUid, JobId, WorkerId, index_of, job_of, parent_of
from iris.model.states import JobState, TaskState
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.clients import Accepted
from iris.simulation.controller import ControllerProcess
from iris.simulation.facts import Run
from iris.simulation.ledger import differences


class AttemptsEndAsTheyDid(Checker):
    """What is recorded of an attempt's end is what happened to it."""

    invariant = "results are the right ones"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._ended: dict[AttemptUid, TaskState] = {}

    def committed(self, turn: Turn) -> None:
        """See Checker."""
        given_up = _given_up(turn)
        for attempt in turn.changes.attempts:
            if not attempt.state.is_terminal:
                continue
            before = self._ended.get(attempt.uid)
            if before is None:
                self._ended[attempt.uid] = attempt.state
                self._check(attempt, given_up)
            elif before is not attempt.state:
                raise self.broken(f"{attempt.uid} ended as {before.name}, now {attempt.state.name}")
        for event in turn.events:
            if isinstance(event, events.AttemptObserved):
                self._check_heard(event)

    def _check(self, attempt: AttemptRecord, given_up: set[tuple[WorkerId, str]]) -> None:
        process = (attempt.worker_id, attempt.incarnation_id)
        gone = attempt.incarnation_id in self.evidence.facts.dead or process in given_up
        runs = self.evidence.facts.runs.get(attempt.uid, [])
        end = runs[0].end if runs else None
        where = f"{attempt.uid} of {attempt.task_id} is recorded as {attempt.state.name}"
        really = _really(runs[0] if runs else None)
        match attempt.state:
            case TaskState.SUCCEEDED | TaskState.FAILED:
                if end is not attempt.state:
                    raise self.broken(f"{where}, and {really}")
            case TaskState.KILLED | TaskState.PREEMPTED:
                if attempt.stop is None and end is not TaskState.KILLED:
                    raise self.broken(f"{where}, and nobody had it stopped")
                if end is TaskState.SUCCEEDED and not gone:
                    raise self.broken(f"{where}, and {really}")
            case TaskState.WORKER_FAILED:
                if not gone:
                    raise self.broken(
                        f"{where} ({attempt.error}), though its worker was not given up; {really}"
                    )
            case _:
                raise self.broken(where)

    def _check_heard(self, event: events.AttemptObserved) -> None:
        """What a worker told of an end that nobody knew yet is known now."""
        seen = event.observation
        attempt = self.evidence.ledger.attempts.get(seen.attempt_uid)
        if attempt is None or not seen.state.is_terminal:
            return
        theirs = (attempt.worker_id, attempt.incarnation_id)
        if theirs == (event.worker_id, event.incarnation_id) and not attempt.state.is_terminal:
            raise self.broken(f"{seen.attempt_uid} has told its end and is {attempt.state.name}")


class JobsEndOnce(Checker):
    """A job that has ended stays as it is, and ended for a reason that there was."""

    invariant = "jobs end once, with the right result"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._ended: dict[int, JobState] = {}
        self._terminated: set[JobId] = set()
        self._ended_ids: set[JobId] = set()
        self._latest: datetime = evidence.clock.now()

    def terminating(self, job_id: JobId) -> None:
        """See Checker."""
        self._terminated.add(job_id)

    def committed(self, turn: Turn) -> None:
        """See Checker."""
        self._latest = max(self._latest, self.evidence.clock.now())
        # Whoever takes a name ends what had it, and with it its children.
        self._ended_ids.update(
            event.job_id for event in turn.events if isinstance(event, events.JobSubmitted)
        )
        ending = [job for job in turn.changes.jobs if job.state.is_terminal]
        self._ended_ids.update(job.job_id for job in ending)
        for job in turn.changes.jobs:
            before = self._ended.get(job.number)
            if before is not None and before is not job.state:
                raise self.broken(f"{job.job_id} was {before.name} and is {job.state.name}")
        for job in ending:
            if job.number not in self._ended:
                self._ended[job.number] = job.state
                self._check(job)

    def _check(self, job: JobRecord) -> None:
        spec = job.spec
        last = [
            attempts[-1:] for attempts in map(partial(self._attempts, job), range(spec.replicas))
        ]
        good = sum(one.state is TaskState.SUCCEEDED for ones in last for one in ones)
        # A gang that was told to stop is placed anew, whatever some of its members made of it.
        stopped = spec.gang is not None and any(one.stop for ones in last for one in ones)
        in_time = not self._passed(job.placed_at, spec.timeout)
        is_wrong = good == spec.replicas and job.state is not JobState.SUCCEEDED
        if is_wrong and in_time and not stopped:
            raise self.broken(f"all tasks of {job.job_id} succeeded, and it is {job.state.name}")
        if not self._has_reason(job, good):
            raise self.broken(f"{job.job_id} is {job.state.name} without a reason: {job.error}")

    def _has_reason(self, job: JobRecord, good: int) -> bool:
        spec = job.spec
        match job.state:
            case JobState.SUCCEEDED:
                return good >= spec.replicas - spec.max_task_failures
            case JobState.FAILED:
                return self._has_failed(job)
            case JobState.KILLED:
                return self._was_terminated(job)
            case JobState.UNSCHEDULABLE:
                return self._passed(job.submitted_at, spec.scheduling_timeout)
            case _:
                return False

    def _attempts(self, job: JobRecord, index: int) -> list[AttemptRecord]:
        ledger = self.evidence.ledger
        return [ledger.attempts[uid] for uid in ledger.attempts_of.get((job.job_id, index), ())]

    def _has_failed(self, job: JobRecord) -> bool:
        spec, gone, retries = job.spec, 0, 0
        for index in range(spec.replicas):
            failures, lost = _counts(self._attempts(job, index))
            retries += failures + lost
            gone += failures > spec.max_retries_failure or lost > spec.max_retries_preemption
        if gone > spec.max_task_failures or (gone and spec.max_task_failures == 0):
            return True
        if retries > self.evidence.scenario.retry.job_limit(spec.replicas):
            return True
        # With tasks that were allowed to fail, it may end in any way once they have.
        return gone > 0 or self._passed(job.placed_at, spec.timeout)

    def _was_terminated(self, job: JobRecord) -> bool:
        if job.job_id in self._terminated:
            return True
        parent = parent_of(job.job_id)
        if parent is None or job.spec.outlives_parent:
            return False
        # One that is being ended ends its children with it.
        known = self.evidence.ledger.jobs.get(parent)
        return parent in self._ended_ids or (known is not None and known.error != "")

    def _passed(self, since: datetime | None, limit: timedelta | None) -> bool:
        return since is not None and limit is not None and since + limit <= self._latest


class Retries(Checker):
    """Retries wait, each longer than the one before, and there are no more than was promised."""

    invariant = "retries are delayed and capped"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._ended_at: dict[AttemptUid, tuple[datetime, float]] = {}
        self._latest = evidence.clock.now()

    def committed(self, turn: Turn) -> None:
        """See Checker."""
        now = self.evidence.clock.now()
        self._latest = max(self._latest, now)
        for attempt in turn.changes.attempts:
            if attempt.state.is_terminal:
                # What happened before the clock was set forward may be taken after that.
                wall = min(now, attempt.finished_at or now)
                self._ended_at.setdefault(attempt.uid, (wall, self.evidence.now))
        for event in turn.events:
            if isinstance(event, events.TasksAssigned):
                for one in event.assignments:
                    self._check(job_of(one.task_id), index_of(one.task_id))

    def _check(self, job_id: JobId, index: int) -> None:
        ledger = self.evidence.ledger
        attempts = [ledger.attempts[uid] for uid in ledger.attempts_of[job_id, index]][:-1]
        if not attempts:
            return
        spec, last = ledger.jobs[job_id].spec, attempts[-1]
        failures, lost = _counts(attempts)
        if failures > spec.max_retries_failure or lost > spec.max_retries_preemption:
            raise self.broken(
                f"{job_id}/{index} has failed {failures} times and was lost {lost} times, "
                f"and is run again"
            )
        counted, policy = failures + lost, self.evidence.scenario.retry
        if last.stop is not None or last.state is TaskState.SUCCEEDED or not counted:
            return
        # Preemptions by us count, and delay nothing.
        own = counted - sum(one.stop is StopIntent.PREEMPT for one in attempts)
        least = min(policy.base * (1 << min(max(own - 1, 0), 30)), policy.longest) / 2
        # By either clock: the wall clock may have been set forward, or back after it was ready.
        wall, monotonic = self._ended_at[last.uid]
        waited = max(self._latest - wall, timedelta(seconds=self.evidence.now - monotonic))
        # An event may have happened when its message was read, up to a turn before it was taken.
        waited += timedelta(seconds=self.evidence.scenario.timing.turn)
        if waited < least:
            raise self.broken(
                f"{job_id}/{index} is run again {waited} after it ended, for the {counted}th "
                f"time; it has to wait at least {least}"
            )


class PromisesKept(Checker):
    """Whatever a user was told survives: a job that was taken is there until it has ended and was
    kept for long enough, and what a restarted controller knows is what was committed.
    """

    invariant = "what was acknowledged survives"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._known: dict[int, JobRecord] = {}
        self._by_id: dict[JobId, JobRecord] = {}
        self._forgotten: set[int] = set()
        self._accepted: set[int] = set()
        self._latest: datetime = evidence.clock.now()

    def accepted(self, accepted: Accepted) -> None:
        """See Checker."""
        number = accepted.number
        if number not in self._known:
            raise self.broken(f"a user was told of job number {number}, which is not stored")
        self._accepted.add(number)

    def committed(self, turn: Turn) -> None:
        """See Checker."""
        self._latest = max(self._latest, self.evidence.clock.now())
        replaced = {event.job_id for event in turn.events if isinstance(event, events.JobSubmitted)}
        for job_id in turn.changes.pruned:
            known = self._by_id.pop(job_id, None)
            if known is not None:
                self._check_pruned(known, replaced, turn)
        for job in turn.changes.jobs:
            self._known[job.number] = self._by_id[job.job_id] = job

    def _check_pruned(self, job: JobRecord, replaced: set[JobId], turn: Turn) -> None:
        self._forgotten.add(job.number)
        makes_way = job.job_id in replaced or any(
            job.job_id.startswith(f"{one}/") for one in replaced
        )
        if makes_way and len(turn.events) > 1 and not job.state.is_terminal:
            return  # it ended in this very turn, and its name was taken at once
        if not job.state.is_terminal or job.finished_at is None:
            raise self.broken(f"{job.job_id} was forgotten as {job.state.name}")
        kept = self._latest - job.finished_at
        if not makes_way and kept < self.evidence.scenario.timing.retention:
            raise self.broken(f"{job.job_id} was forgotten {kept} after it ended")

    def recovered(self, process: ControllerProcess) -> None:
        """See Checker."""
        found = differences(self.evidence.ledger, process.state)
        if found:
            raise self.broken(f"after a restart {found[0]} ({len(found)} differences)")

    def finished(self, process: ControllerProcess) -> None:
        """See Checker."""
        there = {job.record.number for job in process.state.jobs.newest_first()}
        for number in sorted(self._accepted - self._forgotten):
            if number not in there:
                raise self.broken(f"{self._known[number].job_id} is lost")


def _given_up(turn: Turn) -> set[tuple[WorkerId, str]]:
    """Workers that the controller gave up in this turn, and the process that it gave up."""
    found: set[tuple[WorkerId, str]] = set()
    slices = {event.slice_id for event in turn.events if isinstance(event, events.SliceGone)}
    for event in turn.events:
        if isinstance(event, events.WorkerLost):
            found.add((event.worker_id, event.incarnation_id))
    if slices:
        found |= {
            (attempt.worker_id, attempt.incarnation_id)
            for attempt in turn.changes.attempts
            if any(attempt.worker_id.startswith(f"{slice_id}/") for slice_id in slices)
        }
    return found


def _counts(attempts: list[AttemptRecord]) -> tuple[int, int]:
    """How many attempts count as failures, and how many as losses."""
    failures = sum(one.state is TaskState.FAILED and one.stop is None for one in attempts)
    lost = sum(
        one.state is not TaskState.SUCCEEDED
        and one.stop is (StopIntent.PREEMPT if one.stop is not None else None)
        and not (one.state is TaskState.FAILED and one.stop is None)
        for one in attempts
        if one.state.is_terminal
    )
    return failures, lost


def _really(run: Run | None) -> str:
    if run is None:
        return "it never ran"
    return "it still runs" if run.end is None else f"it ended as {run.end.name}"
