"""The scale groups that the flow adds to a cluster of its own, one for each kind of disturbance.

A case that preempts, kills, fills or refuses must not do that to the cases beside it. So each such
case has a group that nobody else can use: its workers have a taint that only the case's jobs
tolerate. They are added to whatever configuration the flow starts a local cluster from, which is
why on a local cluster no case is ever skipped. A cluster that is there already has them only if its
configuration names groups like these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from iris_proto import config_pb2

from iris.config import scale_groups_of
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import ATTRIBUTE_SCALE_GROUP
from iris.model.job import JobSpec
from iris.model.resources import MIB, Resources
from iris.model.taints import Toleration

TAINT = "smoke"

# How many tasks of this size a VM of the flow's has room for.
TASK = Resources(cpu_millis=250, memory_bytes=32 * MIB)
# A task whose Python has gRPC in it.
IMPORTING_TASK = Resources(cpu_millis=1000, memory_bytes=128 * MIB)


@dataclass(frozen=True, slots=True)
class SmokeGroup:
    """One of the flow's own scale groups.

    Attributes:
        tasks: How many tasks one VM has room for.
        task: Their size.
        process: Its workers are processes of their own.
        tpu: Its accelerator variant, which then says how many VMs there are.
    """

    name: str
    vms: int = 1
    min_slices: int = 0
    max_slices: int = 1
    buffer_slices: int = 0
    tasks: int = 1
    task: Resources = TASK
    priority: int = 1_000
    process: bool = False
    tpu: str = ""
    attributes: Mapping[str, str] | None = None

    @property
    def resources(self) -> Resources:
        """Of one VM."""
        return replace(self.task * self.tasks, disk_bytes=16 * MIB)

    def only(self, spec: JobSpec) -> JobSpec:
        """The same job on this group's workers and no others."""
        here = Constraint(ATTRIBUTE_SCALE_GROUP, ConstraintOp.EQ, (self.name,))
        return tolerant(replace(spec, constraints=(*spec.constraints, here)))


def tolerant(spec: JobSpec) -> JobSpec:
    """The same job, which may run on the flow's own groups."""
    return replace(spec, tolerations=(*spec.tolerations, Toleration(TAINT)))


ONE = SmokeGroup("smoke-one")  # room for one task and no more
ROUTED = SmokeGroup("smoke-routed", attributes={"smoke-disk": "ssd"})
ZERO = SmokeGroup("smoke-zero")
SPARE = SmokeGroup("smoke-spare", max_slices=2, buffer_slices=1)
PREEMPTED = SmokeGroup("smoke-preempted", vms=2)
MACHINES = SmokeGroup("smoke-machines", vms=2, process=True)
PROCESS = SmokeGroup("smoke-process", process=True, tasks=2)
TAKEN = SmokeGroup("smoke-taken")
# Nobody buys these: a worker joins each by a link that the case controls.
SLOW_LINK = SmokeGroup("smoke-slow-link")
LOSSY_LINK = SmokeGroup("smoke-lossy-link", tasks=2)
# The first worker of it joins likewise, and falls ill.
ILL = SmokeGroup("smoke-ill")
HELD_UP = SmokeGroup("smoke-held-up", max_slices=3)
CHECKPOINT = SmokeGroup("smoke-checkpoint", task=IMPORTING_TASK)
INSIDE = SmokeGroup("smoke-inside", tasks=6, task=IMPORTING_TASK)
# The first is asked for first, and has none to give: one slice of it takes all that the machine lends, of which the
# spare slice has a part already.
QUOTA_FIRST = SmokeGroup("smoke-quota-first", priority=1_000, attributes={"smoke-quota": "yes"})
QUOTA_SECOND = SmokeGroup("smoke-quota-second", priority=1_001, attributes={"smoke-quota": "yes"})

SMOKE_GROUPS = (
    ONE, ROUTED, ZERO, SPARE, PREEMPTED, MACHINES, PROCESS, TAKEN, SLOW_LINK, LOSSY_LINK,
    ILL, HELD_UP, CHECKPOINT, INSIDE, QUOTA_FIRST, QUOTA_SECOND,
)  # fmt: skip

# What a gang of four runs on. Many clusters have a group like this of their own.
GANG_VARIANT = "v5litepod-16"
GANG = SmokeGroup("smoke-gang", tpu=GANG_VARIANT)

_IDLE = timedelta(seconds=1)


def with_smoke_groups(config: config_pb2.ClusterConfig) -> config_pb2.ClusterConfig:
    """The same local cluster with the flow's groups, slices that go back soon, and faults on request; `config` is
    left as it is.

    The machine then lends as much as all groups can hold together: most of the flow's tasks wait, and
    what they may really use has bounds of its own.
    """
    mine = config_pb2.ClusterConfig()
    mine.CopyFrom(config)
    mine.controller_vm.local.fault_injection = True
    if mine.autoscaler.idle_timeout.ToTimedelta() > _IDLE:
        mine.autoscaler.idle_timeout.FromTimedelta(_IDLE)
    has_gang = any(one.accelerator_variant == GANG_VARIANT for one in mine.scale_groups.values())
    for group in (*SMOKE_GROUPS, *(() if has_gang else (GANG,))):
        _add(mine, group)
    _lend_enough(mine)
    return mine


def _lend_enough(config: config_pb2.ClusterConfig) -> None:
    machine = config.controller_vm.local.machine
    machine.oversubscribe = False
    machine.cpu = machine.memory = machine.disk = 0
    for group in scale_groups_of(config):
        most = group.vm * (group.vms_per_slice * group.max_slices)
        machine.cpu += most.cpu_millis
        machine.memory += most.memory_bytes
        machine.disk += most.disk_bytes
    everything = config.scale_groups[QUOTA_FIRST.name].vm
    everything.cpu, everything.memory = machine.cpu, machine.memory
    everything.disk = machine.disk


def _add(config: config_pb2.ClusterConfig, group: SmokeGroup) -> None:
    added = config.scale_groups[group.name]
    hosting = config_pb2.SUBPROCESS if group.process else config_pb2.IN_PROCESS
    added.provider.local.workers = hosting
    resources = group.resources
    added.vm.cpu, added.vm.memory = resources.cpu_millis, resources.memory_bytes
    added.vm.disk, added.vm.ports = resources.disk_bytes, 16
    if group.tpu:
        added.accelerator_type, added.accelerator_variant = "tpu", group.tpu
    else:
        added.vms_per_slice = group.vms
    added.min_slices, added.max_slices = group.min_slices, group.max_slices
    added.buffer_slices = group.buffer_slices
    added.priority = group.priority
    added.attributes.update(group.attributes or {})
    added.taints[TAINT] = group.name
    for section in ("ssh", "bootstrap", "timeouts"):
        getattr(added, section).CopyFrom(getattr(config, section))
