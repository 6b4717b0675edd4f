"""The table of TPU slices agrees with itself, and with the sizes that everybody knows."""

import math

import pytest

from iris.model.errors import InvalidArgument
from iris.model.tpu import TPU_VARIANTS, tpu_topology

CORES_PER_CHIP = {"v4": 2, "v5p": 2, "v5litepod": 1, "v6e": 1}


@pytest.mark.parametrize("variant", TPU_VARIANTS)
def test_name_topology_chips_and_vms_agree(variant: str) -> None:
    found = tpu_topology(variant)
    generation, _, size = variant.rpartition("-")
    assert math.prod(map(int, found.topology.split("x"))) == found.chips
    assert int(size) == found.chips * CORES_PER_CHIP[generation]
    assert found.chips_per_vm * found.vms == found.chips
    # A VM drives four chips, or all eight (or the only one) of a slice that is one VM.
    assert found.chips_per_vm == 4 or found.vms == 1


def test_a_slice_of_four_vms() -> None:
    found = tpu_topology("v5litepod-16")
    assert (found.topology, found.chips, found.vms, found.chips_per_vm) == ("4x4", 16, 4, 4)


def test_an_unknown_type_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidArgument, match="'v5e-16'") as refusal:
        tpu_topology("v5e-16")
    assert "v5litepod-16" in refusal.value.hint
