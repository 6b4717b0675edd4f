"""What others are shown of the state: the scheduler's snapshot, the autoscaler's fleet, and why a
task waits.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice

from iris.autoscaler.demand import Demand, SliceOccupancy
from iris.controller.state.fleet import Fleet
from iris.controller.state.jobs import Job, JobTable
from iris.model.ids import JobId, SliceId, task_id
from iris.model.pending import PendingCode, PendingReason
from iris.scheduler.snapshot import PendingJob, ReadyTask, Snapshot

# Of a job without a gang, the scheduler is shown so many tasks at once. They all ask for the same:
# if one of these finds no place, none behind them does, and if all find one, the next turn shows
# more.
TASKS_IN_VIEW = 4096


def snapshot(jobs: JobTable, fleet: Fleet) -> Snapshot:
    """Workers, and jobs with ready tasks in the order in which they were submitted."""
    waiting = sorted(jobs.startable, key=lambda job: job.record.number)
    return Snapshot(
        workers=tuple(fleet.view(worker) for worker in fleet),
        jobs=tuple(_pending(job) for job in waiting),
    )


def _pending(job: Job) -> PendingJob:
    if job.pending_view is None:
        shown: Iterable[int] = job.ready if job.is_gang else islice(job.ready, TASKS_IN_VIEW)
        spec = job.record.spec
        job.pending_view = PendingJob(
            job_id=job.job_id,
            resources=spec.resources,
            constraints=spec.constraints,
            gang=spec.gang,
            # A gang's order is that of its indices, whatever order its members came back in.
            tasks=tuple(
                _ready_task(job, index) for index in (sorted(shown) if job.is_gang else shown)
            ),
        )
    return job.pending_view


def _ready_task(job: Job, index: int) -> ReadyTask:
    return ReadyTask(task_id(job.job_id, index), frozenset(job.tasks[index].avoid))


def demand_of(job: Job, tasks: int) -> Demand:
    """So many tasks of a job as demand for capacity."""
    spec = job.record.spec
    return Demand(job.job_id, spec.resources, spec.constraints, spec.gang, tasks)


def unmet_demand(jobs: JobTable, unplaced: Iterable[JobId]) -> tuple[Demand, ...]:
    """The demand of jobs that the scheduler could not place as a whole, also beyond what it was
    shown.
    """
    found = (jobs.get(job_id) for job_id in unplaced)
    return tuple(demand_of(job, len(job.ready)) for job in found if job is not None and job.ready)


def occupancy(fleet: Fleet) -> Mapping[SliceId, SliceOccupancy]:
    """Every slice that has workers."""
    return {
        slice_id: SliceOccupancy(
            workers=0 if known.draining else _connected(fleet, slice_id),
            attempts=known.attempts,
            idle_since=known.idle_since,
        )
        for slice_id, known in fleet.slices.items()
        if slice_id and known.workers
    }


def _connected(fleet: Fleet, slice_id: SliceId) -> int:
    workers = (fleet.get(worker_id) for worker_id in fleet.in_slice(slice_id))
    return sum(worker is not None and worker.connected for worker in workers)


def reason_for(
    job: Job, index: int, job_reason: PendingReason | None, now: datetime
) -> PendingReason:
    """Why a PENDING task waits; `job_reason` holds for all tasks of the job that could start."""
    task = job.tasks[index]
    if index not in job.ready and task.not_before is not None:
        seconds = max(0.0, (task.not_before - now).total_seconds())
        return PendingReason(
            PendingCode.RETRY_DELAY,
            subject=f"attempt {task.attempts}",
            nearest=f"in {seconds:.1f} s",
            hint=f"The last one: {task.error}." if task.error else "",
        )
    if job.is_gang and not job.is_startable:
        return PendingReason(
            PendingCode.GANG_INCOMPLETE,
            subject=job.record.spec.gang.group_by if job.record.spec.gang else "",
            hint="It is placed once all of its members have stopped and their delays are over.",
        )
    return job_reason or PendingReason(PendingCode.WAITING_FOR_SCHEDULER)
