"""For tests: a state with a clock turned by hand, and short names for events and questions."""

from datetime import UTC, datetime, timedelta
from typing import Any

from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.job import Job
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import AttemptRecord, TaskRecord
from iris.controller.state.retry import RetryPolicy
from iris.controller.state.views import snapshot
from iris.model.health import HealthProblem
from iris.model.ids import AttemptUid, JobId, SliceId, WorkerId, task_id
from iris.model.job import Entrypoint, ExistingJobPolicy, Gang, JobSpec
from iris.model.priority import PriorityBand
from iris.model.resources import GIB, Resources
from iris.model.states import JobState, TaskState
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.snapshot import Snapshot

START = datetime(2026, 1, 1, tzinfo=UTC)
JOB = JobId("/alice/job")
WORKER_TOTAL = Resources(cpu_millis=4000, memory_bytes=8 * GIB)
TASK = Resources(cpu_millis=1000, memory_bytes=GIB)


def spec(
    replicas: int = 1,
    *,
    gang: bool = False,
    failures: int = 0,
    preemptions: int = 100,
    resources: Resources = TASK,
    band: PriorityBand = PriorityBand.INTERACTIVE,
    **more: Any,
) -> JobSpec:
    """A small job."""
    return JobSpec(
        entrypoint=Entrypoint(("true",)),
        resources=resources,
        replicas=replicas,
        gang=Gang("slice-id") if gang else None,
        max_retries_failure=failures,
        max_retries_preemption=preemptions,
        priority=band,
        **more,
    )


class Scenario:
    """Drives one state. Attempt 1 of task 0 of a job is named `<job>/0.1`."""

    def __init__(self, retry: RetryPolicy | None = None) -> None:
        self.retry = retry
        self.state = ControllerState(retry)
        self.now = START
        self.log: list[events.Event] = []

    def apply(self, event: events.Event) -> Effects:
        """Applies it and remembers it if it was taken."""
        effects = self.state.apply(event)
        self.log.append(event)
        return effects

    def pass_time(self, seconds: float) -> Effects:
        """Moves the clock and does what is due."""
        self.now += timedelta(seconds=seconds)
        return self.apply(events.TimePassed(self.now))

    def submit(
        self,
        what: JobSpec,
        job_id: str = JOB,
        *,
        policy: ExistingJobPolicy = ExistingJobPolicy.ERROR,
        request_id: str = "",
    ) -> Effects:
        """A job."""
        return self.apply(events.JobSubmitted(self.now, JobId(job_id), what, request_id, policy))

    def terminate(self, reason: str = "", job_id: str = JOB) -> Effects:
        """A user ends it."""
        return self.apply(events.TerminateRequested(self.now, JobId(job_id), reason))

    def attach(
        self,
        worker: str,
        *,
        incarnation: str = "one",
        slice_id: str = "s1",
        running: tuple[str, ...] = (),
        ended: tuple[str, ...] = (),
        total: Resources = WORKER_TOTAL,
        problems: tuple[HealthProblem, ...] = (),
    ) -> Effects:
        """A worker dials in."""
        return self.apply(
            events.WorkerAttached(
                at=self.now,
                worker_id=WorkerId(worker),
                incarnation_id=incarnation,
                slice_id=SliceId(slice_id),
                scale_group="cpu",
                total=total,
                attributes=(("slice-id", slice_id),),
                host="127.0.0.1",
                isolation="none",
                version="1",
                running=tuple(AttemptUid(uid) for uid in running),
                ended=tuple(AttemptUid(uid) for uid in ended),
                jitter=0.5,
                problems=problems,
            )
        )

    def detach(self, worker: str, incarnation: str = "one") -> Effects:
        """Its stream breaks."""
        return self.apply(events.WorkerDetached(self.now, WorkerId(worker), incarnation))

    def lose(self, worker: str, incarnation: str = "one") -> Effects:
        """It is given up."""
        return self.apply(
            events.WorkerLost(self.now, WorkerId(worker), incarnation, f"{worker} was silent", 0.5)
        )

    def assign(self, *places: tuple[int, str], job_id: str = JOB) -> Effects:
        """Tasks (index, worker) of a job are placed at once."""
        return self.apply(
            events.TasksAssigned(
                self.now,
                tuple(
                    events.Assignment(
                        task_id(JobId(job_id), index),
                        WorkerId(worker),
                        self.next_uid(index, job_id),
                    )
                    for index, worker in places
                ),
            )
        )

    def preempt(self, *uids: str, for_job: str = "/bob/urgent") -> Effects:
        """These attempts have to make room."""
        return self.apply(
            events.TasksPreempted(
                self.now,
                tuple(events.Preempted(AttemptUid(uid), JobId(for_job)) for uid in uids),
            )
        )

    def prune(self, *job_ids: str) -> Effects:
        """These jobs are forgotten."""
        return self.apply(events.JobsPruned(self.now, tuple(JobId(job_id) for job_id in job_ids)))

    def restored(self) -> "Scenario":
        """Another one, that goes on from what of this one is stored."""
        jobs = sorted(self.state.jobs.newest_first(), key=lambda job: job.record.number)
        other = Scenario(self.retry)
        other.now = self.now
        other.state.restore(
            [job.record for job in jobs],
            {job.job_id: list(job.tasks.touched()) for job in jobs},
            [
                attempt
                for job in jobs
                for index in range(len(job.tasks))
                for attempt in self.state.jobs.attempts_of(job, index)
            ],
            [worker.record for worker in self.state.fleet],
            self.now,
            self.state.jobs.next_number,
        )
        return other

    def shown(self) -> Snapshot:
        """What the scheduler sees."""
        return snapshot(self.state, self.now, SchedulingPolicy())

    def next_uid(self, index: int, job_id: str = JOB) -> AttemptUid:
        """What the task's next attempt will be called."""
        return AttemptUid(f"{job_id}/{index}.{self.task(index, job_id).attempts}")

    def uid(self, index: int, job_id: str = JOB) -> AttemptUid:
        """The task's latest attempt."""
        uid = self.task(index, job_id).attempt_uid
        assert uid is not None
        return uid

    def observe(
        self,
        uid: str,
        state: TaskState,
        *,
        worker: str = "",
        incarnation: str = "",
        exit_code: int | None = None,
        error: str = "",
        jitter: float = 0.5,
    ) -> Effects:
        """The attempt's worker (or another) reports it."""
        attempt = self.state.jobs.attempt(AttemptUid(uid))
        return self.apply(
            events.AttemptObserved(
                self.now,
                WorkerId(worker or (attempt.worker_id if attempt else "")),
                incarnation or (attempt.incarnation_id if attempt else "one"),
                events.Observation(
                    AttemptUid(uid),
                    state,
                    exit_code=exit_code,
                    error=error,
                    started_at=None if state is TaskState.BUILDING else self.now,
                ),
                jitter,
            )
        )

    def run(self, *indices: int, job_id: str = JOB) -> None:
        """The latest attempts of these tasks begin to run."""
        for index in indices:
            self.observe(self.uid(index, job_id), TaskState.RUNNING)

    def end(
        self, index: int, state: TaskState, job_id: str = JOB, exit_code: int | None = None
    ) -> Effects:
        """The task's latest attempt ends."""
        return self.observe(self.uid(index, job_id), state, exit_code=exit_code)

    def job(self, job_id: str = JOB) -> Job:
        """A job that is there."""
        job = self.state.jobs.get(JobId(job_id))
        assert job is not None
        return job

    def task(self, index: int, job_id: str = JOB) -> TaskRecord:
        """A task that is there."""
        return self.job(job_id).tasks[index]

    def attempt(self, uid: str) -> AttemptRecord:
        """An attempt that is there."""
        attempt = self.state.jobs.attempt(AttemptUid(uid))
        assert attempt is not None
        return attempt

    def states(self, job_id: str = JOB) -> list[TaskState]:
        """Of the job's tasks, by index."""
        return [task.state for task in self.job(job_id).tasks]

    def job_state(self, job_id: str = JOB) -> JobState:
        """Of the job."""
        return self.job(job_id).record.state

    def free(self, worker: str) -> Resources:
        """On a worker that is there."""
        found = self.state.fleet.get(WorkerId(worker))
        assert found is not None
        return found.free
