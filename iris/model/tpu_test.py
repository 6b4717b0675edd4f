"""The table of TPU slices agrees with itself, and with the sizes that everybody knows."""

import math
from itertools import pairwise

import pytest

from iris.model.errors import InvalidArgument
from iris.model.tpu import TPU_VARIANTS, TpuTopology, tpu_topology

CORES_PER_CHIP = {"v4": 2, "v5p": 2, "v5litepod": 1, "v6e": 1}
CHIPS_PER_HOST = {"v4": 4, "v5p": 4, "v5litepod": 8, "v6e": 8}
# The largest slice of each that can be asked for by its name.
LARGEST = {"v4": 2048, "v5p": 6144, "v5litepod": 256, "v6e": 256}


def family(variant: str) -> list[TpuTopology]:
    """Its slices, in the order of the table."""
    return [tpu_topology(one) for one in TPU_VARIANTS if one.startswith(f"{variant}-")]


@pytest.mark.parametrize("variant", TPU_VARIANTS)
def test_name_topology_chips_hosts_and_vms_agree(variant: str) -> None:
    found = tpu_topology(variant)
    generation, _, size = variant.rpartition("-")
    assert math.prod(map(int, found.topology.split("x"))) == found.chips
    assert int(size) == found.chips * CORES_PER_CHIP[generation]
    assert found.chips_per_vm * found.vms == found.chips
    assert found.chips_per_host == CHIPS_PER_HOST[generation]
    # What is larger than a host has whole hosts, and VMs of four chips; what is not is one VM.
    if found.chips > found.chips_per_host:
        assert found.hosts * found.chips_per_host == found.chips
        assert found.chips_per_vm == 4
        assert found.vms == found.hosts * (found.chips_per_host // 4)
    else:
        assert (found.hosts, found.vms) == (1, 1)


@pytest.mark.parametrize("variant", CORES_PER_CHIP)
def test_a_family_is_whole(variant: str) -> None:
    slices = family(variant)
    chips = [one.chips for one in slices]
    assert chips == sorted(set(chips))
    assert chips[-1] == LARGEST[variant]
    assert slices[0].hosts == 1
    axes = {len(one.topology.split("x")) for one in slices}
    assert axes == ({3} if variant in ("v4", "v5p") else {2})
    # From four chips on each is twice the one before; only the largest v5p is less than that.
    for smaller, larger in pairwise(chips):
        assert larger in (smaller * 2, 4, 6144)
    # Shorter axes first, except for the slice of one host of a cube of its own.
    for one in slices[1:]:
        lengths = [int(length) for length in one.topology.split("x")]
        assert lengths == sorted(lengths)
    assert {name.partition("-")[0] for name in TPU_VARIANTS} == set(CORES_PER_CHIP)


@pytest.mark.parametrize(
    ("variant", "topology", "chips", "hosts", "vms"),
    [
        ("v5litepod-4", "2x2", 4, 1, 1),
        ("v5litepod-16", "4x4", 16, 2, 4),
        ("v6e-8", "2x4", 8, 1, 1),
        ("v6e-256", "16x16", 256, 32, 64),
        ("v4-8", "2x2x1", 4, 1, 1),
        ("v4-512", "4x8x8", 256, 64, 64),
        ("v4-4096", "8x16x16", 2048, 512, 512),
        ("v5p-64", "2x4x4", 32, 8, 8),
        ("v5p-512", "4x8x8", 256, 64, 64),
        ("v5p-12288", "16x16x24", 6144, 1536, 1536),
    ],
)
def test_sizes_as_google_gives_them(
    variant: str, topology: str, chips: int, hosts: int, vms: int
) -> None:
    found = tpu_topology(variant)
    assert (found.topology, found.chips, found.hosts, found.vms) == (topology, chips, hosts, vms)


def test_an_unknown_type_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidArgument, match="'v5e-16'") as refusal:
        tpu_topology("v5e-16")
    assert "v5litepod-16" in refusal.value.hint
