"""Which states are final, and what a slice's workers carry."""

from iris.model.fleet import ScaleGroup, VmState, slice_attributes
from iris.model.ids import SliceId
from iris.model.resources import Resources

CPU = ScaleGroup("cpu", "local", Resources(1000), attributes=(("zone", "eu"), ("disk", "ssd")))
TPU = ScaleGroup(
    "pod",
    "local",
    Resources(1000),
    vms_per_slice=4,
    accelerator_type="tpu",
    accelerator_variant="v5litepod-16",
    preemptible=True,
)


def test_states_from_which_nothing_comes_back() -> None:
    assert {state for state in VmState if state.is_gone} == {
        VmState.TERMINATED,
        VmState.FAILED,
        VmState.PREEMPTED,
    }


def test_a_plain_worker_has_its_groups_attributes_and_its_slice() -> None:
    assert slice_attributes(CPU, SliceId("cpu-1"), 0) == {
        "zone": "eu",
        "disk": "ssd",
        "scale-group": "cpu",
        "slice-id": "cpu-1",
        "preemptible": "false",
    }


def test_a_tpu_worker_has_its_place_in_the_slice_as_well() -> None:
    assert slice_attributes(TPU, SliceId("pod-1"), 3, "4x4") == {
        "scale-group": "pod",
        "slice-id": "pod-1",
        "preemptible": "true",
        "tpu-name": "pod-1",
        "tpu-worker-id": "3",
        "tpu-topology": "4x4",
    }


def test_a_group_cannot_pass_itself_off_as_another() -> None:
    liar = ScaleGroup("cpu", "local", Resources(), attributes=(("scale-group", "gpu"),))
    assert slice_attributes(liar, SliceId("s"), 0)["scale-group"] == "cpu"


def test_only_tpus_are_tpus() -> None:
    assert TPU.is_tpu
    assert not CPU.is_tpu
    assert not ScaleGroup("g", "local", Resources(), accelerator_type="gpu").is_tpu
