"""Nothing pretends to have more than the machine lends."""

import pytest

from iris.model.errors import InvalidArgument, ResourceExhausted
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.model.resources import GIB, Resources
from iris.platforms.local.budget import MachineBudget

MACHINE = Resources(2000, 4 * GIB, 10 * GIB)
CPU = ScaleGroup("cpu", "local", Resources(1000, GIB, GIB))
POD = ScaleGroup(
    "pod", "local", Resources(400, GIB, GIB, (("tpu/v5litepod-16", 4),)), vms_per_slice=4
)
FIRST, SECOND, THIRD = SliceId("a"), SliceId("b"), SliceId("c")


def test_slices_are_held_whole_and_given_back_whole() -> None:
    budget = MachineBudget(MACHINE)
    budget.reserve(FIRST, POD)
    assert budget.reserved == Resources(1600, 4 * GIB, 4 * GIB)
    budget.release(FIRST)
    budget.release(FIRST)
    assert budget.reserved == Resources()


def test_what_is_used_up_is_said_with_the_numbers() -> None:
    budget = MachineBudget(MACHINE)
    budget.reserve(FIRST, CPU)
    budget.reserve(SECOND, CPU)
    with pytest.raises(
        ResourceExhausted, match="needs 1 core; of this machine's 2 cores, 0 cores are free"
    ):
        budget.reserve(THIRD, CPU)
    assert budget.reserved.cpu_millis == 2000
    assert not budget.oversubscribed


def test_a_shape_that_never_fits_is_refused_with_both_numbers() -> None:
    huge = ScaleGroup("huge", "local", Resources(600, GIB), vms_per_slice=4)
    with pytest.raises(
        InvalidArgument, match=r"needs 2.4 cores \(4 VMs together\), this machine lends 2 cores"
    ):
        MachineBudget(MACHINE).check_shape(huge)
    MachineBudget(MACHINE).check_shape(POD)


def test_ports_and_chips_are_not_the_machine_s() -> None:
    budget = MachineBudget(MACHINE)
    group = ScaleGroup("cpu", "local", Resources(1000, GIB, GIB, (("gpu", 8),), ports=1000))
    budget.check_shape(group)
    budget.reserve(FIRST, group)
    assert budget.reserved == Resources(1000, GIB, GIB)


def test_oversubscription_is_allowed_when_asked_for_and_told() -> None:
    budget = MachineBudget(MACHINE, oversubscribe=True)
    for slice_id in (FIRST, SECOND, THIRD):
        budget.reserve(slice_id, CPU)
    assert budget.oversubscribed
