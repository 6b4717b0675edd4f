"""Scenarios from a seed: a fleet, users who want too much of it, and everything that goes wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from iris.autoscaler.settings import AutoscalerSettings
from iris.controller.state.retry import RetryPolicy
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import ATTRIBUTE_PREEMPTIBLE, ATTRIBUTE_TPU_NAME, ScaleGroup
from iris.model.ids import JobId, user_of
from iris.model.job import Entrypoint, ExistingJobPolicy, Gang, JobSpec
from iris.model.priority import PriorityBand
from iris.model.resources import GIB, Resources
from iris.model.taints import Toleration
from iris.scheduler.policy import SchedulingPolicy, UserPolicy
from iris.simulation.clock import Chances
from iris.simulation.fault_plan import plan_faults
from iris.simulation.scenario import (
    DEFAULT_AUTOSCALING,
    Behaviour,
    FaultKind,
    JobPlan,
    Outcome,
    Scenario,
    Timing,
)

USERS = ("ada", "bob", "cyd", "dee", "eve", "fay")
CHIP = "tpu/v5litepod-16"
_PORTS = 100
# Users submit within this time; faults go on a little longer.
SUBMISSION_SECONDS = 420.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything.

    Attributes:
        faults: Kinds that may occur.
    """

    jobs: int = 200
    workers: int = 50
    faults: frozenset[FaultKind] = frozenset(FaultKind)


def scenario_of(seed: int, size: Size | None = None) -> Scenario:
    """Always the same for the same arguments."""
    size = size or Size()
    chances = Chances(seed)
    groups = _with_buffers(fleet(size.workers), chances.of("buffers"))
    jobs = tuple(_job(number, chances) for number in range(size.jobs))
    return Scenario(
        seed=seed,
        groups=groups,
        jobs=_with_children(jobs, chances),
        faults=plan_faults(chances, size.faults, SUBMISSION_SECONDS * 1.2),
        policy=_policy(chances.of("policy")),
        timing=Timing(turn=chances.of("timing").choice((0.4, 0.8, 1.5))),
        retry=RetryPolicy(
            base=timedelta(seconds=1), longest=timedelta(seconds=30), job_minimum=60, job_factor=10
        ),
        autoscaling=_autoscaling(chances.of("autoscaling")),
    )


def fleet(workers: int) -> tuple[ScaleGroup, ...]:
    """Groups that can have about so many workers in all: plain machines, large ones, tainted ones that
    are taken back at any time, pairs, and TPU pods of four.
    """

    def share(part: float, vms: int) -> int:
        return max(1, round(workers * part / vms))

    return (
        ScaleGroup(
            "cpu",
            "simulated",
            Resources(8_000, 32 * GIB, 100 * GIB, ports=_PORTS),
            max_slices=share(0.24, 1),
            min_slices=1,
            attributes=(("zone", "a"), ("disk", "ssd"), ("generation", "2")),
        ),
        ScaleGroup(
            "large",
            "simulated",
            Resources(32_000, 128 * GIB, 500 * GIB, ports=_PORTS),
            max_slices=share(0.08, 1),
            priority=200,
            attributes=(("zone", "b"), ("generation", "3")),
        ),
        ScaleGroup(
            "spot",
            "simulated",
            Resources(8_000, 32 * GIB, 100 * GIB, ports=_PORTS),
            max_slices=share(0.2, 1),
            preemptible=True,
            priority=50,
            attributes=(("taint/spot", "true"), ("zone", "a"), ("generation", "1")),
        ),
        ScaleGroup(
            "pair",
            "simulated",
            Resources(16_000, 64 * GIB, 100 * GIB, ports=_PORTS),
            vms_per_slice=2,
            max_slices=share(0.16, 2),
            attributes=(("zone", "b"), ("network", "fast"), ("generation", "3")),
        ),
        ScaleGroup(
            "pod",
            "simulated",
            Resources(16_000, 64 * GIB, 100 * GIB, ((CHIP, 4),), _PORTS),
            vms_per_slice=4,
            max_slices=share(0.32, 4),
            accelerator_type="tpu",
            accelerator_variant="v5litepod-16",
            preemptible=True,
            attributes=(("zone", "c"),),
        ),
    )


def _with_buffers(groups: tuple[ScaleGroup, ...], chance: Random) -> tuple[ScaleGroup, ...]:
    """Every third fleet keeps something ready."""
    if chance.random() < 2 / 3:
        return groups
    return tuple(
        replace(group, buffer_slices=min(chance.choice((0, 1, 2)), group.max_slices))
        for group in groups
    )


def _autoscaling(chance: Random) -> AutoscalerSettings:
    """Every third controller asks for few slices at a time."""
    if chance.random() < 2 / 3:
        return DEFAULT_AUTOSCALING
    return replace(
        DEFAULT_AUTOSCALING,
        launches_per_minute=chance.choice((20, 60)),
        launch_batch=chance.choice((1, 5, 20)),
        max_parallel_calls=chance.choice((2, 16)),
    )


_USERS = {
    "eve": UserPolicy(budget={"cpu": 24_000}),
    "fay": UserPolicy(budget={CHIP: 16, "cpu": 64_000}, weight=2.0),
}


def _is_within_budget(user: str, spec: JobSpec) -> bool:
    """Whether it could ever run."""
    copies = spec.replicas if spec.gang is not None else 1
    policy = _USERS.get(user, UserPolicy())
    return policy.copies_within(spec.resources, Resources(), copies) >= copies


def _policy(chance: Random) -> SchedulingPolicy:
    return SchedulingPolicy(
        users=_USERS,
        preemption=chance.random() < 0.9,
        reservation_lasts=timedelta(seconds=chance.choice((60, 180, 600))),
    )


def _job(number: int, chances: Chances) -> JobPlan:
    chance = chances.of("job", number)
    submit_at = round(chance.uniform(0.0, SUBMISSION_SECONDS), 1)
    if chance.random() < 0.4:
        # People come in waves.
        submit_at = round(submit_at / 60) * 60.0
    kind = chance.choices(
        (_single, _pod_gang, _pair_gang, _wide_gang, _hopeless), (76, 10, 8, 4, 2)
    )
    spec, behaviour = kind[0](chance, f"program-{number}")
    spec = _with_limits(spec, chance)
    user = chance.choice(USERS)
    never = kind[0] is _hopeless or not _is_within_budget(user, spec)
    cancel_at = None
    if chance.random() < 0.06 or (spec.scheduling_timeout is None and never):
        cancel_at = submit_at + round(chance.uniform(1.0, 120.0), 1)
    name = f"job-{number}"
    policy = ExistingJobPolicy.ERROR
    if chance.random() < 0.08:
        # A name that others use too.
        name = f"shared-{chance.randrange(3)}"
        policy = chance.choice(tuple(ExistingJobPolicy))
    return JobPlan(JobId(f"/{user}/{name}"), submit_at, spec, behaviour, cancel_at, policy)


def _with_children(jobs: Sequence[JobPlan], chances: Chances) -> tuple[JobPlan, ...]:
    """Some jobs become children of an earlier one of another name."""
    made: list[JobPlan] = []
    parents = [job for job in jobs if job.spec.gang is None]
    for number, job in enumerate(jobs):
        chance = chances.of("child", number)
        if chance.random() < 0.06 and parents:
            parent = chance.choice(parents)
            affordable = _is_within_budget(user_of(parent.job_id), job.spec)
            if parent is not job and parent.submit_at < job.submit_at and affordable:
                spec = replace(job.spec, outlives_parent=chance.random() < 0.4)
                job = replace(job, job_id=JobId(f"{parent.job_id}/child-{number}"), spec=spec)
        made.append(job)
    return tuple(made)


def _spec(chance: Random, program: str, resources: Resources, **more: object) -> JobSpec:
    band = chance.choices(tuple(PriorityBand), (15, 45, 40))[0]
    return JobSpec(
        Entrypoint((program,)),
        resources,
        max_retries_failure=chance.choices((0, 1, 3), (60, 25, 15))[0],
        max_retries_preemption=chance.choices((100, 2, 0), (90, 7, 3))[0],
        priority=band,
        **more,  # type: ignore[arg-type]
    )


def _behaviour(chance: Random, longest: float) -> Behaviour:
    outcomes: tuple[Outcome, ...] = ()
    if chance.random() < 0.15:
        outcomes = tuple(
            chance.choices(tuple(Outcome), (40, 45, 15))[0] for _ in range(chance.randint(1, 4))
        )
    return Behaviour(
        duration=round(min(longest, chance.lognormvariate(3.0, 0.9)), 1),
        spread=chance.choice((0.0, 0.1, 0.5)),
        build=chance.choice((0.2, 0.2, 2.0, 10.0)),
        outcomes=outcomes,
        failure_rate=chance.choice((0.0, 0.0, 0.0, 0.05)),
        stop=chance.choice((0.1, 1.0, 8.0)),
    )


def _single(chance: Random, program: str) -> tuple[JobSpec, Behaviour]:
    cores = chance.choices((500, 1_000, 2_000, 4_000, 8_000, 16_000), (20, 30, 25, 15, 7, 3))[0]
    resources = Resources(cores, chance.choice((1, 2, 4)) * GIB, chance.choice((0, 10)) * GIB)
    spec = _spec(
        chance,
        program,
        resources,
        replicas=chance.choices((1, 2, 4, 10), (50, 25, 18, 7))[0],
        constraints=_constraints(chance),
        tolerations=(Toleration("spot"),) if chance.random() < 0.6 else (),
    )
    if spec.replicas > 1 and chance.random() < 0.2:
        spec = replace(spec, max_task_failures=chance.randint(1, spec.replicas))
    if chance.random() < 0.1:
        spec = replace(spec, port_names=("main",), resources=replace(spec.resources, ports=0))
    return spec, _behaviour(chance, 180.0)


def _constraints(chance: Random) -> tuple[Constraint, ...]:
    made = chance.choices(
        (
            (),
            (Constraint("zone", ConstraintOp.IN, ("a", "b")),),
            (Constraint("disk", ConstraintOp.EQ, ("ssd",), required=False),),
            (Constraint("generation", ConstraintOp.GE, ("2",)),),
            (Constraint(ATTRIBUTE_PREEMPTIBLE, ConstraintOp.EQ, ("false",)),),
            (
                Constraint("network", ConstraintOp.NOT_EXISTS),
                Constraint("generation", ConstraintOp.LT, ("3",), required=False),
            ),
        ),
        (50, 10, 10, 12, 10, 8),
    )
    return made[0]


def _pod_gang(chance: Random, program: str) -> tuple[JobSpec, Behaviour]:
    spec = _spec(
        chance,
        program,
        Resources(chance.choice((1_000, 8_000)), 8 * GIB, 0, ((CHIP, 4),)),
        replicas=chance.choices((4, 2), (80, 20))[0],
        gang=Gang(ATTRIBUTE_TPU_NAME),
    )
    return spec, _behaviour(chance, 120.0)


def _pair_gang(chance: Random, program: str) -> tuple[JobSpec, Behaviour]:
    spec = _spec(
        chance,
        program,
        Resources(chance.choice((4_000, 10_000, 16_000)), 4 * GIB),
        replicas=2,
        gang=Gang("slice-id"),
        constraints=(Constraint("network", ConstraintOp.EQ, ("fast",)),),
    )
    return spec, _behaviour(chance, 120.0)


def _wide_gang(chance: Random, program: str) -> tuple[JobSpec, Behaviour]:
    spec = _spec(
        chance,
        program,
        Resources(4_000, 4 * GIB),
        replicas=chance.choice((3, 6)),
        gang=Gang(chance.choice(("scale-group", "zone"))),
        constraints=(Constraint("zone", ConstraintOp.EQ, ("a",)),),
    )
    return spec, _behaviour(chance, 90.0)


def _hopeless(chance: Random, program: str) -> tuple[JobSpec, Behaviour]:
    """Nothing that can be bought ever runs it."""
    resources, constraints = Resources(64_000), ()
    if chance.random() < 0.5:
        resources = Resources(1_000)
        constraints = (Constraint("zone", ConstraintOp.EQ, ("mars",)),)  # type: ignore[assignment]
    spec = _spec(chance, program, resources, constraints=constraints)
    if chance.random() < 0.5:
        spec = replace(spec, scheduling_timeout=timedelta(seconds=chance.randint(5, 200)))
    return spec, _behaviour(chance, 30.0)


def _with_limits(spec: JobSpec, chance: Random) -> JobSpec:
    if chance.random() < 0.2:
        spec = replace(spec, timeout=timedelta(seconds=chance.choice((30, 120, 400))))
    if chance.random() < 0.06 and spec.scheduling_timeout is None:
        spec = replace(spec, scheduling_timeout=timedelta(seconds=chance.choice((10, 60, 300))))
    return spec


def with_jobs(
    scenario: Scenario, jobs: tuple[JobPlan, ...], groups: tuple[ScaleGroup, ...]
) -> Scenario:
    """The faults of a scenario, spread over the time that other jobs take to be submitted; nobody has
    a budget.
    """
    seconds = max((job.submit_at for job in jobs), default=0.0) + 60.0
    kinds = frozenset(fault.kind for fault in scenario.faults)
    faults = plan_faults(Chances(scenario.seed), kinds, seconds)
    return replace(scenario, jobs=jobs, faults=faults, groups=groups, policy=SchedulingPolicy())
