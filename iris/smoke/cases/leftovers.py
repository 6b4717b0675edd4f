"""What is left once the work is done: first no slices, then, after the cluster was stopped, nothing at all."""

from iris.smoke.case import Case, Phase, check
from iris.smoke.context import CaseContext
from iris.smoke.groups import SPARE
from iris.smoke.needs import STARTED_HERE


async def slices_go_back(context: CaseContext) -> None:
    """With nothing to do, every group shrinks to its min_slices and no attempt or reservation is left."""
    bought = {
        decision.slice_id
        for decision in (await context.client.cluster_status()).decisions
        if decision.slice_id
    }
    check(bought, "slices that were bought during the flow", bought)

    async def all_back() -> bool:
        status = await context.client.cluster_status()
        return all(
            len(group.slices) <= group.min_slices + (group.name == SPARE.name)
            for group in status.groups
        )

    await context.until(all_back)
    status = await context.client.cluster_status()
    check(status.tasks_running == 0 and status.tasks_pending == 0, "no task left", status)
    context.saw("given back", ", ".join(sorted(bought)))


SETTLE_CASES = (
    Case(
        "slices-go-back",
        "Idle slices are given back, down to min_slices.",
        slices_go_back,
        Phase.SETTLE,
        frozenset({STARTED_HERE}),
    ),
)
