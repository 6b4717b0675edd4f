"""What a cloud already has under our label is ours, and nothing else is."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

import pytest

from iris.autoscaler.autoscaler import Autoscaler
from iris.autoscaler.scaling_cases import SETTINGS, cpu_group, demand
from iris.autoscaler.scene_fixture import Scene
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.testing.platform_fakes import FakeVmGroup, FakeVmManager

LABEL = "cluster"
IDLE_TIMEOUT = SETTINGS.idle_timeout.total_seconds()


@dataclass
class Cloud:
    """One project of a cloud, in which several clusters buy. Outlives all of them."""

    labels: dict[SliceId, Mapping[str, str]] = field(default_factory=dict)
    slices: dict[SliceId, FakeVmGroup] = field(default_factory=dict)


class CloudManager(FakeVmManager):
    """Of one cluster: sees what carries its label, as a cloud's filter does."""

    def __init__(self, group: ScaleGroup, cloud: Cloud, cluster: str, scene: Scene) -> None:
        super().__init__(group, clock=scene.clock, ids=scene.ids)
        self.cloud, self.cluster = cloud, cluster

    async def create_vm_group(self, tags: Mapping[str, str]) -> FakeVmGroup:
        made = await super().create_vm_group(tags)
        self.cloud.labels[made.slice_id] = tags
        self.cloud.slices[made.slice_id] = made
        forget = made.on_end

        def gone() -> None:
            forget()
            self.cloud.slices.pop(made.slice_id, None)

        made.on_end = gone
        return made

    async def discover_vm_groups(self) -> tuple[FakeVmGroup, ...]:
        return tuple(
            one
            for slice_id, one in self.cloud.slices.items()
            if self.cloud.labels[slice_id].get(LABEL) == self.cluster
            and one.scale_group == self.scale_group.name
        )


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
async def ours(cloud: Cloud) -> AsyncIterator[Scene]:
    made = scene_of("ours", cloud)
    yield made
    assert made.autoscaler is not None
    await made.autoscaler.stop()


@pytest.fixture
async def theirs(cloud: Cloud) -> AsyncIterator[Scene]:
    made = scene_of("ours-too", cloud)
    yield made
    if made.autoscaler is not None:
        await made.autoscaler.stop()


def scene_of(cluster: str, cloud: Cloud) -> Scene:
    """A cluster in that cloud. Their names are alike on purpose."""
    made = Scene()
    made.settings = replace(SETTINGS, tags=((LABEL, cluster),))
    made.ids.fresh(cluster)
    for name in ("cpu", "large"):
        group = cpu_group(name, cores=4 if name == "cpu" else 32)
        made.managers[name] = CloudManager(group, cloud, cluster, made)
    return made


def known(autoscaler: Autoscaler) -> set[str]:
    return {one.slice_id for group in autoscaler.report().groups for one in group.slices}


async def test_a_new_process_finds_what_the_last_one_bought(ours: Scene) -> None:
    await ours.start()
    await ours.observe(demand(tasks=8))
    assert len(known(await ours.restart())) == 2
    await ours.observe(demand(tasks=8))
    assert len(ours.managers["cpu"].bought) == 2


async def test_what_was_left_behind_is_given_back(ours: Scene, cloud: Cloud) -> None:
    await ours.start()
    await ours.observe(demand(tasks=8))
    await ours.restart()
    await ours.complete()
    await ours.clock.advance(IDLE_TIMEOUT)
    assert cloud.slices == {}


async def test_other_clusters_slices_are_left_alone(
    ours: Scene, theirs: Scene, cloud: Cloud
) -> None:
    for number in range(3):
        theirs.managers["cpu"].add_slice()  # so that the two do not count their slices alike
        assert number < 3
    await theirs.start()
    await theirs.observe(demand(tasks=8))
    before = dict(cloud.slices)
    assert len(before) == 2
    autoscaler = await ours.start()
    await ours.observe(demand(tasks=4))
    assert len(known(autoscaler)) == 1
    assert not known(autoscaler) & set(before)
    await ours.complete()
    await ours.clock.advance(IDLE_TIMEOUT)
    await ours.clock.advance(SETTINGS.boot_timeout.total_seconds())
    assert cloud.slices == before
    assert all(one.terminations == 0 for one in before.values())


async def test_a_platform_that_says_too_much_is_not_believed(ours: Scene) -> None:
    """A filter that is too wide must not make another group's slices ours to end."""
    cpu, large = ours.managers["cpu"], ours.managers["large"]
    stranger = FakeVmGroup(large.scale_group, SliceId("large-77"), ours.clock.now())
    cpu.discover_errors = []
    cpu.discover_vm_groups = lambda: _answer(stranger)  # type: ignore[method-assign]
    autoscaler = await ours.start()
    await ours.observe()
    await ours.clock.advance(SETTINGS.boot_timeout.total_seconds())
    assert known(autoscaler) == set()
    assert stranger.terminations == 0


async def _answer(one: FakeVmGroup) -> tuple[FakeVmGroup, ...]:
    return (one,)
