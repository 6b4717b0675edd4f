"""Every setting of a local cluster has one source of truth: a key of the configuration, with a
default that is written down beside it. No constant in code decides about ports, folders, the
machine's budget or how workers are hosted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.config import config_to_yaml, parse_config
from iris.config.loader import default_message
from iris.config.schema import Container, FieldSchema, Kind, schema_of
from iris.model.resources import GIB, Resources

_SCHEMA = Path("proto/iris_proto/config.proto")
_MACHINE = Resources(4000, 8 * GIB, 64 * GIB)
# What LocalController, LocalMachine and LocalVmManager need to be told, and the key that says it.
_SETTINGS = {
    "port": "controller_vm.local.port",
    "state folder": "controller_vm.local.state_dir",
    "bundle storage": "controller_vm.local.bundle_dir",
    "cache paths": "controller_vm.local.cache_dir",
    "budget: cores": "controller_vm.local.machine.cpu",
    "budget: memory": "controller_vm.local.machine.memory",
    "budget: disk": "controller_vm.local.machine.disk",
    "more machines than the budget": "controller_vm.local.machine.oversubscribe",
    "hosting of workers": "controller_vm.local.workers",
    "hosting of one group's workers": "scale_groups.cpu.provider.local.workers",
    "faults on request": "controller_vm.local.fault_injection",
    "bundles kept by a worker": "worker.bundle_cache_size",
    "environments kept by a worker": "worker.environment_cache_size",
    "time to stop": "worker.stop_grace",
    "time to boot": "timeouts.boot_timeout",
    "time of one call": "timeouts.call_timeout",
    "time to start": "timeouts.controller_start_timeout",
}
_OTHER = {
    Kind.INTEGER: "7",
    Kind.PATH: "/elsewhere",
    Kind.CPU_MILLIS: "3",
    Kind.BYTES: "3GiB",
    Kind.BOOL: "true",
    Kind.ENUM: "SUBPROCESS",
    Kind.DURATION: "7s",
}


@dataclass(frozen=True)
class _Key:
    schema: FieldSchema
    message: str


def _key(path: str) -> _Key:
    descriptor, names = config_pb2.ClusterConfig.DESCRIPTOR, path.split(".")
    while True:
        schema = schema_of(descriptor).fields[names.pop(0)]
        if schema.container is Container.MAP:
            names.pop(0)  # the name of an entry
        if not names:
            return _Key(schema, descriptor.name)
        descriptor = schema.message


def _local_fields() -> Iterator[tuple[str, FieldSchema]]:
    for message in (
        config_pb2.LocalControllerConfig,
        config_pb2.MachineBudgetConfig,
        config_pb2.LocalProviderConfig,
    ):
        for schema in schema_of(message.DESCRIPTOR).fields.values():
            if schema.kind is not Kind.MESSAGE:
                yield message.DESCRIPTOR.name, schema


def _comment(message: str, field: str) -> str:
    """What stands above a field, or above its message, in the schema."""
    text = _SCHEMA.read_text()
    body = re.search(rf"((?:^//.*\n)*)^message {message} {{\n(.*?)^}}", text, re.M | re.S)
    assert body is not None, message
    found = re.search(rf"((?:^ *//.*\n)*)^ *(?:optional )?[\w.]+ {field} =.*", body[2], re.M)
    assert found is not None, field
    return re.sub(r"\s*//\s*", " ", body[1] + found[0])


def test_every_key_of_the_local_platform_is_a_setting_that_is_listed_here() -> None:
    listed = {(_key(path).message, _key(path).schema.name) for path in _SETTINGS.values()}
    assert {(message, schema.name) for message, schema in _local_fields()} <= listed


@pytest.mark.parametrize("path", _SETTINGS.values(), ids=list(_SETTINGS))
def test_a_setting_has_a_default_that_is_written_down(path: str) -> None:
    key = _key(path)
    documented = re.search(r"\b(Empty|Unset|free one)\b", _comment(key.message, key.schema.name))
    # A switch is off unless it is set, as every one is.
    assert key.schema.default is not None or documented or key.schema.kind is Kind.BOOL, path


@pytest.mark.parametrize("path", _SETTINGS.values(), ids=list(_SETTINGS))
def test_a_setting_is_what_the_file_says(path: str) -> None:
    *above, name = path.split(".")
    value = _OTHER[_key(path).schema.kind]
    tree = "".join(f"{'  ' * depth}{key}:\n" for depth, key in enumerate(above))
    text = f"{tree}{'  ' * len(above)}{name}: {value}\n"
    if "scale_groups" not in above:
        text += "scale_groups: {cpu: {provider: {local: }}}\n"
    if "controller_vm" not in above:
        text += "controller_vm: {local: }\n"
    plain = "controller_vm: {local: }\nscale_groups: {cpu: {provider: {local: }}}\n"
    said, silent = (parse_config(one, "c.yaml", machine=lambda: _MACHINE) for one in (text, plain))
    assert said != silent, "the key changes nothing"
    assert parse_config(config_to_yaml(said), "again", machine=lambda: _MACHINE) == said


def test_the_defaults() -> None:
    local = default_message(config_pb2.LocalControllerConfig)
    assert local == config_pb2.LocalControllerConfig(
        port=0,
        workers=config_pb2.IN_PROCESS,
        machine=config_pb2.MachineBudgetConfig(),
        fault_injection=False,
    )
