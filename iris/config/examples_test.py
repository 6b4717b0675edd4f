"""Every example loads, is the same after a dump, and turns into a local one that a small machine
can run.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.config import (
    check_budget,
    config_to_yaml,
    load_config,
    make_local_config,
    parse_config,
    scale_groups_of,
)
from iris.config.groups import TPU
from iris.model.resources import GIB, MIB, Resources
from iris.model.tpu import tpu_topology

_EXAMPLES = sorted(Path("examples").glob("*.yaml"))
_BIG = Resources(64_000, 64 * GIB, 64 * GIB)
_SMALL = Resources(1000, 512 * MIB, GIB)
_UNLIKE_ANY = {"USER": "ann", "HOME": "/home/ann", "LAB_CONTROLLER": "other-head"}


@pytest.fixture(params=_EXAMPLES, ids=lambda path: path.stem)
def config(request: pytest.FixtureRequest) -> config_pb2.ClusterConfig:
    return load_config(request.param, machine=lambda: _BIG, environment=_UNLIKE_ANY)


def _again(config: config_pb2.ClusterConfig, machine: Resources) -> config_pb2.ClusterConfig:
    """Read by another process, of another environment."""
    return parse_config(
        config_to_yaml(config), "again", folder=Path("/x"), machine=lambda: machine, environment={}
    )


def test_there_are_examples_of_every_provider_and_controller() -> None:
    kinds = set()
    for path in _EXAMPLES:
        one = load_config(path, machine=lambda: _BIG, environment={})
        kinds.add(one.controller_vm.WhichOneof("kind"))
        kinds |= {group.platform for group in scale_groups_of(one)}
    assert kinds == {"local", "manual", "gcp", "tpu", "slurm"}


def test_a_dump_loads_to_the_same(config: config_pb2.ClusterConfig) -> None:
    assert _again(config, _BIG) == config


def test_groups_are_complete(config: config_pb2.ClusterConfig) -> None:
    assert not config.HasField("scale_group_defaults")
    for group in config.scale_groups.values():
        assert group.provider.WhichOneof("kind")
        assert group.timeouts.HasField("boot_timeout")
        assert group.bootstrap.python
        assert group.vm.cpu
        if group.provider.HasField("tpu"):
            assert group.provider.tpu.project_id
            assert group.zones


def test_a_local_one_is_what_it_was_but_here(config: config_pb2.ClusterConfig) -> None:
    before = config_pb2.ClusterConfig()
    before.CopyFrom(config)
    local = make_local_config(config)
    assert config == before, "the argument was changed"
    assert local.controller_vm.WhichOneof("kind") == "local"
    # Everything that the scheduler and the autoscaler see stays as it was.
    here = tuple(replace(group, platform="local") for group in scale_groups_of(config))
    assert scale_groups_of(local) == here
    for name, group in local.scale_groups.items():
        was = config.scale_groups[name]
        assert group.timeouts == was.timeouts
        assert dict(group.taints) == dict(was.taints)
        assert (group.min_slices, group.max_slices) == (was.min_slices, was.max_slices)
        if group.accelerator_type == TPU:
            vms = {one.name: one.vms_per_slice for one in here}[name]
            assert vms == tpu_topology(group.accelerator_variant).vms
    kept = ("name", "label_prefix", "autoscaler", "submission", "worker", "scheduling", "retention")
    for name in (*kept, "timeouts"):
        assert getattr(local, name) == getattr(config, name), name


def test_a_local_one_that_was_elsewhere_leads_nowhere_else(
    config: config_pb2.ClusterConfig,
) -> None:
    local = make_local_config(config)
    if local == config:
        assert config.controller_vm.WhichOneof("kind") == "local"
        return
    text = config_to_yaml(local)
    for word in ("hosts", "project", "image", "gs://", "jump_host", "commands", "my-"):
        assert word not in text, word


def test_turning_local_twice_is_turning_local_once(config: config_pb2.ClusterConfig) -> None:
    local = make_local_config(config)
    assert make_local_config(local) == local


def test_a_local_one_passes_on_a_small_machine(config: config_pb2.ClusterConfig) -> None:
    local = make_local_config(config)
    if local == config and not config.controller_vm.local.machine.oversubscribe:
        return  # it was made for a machine of its own size: see read_test
    assert _again(local, _SMALL) == local
    check_budget(local, _SMALL)
