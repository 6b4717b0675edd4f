"""Who asks for what: workers of three kinds, and users with their habits. All from a seed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.job import Entrypoint, Gang, JobSpec
from iris.model.priority import PriorityBand
from iris.model.resources import GIB, Resources
from iris.model.taints import Toleration

CHIP = "tpu/v5litepod-16"
STANDARD = Resources(32_000, 128 * GIB, 500 * GIB, (), 1000)
LARGE = Resources(32_000, 512 * GIB, 500 * GIB, (), 1000)
TPU = Resources(112_000, 192 * GIB, 100 * GIB, ((CHIP, 4),), 1000)
ZONES = ("zone-a", "zone-b", "zone-c")
WORKERS_PER_SLICE = 4
_BANDS = (
    *([PriorityBand.PRODUCTION] * 2),
    *([PriorityBand.INTERACTIVE] * 5),
    *([PriorityBand.BATCH] * 3),
)
_JOB_SIZES = (1, 1, 1, 4, 4, 16, 64)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a task asks for."""

    resources: Resources
    constraints: tuple[Constraint, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    gang: Gang | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Tasks that are interchangeable for the scheduler."""

    user: str
    band: PriorityBand
    shape: Shape

    def job(self, tasks: int) -> JobSpec:
        """So many of them as one job."""
        names = tuple(f"port_{number}" for number in range(self.shape.resources.ports))
        return JobSpec(
            entrypoint=Entrypoint(("python", "train.py", "--steps", "1000")),
            resources=self.shape.resources,
            replicas=tasks,
            constraints=self.shape.constraints,
            gang=self.shape.gang,
            port_names=names,
            priority=self.band,
            tolerations=self.shape.tolerations,
        )


def _shapes() -> tuple[Shape, ...]:
    zone = Constraint("zone", ConstraintOp.EQ, (ZONES[0],))
    near = Constraint("zone", ConstraintOp.IN, ZONES[1:], required=False)
    large = Constraint("memory-class", ConstraintOp.EXISTS)
    sizes = [(500, 1), (1000, 1), (1000, 2), (1000, 4), (2000, 2), (2000, 8), (4000, 8), (8000, 16)]
    plain = [Shape(Resources(cpu, memory * GIB)) for cpu, memory in sizes]
    disks = [Shape(Resources(cpu, cpu * GIB // 250, 20 * GIB)) for cpu in (1000, 2000, 4000)]
    bound = [Shape(Resources(cpu, 2 * GIB), (zone,)) for cpu in (1000, 2000)]
    preferring = [Shape(Resources(cpu, 2 * GIB), (near,)) for cpu in (1000, 4000)]
    serving = [Shape(Resources(cpu, 2 * GIB, ports=2)) for cpu in (500, 1000)]
    memory = [Shape(Resources(2000, 48 * GIB), (large,))]
    chips = [
        Shape(Resources(8000, 8 * GIB, 0, ((CHIP, count),)), (), (Toleration("tpu"),))
        for count in (1, 4)
    ]
    return (*plain, *disks, *bound, *preferring, *serving, *memory, *chips)


SHAPES = _shapes()


def shape_of_its_own(random: Random) -> Shape:
    """One that no other task has, in all likelihood."""
    return Shape(Resources(random.randrange(500, 4000), random.randrange(GIB, 8 * GIB)))


def habits(random: Random, users: int = 10) -> tuple[Ask, ...]:
    """What the users ask for: each one five of the shapes, in one or two bands."""
    found = []
    for number in range(users):
        bands = random.sample(_BANDS, 2)
        for shape in random.sample(SHAPES, 5):
            found.append(Ask(f"user{number}", random.choice(bands), shape))
    return tuple(found)


def vain(users: int = 10) -> tuple[Ask, ...]:
    """What no worker can ever run: for want of an attribute, or of size."""
    nowhere = Constraint("zone", ConstraintOp.EQ, ("nowhere",))
    shapes = (Shape(Resources(1000, GIB), (nowhere,)), Shape(Resources(256_000, GIB)))
    return tuple(
        Ask(f"user{number}", PriorityBand.INTERACTIVE, shape)
        for number in range(users)
        for shape in shapes
    )


def jobs_of(asks: Iterable[Ask], random: Random) -> Iterator[tuple[Ask, int]]:
    """As many tasks of each kind as there are in `asks`, in jobs of several sizes."""
    for ask, tasks in Counter(asks).items():
        left = tasks
        while left:
            size = min(left, random.choice(_JOB_SIZES))
            yield ask, size
            left -= size
