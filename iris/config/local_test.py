"""Tests of turning any configuration into a local one, and of groups as the model sees them."""

import pytest
from iris_proto import config_pb2

from iris.config import make_local_config, parse_config, scale_groups_of
from iris.model.errors import InvalidArgument
from iris.model.fleet import ScaleGroup
from iris.model.resources import GIB, MIB, Resources

_TEXT = """
name: example
controller_vm:
  local: {port: 7777, workers: SUBPROCESS, machine: {cpu: 64, memory: 1TiB, disk: 9TB}}
scale_groups:
  plain:
    provider: {local: {workers: SUBPROCESS}}
    vm: {cpu: 500m, memory: 256MiB, disk: 2GiB, ports: 7}
    vms_per_slice: 2
    min_slices: 1
    max_slices: 3
    buffer_slices: 2
    attributes: {rack: b}
    zones: [here, there]
    taints: {noisy: "very"}
  cards:
    provider: {local: {}}
    accelerator_type: gpu
    accelerator_variant: h100
    accelerator_count: 8
    priority: 5
  any-card:
    provider: {local: {}}
    accelerator_type: gpu
    accelerator_count: 1
    priority: 5
  pod:
    provider: {local: {}}
    accelerator_type: tpu
    accelerator_variant: v5litepod-16
    preemptible: true
    runtime_version: v2-alpha
scheduling:
  users: {ada: {weight: 2, budget: {cpu: 4}}}
retention: {jobs: 1d}
"""


def _config() -> config_pb2.ClusterConfig:
    return parse_config(_TEXT, "c.yaml")


def _elsewhere() -> config_pb2.ClusterConfig:
    """The same, but with nothing said about where: so a provider of another kind looks here."""
    config = _config()
    config.controller_vm.ClearField("local")
    for group in config.scale_groups.values():
        group.provider.ClearField("local")
    return config


def test_groups_in_the_order_in_which_they_are_tried() -> None:
    small = Resources(1000, GIB, GIB, ports=1000)
    assert scale_groups_of(_config()) == (
        ScaleGroup(
            "any-card",
            "local",
            small + Resources(accelerators=(("gpu", 1),)),
            priority=5,
            accelerator_type="gpu",
        ),
        ScaleGroup(
            "cards",
            "local",
            small + Resources(accelerators=(("gpu/h100", 8),)),
            priority=5,
            accelerator_type="gpu",
            accelerator_variant="h100",
        ),
        ScaleGroup(
            "plain",
            "local",
            Resources(500, 256 * MIB, 2 * GIB, ports=7),
            vms_per_slice=2,
            min_slices=1,
            max_slices=3,
            attributes=(("rack", "b"), ("taint/noisy", "very"), ("zone", "here")),
            buffer_slices=2,
            zones=("here", "there"),
        ),
        ScaleGroup(
            "pod",
            "local",
            small + Resources(accelerators=(("tpu/v5litepod-16", 4),)),
            vms_per_slice=4,
            accelerator_type="tpu",
            accelerator_variant="v5litepod-16",
            preemptible=True,
            runtime_version="v2-alpha",
        ),
    )


def test_a_tpu_that_is_not_known_is_refused_also_without_the_loader() -> None:
    config = _config()
    config.scale_groups["pod"].accelerator_variant = "v99-1"
    with pytest.raises(InvalidArgument, match="v99-1"):
        scale_groups_of(config)


def test_a_local_configuration_comes_back_unchanged() -> None:
    config = _config()
    assert make_local_config(config) == config


def test_everything_is_swapped_and_the_shapes_are_kept() -> None:
    config = _elsewhere()
    before = config_pb2.ClusterConfig()
    before.CopyFrom(config)
    local = make_local_config(config)
    assert config == before, "the argument was changed"
    assert local.controller_vm.WhichOneof("kind") == "local"
    assert local.controller_vm.local.workers == config_pb2.IN_PROCESS
    assert local.controller_vm.local.machine.oversubscribe
    assert scale_groups_of(local) == scale_groups_of(_config())
    assert local.name == config.name
    assert local.autoscaler == config.autoscaler
    assert local.worker == config.worker
    assert local.scheduling == config.scheduling
    assert local.retention == config.retention
    assert make_local_config(local) == local


def test_one_group_elsewhere_is_enough_to_oversubscribe() -> None:
    config = _config()
    config.scale_groups["pod"].provider.ClearField("local")
    local = make_local_config(config)
    assert local.controller_vm.local.port == 7777
    assert local.controller_vm.local.machine.oversubscribe
    assert not config.controller_vm.local.machine.oversubscribe
