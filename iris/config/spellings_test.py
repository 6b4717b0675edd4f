"""Durations, sizes and amounts may be written as people write them in every key of the schema, and
variables of the environment stand only where they are replaced.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from iris_proto import config_pb2

from iris.config.loader import Loaded
from iris.config.quantities import parse_duration, parse_size
from iris.config.read import read_config
from iris.config.schema import Container, FieldSchema, Kind, Variables, schema_of
from iris.model.resources import GIB, Resources

_ENTRY = "entry"


def _keys(
    descriptor: Any = config_pb2.ClusterConfig.DESCRIPTOR,
) -> Iterator[tuple[str, FieldSchema]]:
    """Every key that there is, by its path; an entry of a map is called `entry`."""
    for name, schema in schema_of(descriptor).fields.items():
        path = f"{name}.{_ENTRY}" if schema.container is Container.MAP else name
        if schema.kind is Kind.MESSAGE:
            yield from ((f"{path}.{inner}", field) for inner, field in _keys(schema.message))
        else:
            yield path, schema


def _read(path: str, value: object) -> Loaded[config_pb2.ClusterConfig]:
    """A configuration in which one key has this value."""
    tree: Any = value
    for name in reversed(path.split(".")):
        tree = {name: tree}
    return read_config(
        yaml.safe_dump(tree),
        "c.yaml",
        folder=Path("/"),
        machine=lambda: Resources(1000, GIB, GIB),
        environment={"WHO": "ada"},
    )


def _value(message: Any, path: str) -> Any:
    for name in path.split("."):
        message = message[_ENTRY] if name == _ENTRY else getattr(message, name)
    return message


def _of_kind(*kinds: Kind) -> list[str]:
    # The defaults of groups are gone once groups are complete: merging_test looks at them.
    return [
        path
        for path, schema in _keys()
        if schema.kind in kinds and not path.startswith("scale_group_defaults")
    ]


def _problems_of(loaded: Loaded[config_pb2.ClusterConfig], path: str) -> list[str]:
    """Those of the value itself; rules over several keys are tested elsewhere."""
    in_a_list = f"{path}[0]"
    return [
        problem.message
        for problem in loaded.problems
        if problem.path in (path, in_a_list) and problem.path in loaded.unsound
    ]


@pytest.mark.parametrize("path", _of_kind(Kind.DURATION))
def test_durations(path: str) -> None:
    for text in ("5s", "10m", "1h30m", "250ms", "2d"):
        loaded = _read(path, text)
        for problem in _problems_of(loaded, path):
            assert "than the m" in problem, problem
        if loaded.is_sound(path):
            value = _value(loaded.message, path).ToTimedelta()
            assert value == parse_duration(text)
            assert isinstance(value, timedelta)
    assert "expected a duration" in _problems_of(_read(path, 5), path)[0]


@pytest.mark.parametrize("path", _of_kind(Kind.BYTES))
def test_sizes(path: str) -> None:
    for text in ("64GB", "64GiB", "1.5TB", 20_000_000_000):
        loaded = _read(path, text)
        assert not _problems_of(loaded, path)
        assert _value(loaded.message, path) == parse_size(str(text))
    assert "expected a size" in _problems_of(_read(path, "64G"), path)[0]


@pytest.mark.parametrize("path", _of_kind(Kind.CPU_MILLIS))
def test_cores(path: str) -> None:
    for text, millis in (("1.5", 1500), (2, 2000), ("250m", 250)):
        assert _value(_read(path, text).message, path) == millis


@pytest.mark.parametrize("path", [path for path, _ in _keys()])
def test_variables_stand_only_where_they_are_replaced(path: str) -> None:
    schema = dict(_keys())[path]
    listed = schema.container is Container.LIST
    loaded = _read(path, ["${WHO}"] if listed else "${WHO}")
    problems = _problems_of(loaded, path)
    if schema.variables is Variables.REFUSED:
        assert problems[-1].startswith("${WHO} is not replaced here"), problems
        return
    assert not problems
    if path.startswith("scale_group_defaults"):
        return
    value = _value(loaded.message, path)
    expanded = "/ada" if schema.kind is Kind.PATH else "ada"
    expected = "${WHO}" if schema.variables is Variables.KEPT else expanded
    assert (value[0] if listed else value) == expected


def test_variables_are_replaced_in_these_keys_and_no_others() -> None:
    """The list that docs/configuration.md has."""
    expanded = {
        path.replace(f".{_ENTRY}", "")
        for path, schema in _keys()
        if schema.variables is Variables.EXPANDED and not path.startswith("scale_group_defaults")
    }
    group = "scale_groups"
    assert expanded == {
        "label_prefix",
        "project_id",
        "region",
        "zone",
        *(f"controller_vm.{name}" for name in ("image", "bundle_prefix")),
        *(f"controller_vm.local.{name}" for name in ("state_dir", "bundle_dir", "cache_dir")),
        *(f"controller_vm.manual.{name}" for name in ("host", "advertised_host")),
        *(
            f"controller_vm.gcp.{name}"
            for name in ("project_id", "zone", "service_account", "network")
        ),
        f"{group}.zones",
        f"{group}.provider.manual.hosts",
        *(f"{group}.provider.tpu.{name}" for name in ("project_id", "network", "service_account")),
        *(f"{group}.provider.slurm.{name}" for name in ("partition", "account", "qos")),
        *(
            f"{prefix}ssh.{name}"
            for prefix in ("", f"{group}.")
            for name in ("user", "identity_file", "config_file", "known_hosts_file", "jump_host")
        ),
        "bootstrap.environment",
        f"{group}.bootstrap.environment",
    }
