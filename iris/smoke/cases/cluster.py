"""Does the cluster answer, and only to those who may ask?"""

from iris.client import Client
from iris.model.errors import Unauthenticated
from iris.smoke.case import Case, CheckFailed, Phase, check
from iris.smoke.context import PATIENCE, CaseContext


async def boot_and_health(context: CaseContext) -> None:
    """The controller serves, says what it is, and has the groups its configuration names."""
    health = await context.client.health(PATIENCE)
    check(health.healthy, "a healthy controller", health.problem)
    status = await context.client.cluster_status()
    check(status.groups, "at least one scale group", status.groups)
    context.saw("health", f"{health.cluster} {health.version} at {context.cluster.address}")
    context.saw("groups", ", ".join(f"{group.name} ({group.platform})" for group in status.groups))


async def refused_without_token(context: CaseContext) -> None:
    """Nobody gets an answer without the cluster's token, except about health."""
    for token in ("", "wrong"):
        async with Client.connect(context.cluster.address, token) as stranger:
            check((await stranger.health(PATIENCE)).healthy, "health without a token")
            try:
                await stranger.list_jobs()
            except Unauthenticated as refusal:
                context.saw(f"token {token!r}", refusal)
            else:
                raise CheckFailed(f"ListJobs answered a caller whose token is {token!r}")


CLUSTER_CASES = (
    Case(
        "boot-and-health",
        "The cluster is up and answers a real health call.",
        boot_and_health,
        Phase.BOOT,
    ),
    Case("refused-without-token", "Callers without the token are refused.", refused_without_token),
)
