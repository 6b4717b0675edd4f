"""Do slices come when there is work, stay where some are to be spare, and go when there is none?"""

from dataclasses import replace

from iris.client import DecisionView
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import Slice, VmState
from iris.smoke.case import Case, check, check_equal
from iris.smoke.context import CaseContext
from iris.smoke.groups import QUOTA_FIRST, QUOTA_SECOND, SPARE, ZERO, SmokeGroup, tolerant
from iris.smoke.needs import group_need


async def scale_from_and_to_zero(context: CaseContext) -> None:
    """A group without slices gets one for a job, and gives it back once it is idle."""
    check_equal(await slices_of(context, ZERO), (), "slices before there is work")
    job = await context.run_to_success(ZERO.only(context.program("identify.py")))
    worker = job.tasks[0].attempts[-1].worker_id
    slice_id = worker.rpartition("/")[0]
    bought = await decisions_on(context, slice_id)
    check_equal([one.action for one in bought[:1]], ["scale up"], f"what was decided on {slice_id}")
    context.saw("bought", bought[0].summary or f"{bought[0].action}: {bought[0].reason}")

    async def none_left() -> bool:
        return not await slices_of(context, ZERO)

    await context.until(none_left, every=0.05)
    last = (await decisions_on(context, slice_id))[-1]
    check_equal((last.action, last.reason), ("scale down", "idle"), "the last decision")
    context.saw("given back", last.summary or f"{last.action}: {last.reason}")


async def spare_slices(context: CaseContext) -> None:
    """One slice is ready before anybody asks; a job gets it at once, and the next one comes."""
    spare = await _ready(context, 1)
    job_id = await context.launch(SPARE.only(context.program("hold.py")))
    await context.first_line(job_id, "^ready")
    attempt = (await context.client.get(job_id)).tasks[0].attempts[-1]
    check_equal(attempt.worker_id.rpartition("/")[0], spare[0].slice_id, "the slice it runs on")
    both = await _ready(context, 2)
    check(spare[0].slice_id in {one.slice_id for one in both}, "the first slice, still there", both)
    await context.client.terminate(job_id, "smoke: seen enough")
    await context.client.wait(job_id)
    workers = (await context.client.cluster_status()).workers
    contained = {one.isolation for one in workers if one.scale_group == SPARE.name}
    context.saw("spare", f"{spare[0].slice_id} taken at once")
    context.saw("tasks there are contained by", "; ".join(sorted(contained)))
    context.saw("then", ", ".join(sorted(one.slice_id for one in both)))


async def quota_refused(context: CaseContext) -> None:
    """The group that comes first has none to give. The job runs in the next one, and both are told."""
    quota = Constraint("smoke-quota", ConstraintOp.EXISTS)
    await _ready(context, 1)  # of the spare group: it holds a part of what the first one would need
    job_id = await context.launch(
        tolerant(replace(context.program("identify.py"), constraints=(quota,)))
    )
    # It says so for a while, and is then asked again.
    problem = await context.until(lambda: _problem(context))
    job = await context.succeeded(job_id)
    worker = job.tasks[0].attempts[-1].worker_id
    check(worker.startswith(f"{QUOTA_SECOND.name}-"), f"a worker of {QUOTA_SECOND.name}", worker)
    check_equal(await slices_of(context, QUOTA_FIRST), (), f"slices of {QUOTA_FIRST.name}")
    context.saw("refused", problem)
    context.saw("ran on", worker)


async def _problem(context: CaseContext) -> str:
    groups = (await context.client.cluster_status()).groups
    return next(one.problem for one in groups if one.name == QUOTA_FIRST.name)


async def _ready(context: CaseContext, count: int) -> tuple[Slice, ...]:
    async def enough() -> tuple[Slice, ...]:
        ready = [one for one in await slices_of(context, SPARE) if one.state is VmState.READY]
        return tuple(ready) if len(ready) >= count else ()

    found: tuple[Slice, ...] = await context.until(enough)
    return found


async def slices_of(context: CaseContext, group: SmokeGroup) -> tuple[Slice, ...]:
    """Those that the group has now."""
    groups = (await context.client.cluster_status()).groups
    return next(one.slices for one in groups if one.name == group.name)


async def decisions_on(context: CaseContext, slice_id: str) -> list[DecisionView]:
    """What the autoscaler has decided about a slice, oldest first."""
    decisions = (await context.client.cluster_status()).decisions
    return [one for one in decisions if one.slice_id == slice_id]


SCALING_CASES = (
    Case(
        "quota-refused",
        "Where one group has none to give, the next one is asked.",
        quota_refused,
        needs=frozenset({group_need(QUOTA_FIRST), group_need(QUOTA_SECOND), group_need(SPARE)}),
    ),
    Case(
        "scale-from-and-to-zero",
        "Slices come for work and go without it.",
        scale_from_and_to_zero,
        needs=frozenset({group_need(ZERO)}),
    ),
    Case(
        "spare-slices",
        "A spare slice is there before it is needed.",
        spare_slices,
        needs=frozenset({group_need(SPARE)}),
    ),
)
