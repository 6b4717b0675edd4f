"""Jobs that come, under names that may be taken, and jobs that are forgotten.

The parent of a job has to be there: a name below one that nobody knows is a mistake. It must not
have ended, nor be about to, because its children end with it: the child would be submitted only to
be terminated. A child that outlives its parent may come after the parent's end as well, as long as
the parent is not forgotten.
"""

from iris.controller.state import events
from iris.controller.state.deadlines import Deadlines, Limit
from iris.controller.state.effects import Effects
from iris.controller.state.job import Job
from iris.controller.state.jobs import JobTable
from iris.controller.state.records import JobRecord
from iris.model.errors import AlreadyExists, FailedPrecondition, Internal, NotFound
from iris.model.ids import JobId, parent_of
from iris.model.job import ExistingJobPolicy, JobSpec


class Submissions:
    """For one table of jobs."""

    def __init__(self, jobs: JobTable, deadlines: Deadlines) -> None:
        self._jobs = jobs
        self._deadlines = deadlines

    def submit(self, event: events.JobSubmitted, effects: Effects) -> None:
        """Takes a job, or does nothing if it is there already.

        Raises AlreadyExists or FailedPrecondition (the name is taken), NotFound (there is no
        parent); nothing has changed then.
        """
        known = self._jobs.get(event.job_id)
        if known is not None and not _takes_its_place(event, known):
            return
        self._check_parent(event.job_id, event.spec)
        if known is not None:
            self._forget(known, effects)
        job = self._jobs.add(
            JobRecord(
                event.job_id,
                self._jobs.next_number,
                event.spec,
                event.at,
                version=1,
                request_id=event.request_id,
            )
        )
        self._deadlines.watch(job, Limit.SCHEDULING_TIMEOUT)
        effects.submitted[event.job_id] = None
        effects.jobs[event.job_id] = None
        effects.reschedule = True

    def prune(self, event: events.JobsPruned, effects: Effects) -> None:
        """Forgets jobs. Raises Internal for one that has not ended, or is survived by a child."""
        going = set(event.job_ids)
        for job_id in event.job_ids:
            job = self._jobs.get(job_id)
            if job is None or not job.record.state.is_terminal:
                raise Internal(f"{job_id} was to be forgotten and has not ended.")
            if any(child.job_id not in going for child in self._jobs.children_of(job_id)):
                raise Internal(f"{job_id} was to be forgotten before its children.")
        for job_id in event.job_ids:
            job = self._jobs.get(job_id)
            if job is not None:
                self._jobs.forget(job, effects)

    def _forget(self, job: Job, effects: Effects) -> None:
        """A job that another takes the place of, and what has ended below it. A child that outlives
        it stays, and is the new one's from now on.
        """
        for child in self._jobs.children_of(job.job_id):
            self._forget_ended(child, effects)
        self._jobs.forget(job, effects)

    def _forget_ended(self, job: Job, effects: Effects) -> None:
        """A job and its descendants, but for those that have not ended and who is above them."""
        for child in self._jobs.children_of(job.job_id):
            self._forget_ended(child, effects)
        if job.record.state.is_terminal and not self._jobs.children_of(job.job_id):
            self._jobs.forget(job, effects)

    def _check_parent(self, job_id: JobId, spec: JobSpec) -> None:
        parent_id = parent_of(job_id)
        if parent_id is None:
            return
        parent = self._jobs.get(parent_id)
        if parent is None:
            raise NotFound(
                f"{job_id} would be a child of {parent_id}, which is not there.",
                hint="Submit the parent first, or choose a name of the form /user/job.",
            )
        if parent.is_ending and not spec.outlives_parent:
            ends = "has ended" if parent.record.state.is_terminal else "is being ended"
            raise FailedPrecondition(
                f"{job_id} would be a child of {parent_id}, which {ends}.",
                hint="Submit children while their parent runs, or say that they outlive it.",
            )


def _takes_its_place(event: events.JobSubmitted, known: Job) -> bool:
    """Whether the job replaces the one of that name; False: it is that one. Raises what speaks
    against both.
    """
    record = known.record
    if event.request_id and event.request_id == record.request_id:
        return False  # the same request again
    ended = record.state.is_terminal
    match event.policy:
        case ExistingJobPolicy.KEEP:
            return ended
        case ExistingJobPolicy.REPLACE:
            if not ended:
                raise FailedPrecondition(
                    f"{event.job_id} has not ended.", hint="End it, then submit the new one."
                )
            return True
        case ExistingJobPolicy.ERROR:
            if record.spec == event.spec:
                return False
            raise AlreadyExists(
                f"There is a job {event.job_id} already, and it is a different one.",
                hint="Choose another name, or say that the old one is to be kept or replaced.",
            )
