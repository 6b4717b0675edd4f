"""What cases may need of a cluster, by the names that reports use, and how it is found out."""

from iris.client import Client
from iris.smoke.context import Cluster
from iris.smoke.groups import GANG_VARIANT, SMOKE_GROUPS, SmokeGroup

GANG_OF_FOUR = "gang of four"
LOCAL_PROCESSES = "processes on this machine"
STARTED_HERE = "controller that the flow may stop"
KEPT_STATE = "state folder on this machine"
FAULT_INJECTION = "fault injection"


def group_need(group: SmokeGroup) -> str:
    """That the cluster has this group of the flow's."""
    return f"scale group {group.name}"


async def what_it_offers(cluster: Cluster, client: Client) -> frozenset[str]:
    """What cases may count on: known of the cluster, and found by asking it."""
    status = await client.cluster_status()
    groups, found = status.groups, set(cluster.offers)
    if status.fault_injection:
        found.add(FAULT_INJECTION)
    if any(group.accelerator_variant == GANG_VARIANT and group.max_slices for group in groups):
        found.add(GANG_OF_FOUR)
    names = {group.name for group in groups}
    found.update(group_need(group) for group in SMOKE_GROUPS if group.name in names)
    return frozenset(found)
