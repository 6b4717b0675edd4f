"""Tests of what scale groups have from `scale_group_defaults` and from the keys at the top."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from iris_proto import config_pb2

from iris.config import ConfigError, config_to_yaml, parse_config
from iris.config.read import read_config
from iris.model.resources import GIB, Resources

_LOCAL = "controller_vm: {local: {machine: {oversubscribe: true}}}\n"
_MANUAL = "controller_vm: {manual: {host: head}}\n"


def _load(text: str) -> config_pb2.ClusterConfig:
    return parse_config(
        text, "c.yaml", folder=Path("/"), machine=lambda: Resources(1000, GIB, GIB), environment={}
    )


def _group(text: str) -> config_pb2.ScaleGroupConfig:
    config = _load(text)
    assert not config.HasField("scale_group_defaults")
    assert _load(config_to_yaml(config)) == config
    return config.scale_groups["a"]


def _problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _load(text)
    return str(caught.value).splitlines()


def test_the_provider_may_come_from_the_defaults() -> None:
    group = _group(
        _LOCAL + "scale_group_defaults: {provider: {local: {workers: SUBPROCESS}}}\n"
        "scale_groups: {a: {}}"
    )
    assert group.provider.local.workers == config_pb2.SUBPROCESS


def test_of_two_kinds_the_group_s_own_counts() -> None:
    group = _group(
        _MANUAL + "scale_group_defaults: {provider: {slurm: {account: physics}}}\n"
        "scale_groups: {a: {provider: {manual: {hosts: [h]}}}}"
    )
    assert group.provider.WhichOneof("kind") == "manual"
    assert not group.provider.slurm.account


def test_of_one_kind_both_count_key_by_key() -> None:
    group = _group(
        _MANUAL + "scale_group_defaults: {provider: {slurm: {account: physics, qos: low}}}\n"
        "scale_groups: {a: {provider: {slurm: {qos: high}}}}"
    )
    assert (group.provider.slurm.account, group.provider.slurm.qos) == ("physics", "high")


def test_mappings_merge_and_lists_replace() -> None:
    group = _group(
        _LOCAL + "scale_group_defaults:\n"
        "  provider: {local: }\n"
        "  vm: {cpu: 2, memory: 8GiB}\n"
        "  attributes: {site: here, rack: a}\n"
        "  zones: [one, two]\n"
        "  bootstrap: {commands: [x, y]}\n"
        "  max_slices: 7\n"
        "scale_groups:\n"
        "  a:\n"
        "    vm: {memory: 1GiB}\n"
        "    attributes: {rack: b}\n"
        "    zones: [three]\n"
        "    bootstrap: {commands: []}\n"
        "    max_slices: 0\n"
    )
    # The schema's own defaults come last.
    assert (group.vm.cpu, group.vm.memory, group.vm.ports) == (2000, GIB, 1000)
    assert dict(group.attributes) == {"site": "here", "rack": "b"}
    assert list(group.zones) == ["three"]
    assert not group.bootstrap.commands
    assert group.max_slices == 0


@pytest.mark.parametrize(
    ("top", "defaults", "own", "expected"),
    [
        ("", "", "", "15m"),
        ("1m", "", "", "1m"),
        ("1m", "2m", "", "2m"),
        ("", "2m", "", "2m"),
        ("1m", "2m", "3m", "3m"),
        ("1m", "", "3m", "3m"),
    ],
)
def test_a_group_comes_before_the_defaults_and_they_before_the_top(
    top: str, defaults: str, own: str, expected: str
) -> None:
    tree = {
        **yaml.safe_load(_LOCAL),
        "timeouts": {"call_timeout": "9s", **({"boot_timeout": top} if top else {})},
        "scale_group_defaults": {
            "provider": {"local": None},
            **({"timeouts": {"boot_timeout": defaults}} if defaults else {}),
        },
        "scale_groups": {"a": {"timeouts": {"boot_timeout": own}} if own else {}},
    }
    timeouts = _group(yaml.safe_dump(tree)).timeouts
    assert timeouts.boot_timeout.ToTimedelta().total_seconds() / 60 == int(expected[:-1])
    assert timeouts.call_timeout.seconds == 9
    assert timeouts.ssh_connect_timeout.seconds == 30


def test_ssh_and_bootstrap_merge_from_three_places() -> None:
    text = (
        _MANUAL + "ssh: {user: top, port: 1, options: {A: top, B: top}}\n"
        "bootstrap: {python: top, environment: {X: top, Y: top}, commands: [top]}\n"
        "scale_group_defaults: {ssh: {port: 2, options: {B: all}}, bootstrap: {work_dir: /all}}\n"
        "scale_groups:\n"
        "  a:\n"
        "    provider: {manual: {hosts: [h]}}\n"
        '    ssh: {jump_host: own, options: {C: own}, user: ""}\n'
        "    bootstrap: {environment: {Y: own}}\n"
    )
    group, config = _group(text), _load(text)
    assert (group.ssh.user, group.ssh.port, group.ssh.jump_host) == ("", 2, "own")
    assert dict(group.ssh.options) == {"A": "top", "B": "all", "C": "own"}
    assert (group.bootstrap.python, group.bootstrap.work_dir) == ("top", "/all")
    assert dict(group.bootstrap.environment) == {"X": "top", "Y": "own"}
    assert list(group.bootstrap.commands) == ["top"]
    # What stands at the top stays as it is: it is the controller's, too.
    assert (config.ssh.user, config.ssh.port) == ("top", 1)


def test_every_value_keeps_the_place_where_it_was_written() -> None:
    text = (
        _MANUAL + "ssh:\n"
        "  user: top\n"
        "scale_group_defaults:\n"
        "  vm:\n"
        "    cpu: 2\n"
        "scale_groups:\n"
        "  a:\n"
        "    provider: {manual: {hosts: [h]}}\n"
        "    vm:\n"
        "      memory: 1GiB\n"
    )
    loaded = read_config(text, "c.yaml", environment={})
    places = {
        key: (loaded.origins[f"scale_groups.a.{key}"].position.line, origin.path)
        for key in ("ssh.user", "vm", "vm.cpu", "vm.memory")
        if (origin := loaded.origins[f"scale_groups.a.{key}"])
    }
    assert places == {
        "ssh.user": (3, "ssh.user"),
        "vm": (10, "scale_groups.a.vm"),
        "vm.cpu": (6, "scale_group_defaults.vm.cpu"),
        "vm.memory": (11, "scale_groups.a.vm.memory"),
    }
    assert "scale_groups.a.vm.disk" not in loaded.origins


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What is wrong in the defaults is said once, however many groups have it.
        (
            "scale_group_defaults: {provider: {local: }, vm: {cpu: lots}, nmae: x}\n"
            "scale_groups: {a: , b: }",
            [
                "c.yaml:2:55: scale_group_defaults.vm.cpu: 'lots' is not a number of cores; "
                "expected a number of cores such as 2, 1.5 or 500m",
                "c.yaml:2:62: scale_group_defaults.nmae: unknown key 'nmae', valid here: "
                "accelerator_count, accelerator_type, accelerator_variant, attributes, bootstrap, "
                "buffer_slices, max_slices, min_slices, preemptible, priority, provider, "
                "runtime_version, …",
            ],
        ),
        (
            "ssh: {port: 0}\nscale_groups: {a: {provider: {local: }}, b: {provider: {local: }}}",
            ["c.yaml:2:13: ssh.port: 0 is less than the minimum, 1"],
        ),
        (
            "scale_group_defaults: {ssh: {port: 65536}}\nscale_groups: {a: {provider: {local: }}}",
            ["c.yaml:2:36: scale_group_defaults.ssh.port: 65536 is more than the maximum, 65535"],
        ),
        (
            "scale_group_defaults: 5\nscale_groups: {a: {provider: {local: }}}",
            ["c.yaml:2:23: scale_group_defaults: expected a mapping, found 5"],
        ),
        (
            "scale_group_defaults: {provider: {local: , slurm: }}",
            [
                "c.yaml:2:44: scale_group_defaults.provider.slurm: 'slurm' and 'local' exclude "
                "each other; name one of them"
            ],
        ),
        # What is missing is missing in the group, and what does not go together is wrong there.
        (
            "scale_group_defaults: {vm: {cpu: 1}}\nscale_groups: {a: {}}",
            ["c.yaml:3:16: scale_groups.a: 'provider' is missing; a mapping is needed here"],
        ),
        (
            "scale_group_defaults: {provider: {local: }, min_slices: 3}\nscale_groups:\n"
            "  a: {max_slices: 3}\n"
            "  b: {max_slices: 2}",
            [
                "c.yaml:2:45: scale_groups.b.min_slices: min_slices is 3, but max_slices is 2",
            ],
        ),
        (
            "ssh: {options: {StrictHostKeyChecking: 'no'}}\n"
            "scale_groups: {a: {provider: {local: }}, b: {provider: {local: }}}",
            [
                "c.yaml:2:17: ssh.options.StrictHostKeyChecking: 'no' would leave host keys "
                "unchecked; they are always checked"
            ],
        ),
    ],
)
def test_problems_stand_where_they_were_written(text: str, expected: list[str]) -> None:
    assert _problems(_LOCAL + text) == expected


def test_merges_of_yaml_s_own_are_merged_first() -> None:
    group = _group(
        _LOCAL + "scale_group_defaults: {provider: {local: }, attributes: &x {k: all, l: all}}\n"
        "scale_groups: {a: {attributes: {<<: *x, k: own}}}"
    )
    assert dict(group.attributes) == {"k": "own", "l": "all"}


_parts = st.fixed_dictionaries(
    {},
    optional={
        "max_slices": st.integers(0, 5),
        "preemptible": st.booleans(),
        "zones": st.lists(st.sampled_from("abc"), max_size=2),
        "attributes": st.dictionaries(st.sampled_from("klm"), st.sampled_from("xyz")),
        "vm": st.fixed_dictionaries(
            {}, optional={"cpu": st.integers(1, 4), "ports": st.integers(0, 9)}
        ),
        "ssh": st.fixed_dictionaries(
            {},
            optional={
                "user": st.sampled_from(["", "ada", "bob"]),
                "port": st.integers(1, 3),
                "options": st.dictionaries(st.sampled_from("AB"), st.sampled_from("12")),
            },
        ),
        "timeouts": st.fixed_dictionaries(
            {}, optional={"call_timeout": st.sampled_from(["1s", "2s"])}
        ),
    },
)


def _over(upper: object, lower: object) -> object:
    """The rule, in its plainest form."""
    if not isinstance(upper, dict) or not isinstance(lower, dict):
        return upper
    merged = {key: _over(value, lower.get(key)) for key, value in upper.items()}
    return {**lower, **merged}


@settings(deadline=None, max_examples=60)
@given(_parts, _parts, _parts)
def test_merging_is_what_merging_the_trees_is(
    own: dict[str, object], defaults: dict[str, object], top: dict[str, object]
) -> None:
    base = {
        **yaml.safe_load(_LOCAL),
        "ssh": top.get("ssh", {}),
        "timeouts": top.get("timeouts", {}),
    }
    provider = {"provider": {"local": None}}
    merged = _over(_over(own, defaults), {key: base[key] for key in ("ssh", "timeouts")})
    assert isinstance(merged, dict)
    layered = _load(
        yaml.safe_dump(
            {**base, "scale_group_defaults": {**provider, **defaults}, "scale_groups": {"a": own}}
        )
    )
    by_hand = _load(yaml.safe_dump({**base, "scale_groups": {"a": {**provider, **merged}}}))
    assert layered == by_hand
    assert _load(config_to_yaml(layered)) == layered
