"""Does work go where it may, wait for a reason, and make way for what is more urgent?"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from iris.client import AttemptView, JobView
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.errors import IrisError
from iris.model.fleet import ATTRIBUTE_SLICE
from iris.model.ids import JobId
from iris.model.job import Gang
from iris.model.pending import PendingCode
from iris.model.priority import PriorityBand
from iris.model.states import JobState, TaskState
from iris.smoke.case import Case, CheckFailed, check, check_equal
from iris.smoke.context import CaseContext
from iris.smoke.groups import ONE, PREEMPTED, ROUTED, tolerant
from iris.smoke.needs import group_need

_NO_GRACE = timedelta(0)
_TAKEN = (PendingCode.CAPACITY_LIMIT, PendingCode.INSUFFICIENT_RESOURCE)


async def constraint_routing(context: CaseContext) -> None:
    """A job that asks for an attribute runs on a worker that has it, and on no other."""
    ssd = Constraint("smoke-disk", ConstraintOp.EQ, ("ssd",))
    spec = tolerant(replace(context.program("identify.py"), constraints=(ssd,)))
    job = await context.run_to_success(spec)
    worker = job.tasks[0].attempts[-1].worker_id
    check(worker.startswith(f"{ROUTED.name}-"), f"a worker of {ROUTED.name}", worker)
    context.saw("routed to", f"{worker} by {ssd}")


async def unschedulable_explained(context: CaseContext) -> None:
    """What can never run is refused with the reason; what waits too long ends, with the reason."""
    nowhere = Constraint("smoke-nowhere", ConstraintOp.EXISTS)
    spec = replace(context.program("hello.py"), constraints=(nowhere,))
    try:
        await context.launch(spec, suffix="never")
    except IrisError as refusal:
        check(nowhere.attribute in str(refusal), "a refusal that names the attribute", refusal)
        context.saw("refused", refusal)
    else:
        raise CheckFailed(f"a job that needs {nowhere} was accepted")
    # Fits, but the only place is taken.
    async with context.running(ONE.only(context.program("hold.py")), suffix="holder"):
        late = replace(
            ONE.only(context.program("hello.py")), scheduling_timeout=timedelta(seconds=1)
        )
        job_id = await context.launch(late, suffix="late")
        reason = await _reason(context, job_id)
        job = await context.client.wait(job_id)
    check_equal(job.state, JobState.UNSCHEDULABLE, "the state of what waited in vain")
    check_equal(job.tasks[0].attempts, (), "its attempts")
    check(job.error, "an error that says why", job)
    context.saw("waited in vain", "; ".join(filter(None, (reason, job.error))))


async def _reason(context: CaseContext, job_id: JobId) -> str:
    """Why it waits, once that is known; empty if its time was over before."""
    while True:
        told = await context.client.explain(job_id)
        codes = [one.reason.code for one in told.waiting]
        if codes and codes[0] is not PendingCode.WAITING_FOR_SCHEDULER:
            # The place is taken, or no further one may be bought: either is the truth.
            check(codes[0] in _TAKEN, "a reason that says the place is taken", told.summary)
            return codes[0].value
        if told.state.is_terminal:
            return ""
        await asyncio.sleep(0.02)


async def gang_preemption(context: CaseContext) -> None:
    """An urgent gang takes the place of a whole batch gang, which comes back when it is done."""
    pair = replace(
        PREEMPTED.only(context.program("hold.py", "0.4")),
        replicas=PREEMPTED.vms,
        gang=Gang(ATTRIBUTE_SLICE),
        stop_grace=_NO_GRACE,
    )
    patient = PREEMPTED.only(context.program("hold_once.py"))
    batch = await context.launch(
        replace(
            patient,
            replicas=PREEMPTED.vms,
            gang=Gang(ATTRIBUTE_SLICE),
            stop_grace=_NO_GRACE,
            priority=PriorityBand.BATCH,
        ),
        suffix="batch",
    )
    await context.until(lambda: _all_running(context, batch, PREEMPTED.vms))
    urgent = await context.run_to_success(
        replace(pair, priority=PriorityBand.PRODUCTION), suffix="urgent"
    )
    job = await context.succeeded(batch)
    for task in job.tasks:
        ends = [attempt.state for attempt in task.attempts]
        check_equal(ends, [TaskState.PREEMPTED, TaskState.SUCCEEDED], f"attempts of {task.task_id}")
    first_again = min(_started(job, 1))
    last_urgent = max(attempt.finished_at for attempt in _last(urgent) if attempt.finished_at)
    check(first_again >= last_urgent, "the batch gang back after the urgent one", first_again)
    context.saw("preempted", f"all {len(job.tasks)} tasks of {batch}")


def _last(job: JobView) -> list[AttemptView]:
    return [task.attempts[-1] for task in job.tasks]


def _started(job: JobView, number: int) -> list[datetime]:
    times = [task.attempts[number].assigned_at for task in job.tasks]
    return [at for at in times if at is not None]


async def _all_running(context: CaseContext, job_id: JobId, tasks: int) -> bool:
    job = await context.client.get(job_id)
    check(not job.state.is_terminal, f"{job_id} to run", f"{job.state.value}: {job.error}")
    return job.count(TaskState.RUNNING) == tasks


SCHEDULING_CASES = (
    Case(
        "constraint-routing",
        "A constraint decides where a job runs.",
        constraint_routing,
        needs=frozenset({group_need(ROUTED)}),
    ),
    Case(
        "unschedulable-explained",
        "What cannot run says why.",
        unschedulable_explained,
        needs=frozenset({group_need(ONE)}),
    ),
    Case(
        "gang-preemption",
        "An urgent gang takes the place of a whole batch gang.",
        gang_preemption,
        needs=frozenset({group_need(PREEMPTED)}),
    ),
)
