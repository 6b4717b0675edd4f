"""Tests of saying where every value comes from."""

from pathlib import Path

import pytest
from google.protobuf import duration_pb2
from iris_proto import config_pb2

from iris.config import ConfigError, Explained, Problem, Source, explain_config, load_config
from iris.config.dump import written_fields
from iris.config.schema import Container, Kind
from iris.model.errors import InvalidArgument
from iris.model.resources import GIB, Resources

_MACHINE = Resources(1000, GIB, GIB)
_TEXT = """\
controller_vm:
  manual: {host: "${HEAD}", port: 7}
ssh: {user: "${WHO:-ada}"}
zone: z
project_id: p
bootstrap:
  commands: [a, "b: c"]
  environment: {HF_TOKEN: "${TOKEN}", MY_SECRET: hunter2, OTHER_TOKEN: "${T:-hunter3}", A: plain}
scale_group_defaults:
  vm: {cpu: 1.5}
  attributes: {site: lab}
scale_groups:
  a:
    provider:
      manual: {hosts: [h1, "${H2}", h3]}
    vms_per_slice: 2
    vm: {memory: 2GiB}
  t:
    provider: {tpu: {reserved: true}}
    accelerator_type: tpu
    accelerator_variant: v4-8
"""
_ENVIRONMENT = {"HEAD": "secret-head", "TOKEN": "secret-token", "H2": "secret-host"}


def _explain(
    key: str = "", text: str = _TEXT, warnings: list[Problem] | None = None
) -> dict[str, Explained]:
    rows = explain_config(
        text,
        "c.yaml",
        key=key,
        folder=Path("/"),
        machine=lambda: _MACHINE,
        environment=_ENVIRONMENT,
        warn=(warnings if warnings is not None else []).append,
    )
    found = {row.key: row for row in rows}
    assert len(found) == len(rows), "a key stands there twice"
    return found


@pytest.mark.parametrize(
    ("key", "value", "origin"),
    [
        ("name", "iris", "default"),
        ("controller_vm.manual.host", "${HEAD}", "c.yaml:2, $HEAD"),
        ("controller_vm.manual.port", "7", "c.yaml:2"),
        ("ssh.user", "${WHO:-ada}", "c.yaml:3, $WHO"),
        ("scale_groups.a.ssh.user", "${WHO:-ada}", "ssh, c.yaml:3, $WHO"),
        ("scale_groups.a.provider.manual.hosts", "[h1, '${H2}', h3]", "c.yaml:15, $H2"),
        ("scale_groups.a.provider.manual.set_aside", "5m", "default"),
        ("scale_groups.a.vm.cpu", "1500m", "scale_group_defaults, c.yaml:10"),
        ("scale_groups.a.vm.memory", "2GiB", "c.yaml:17"),
        ("scale_groups.a.vm.disk", "1GiB", "default"),
        ("scale_groups.a.max_slices", "1", "hosts, c.yaml:15"),
        ("scale_groups.a.attributes.site", "lab", "scale_group_defaults, c.yaml:11"),
        ("scale_groups.a.bootstrap.commands", "[a, 'b: c']", "bootstrap, c.yaml:7"),
        ("scale_groups.t.max_slices", "1", "default"),
        ("scale_groups.t.zones", "[z]", "zone, c.yaml:4"),
        ("scale_groups.t.provider.tpu.project_id", "p", "project_id, c.yaml:5"),
        ("scale_groups.t.provider.tpu.reserved", "true", "c.yaml:19"),
        ("scale_groups.t.timeouts.boot_timeout", "15m", "default"),
        ("worker.inherit_env", "[PATH, LANG, LC_ALL, TZ]", "default"),
        ("submission.unschedulable", "REFUSE", "default"),
        ("scheduling.default_user.weight", "1.0", "default"),
        # The bare name of a variable gives nothing away; what a secret holds otherwise does.
        ("bootstrap.environment.HF_TOKEN", "${TOKEN}", "c.yaml:8, $TOKEN"),
        ("bootstrap.environment.MY_SECRET", "***", "c.yaml:8"),
        ("bootstrap.environment.OTHER_TOKEN", "***", "c.yaml:8, $T"),
        ("bootstrap.environment.A", "plain", "c.yaml:8"),
        ("scale_groups.a.bootstrap.environment.MY_SECRET", "***", "bootstrap, c.yaml:8"),
    ],
)
def test_where_a_value_comes_from(key: str, value: str, origin: str) -> None:
    row = _explain()[key]
    assert (row.value, row.origin) == (value, origin)


def test_no_value_of_the_environment_is_shown() -> None:
    text = "\n".join(f"{row.key} {row.value} {row.origin}" for row in _explain().values())
    assert "secret-" not in text
    assert "hunter" not in text


def test_what_was_moved_is_explained_where_it_was_written() -> None:
    warnings: list[Problem] = []
    text = "controller_vm: {local: }\nautoscaler: {boot_timeout_seconds: 60}"
    row = _explain(text=text, warnings=warnings)["timeouts.boot_timeout"]
    assert (row.value, row.origin) == ("1m", "c.yaml:2")
    assert len(warnings) == 1


def test_a_key_selects_what_lies_in_it_and_shows_what_is_not_set() -> None:
    rows = _explain("scale_groups.a.ssh")
    assert rows["scale_groups.a.ssh.user"].source is Source.FILE
    assert rows["scale_groups.a.ssh.port"] == Explained(
        "scale_groups.a.ssh.port", "", Source.NOT_SET
    )
    assert all(key.startswith("scale_groups.a.ssh.") for key in rows)
    assert list(_explain("scale_groups.a.max_slices")) == ["scale_groups.a.max_slices"]
    assert list(_explain("scale_groups.a.vm")) == [
        f"scale_groups.a.vm.{name}" for name in ("cpu", "memory", "disk", "ports")
    ]
    # Of a choice that was made the others are not "not set": they cannot be.
    assert set(_explain("controller_vm")) == {
        *(f"controller_vm.manual.{name}" for name in ("host", "port", "advertised_host")),
        *(f"controller_vm.{name}" for name in ("manual.state_dir", "image", "bundle_prefix")),
    }


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("nmae", "In it 'nmae' is unknown: did you mean 'name'?"),
        ("scale_groups.b", "In scale_groups 'b' is unknown: valid here: a, t"),
        ("scale_groups.a.shh.user", "In scale_groups.a 'shh' is unknown: did you mean 'ssh'?"),
        ("controller_vm.local.port", "In controller_vm 'local' is unknown:"),
        ("worker.health.intervall", "In worker.health 'intervall' is unknown: did you mean"),
    ],
)
def test_a_key_that_there_is_not(key: str, hint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _explain(key)
    assert caught.value.problem == f"There is no key {key!r} in this configuration."
    assert caught.value.hint.startswith(hint)


def test_what_cannot_be_used_is_not_explained() -> None:
    with pytest.raises(ConfigError) as caught:
        _explain(text="controller_vm: {local: {port: x}}\nnmae: x")
    assert len(caught.value.problems) == 2


def _leaves(message: object, path: str = "") -> set[str]:
    """The path of every value of a configuration, found by another way: from the message alone."""
    found: set[str] = set()
    for name, field, value in written_fields(message):
        inner = f"{path}.{name}" if path else name
        if field.container is Container.MAP and field.kind is Kind.MESSAGE:
            found |= {leaf for key in value for leaf in _leaves(value[key], f"{inner}.{key}")}
        elif field.container is Container.MAP:
            found |= {f"{inner}.{key}" for key in value}
        elif field.kind is Kind.MESSAGE and not isinstance(value, duration_pb2.Duration):
            found |= _leaves(value, inner)
        else:
            found.add(inner)
    return found


@pytest.mark.parametrize("path", sorted(Path("examples").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_value_of_the_examples_is_explained(path: Path) -> None:
    rows = explain_config(
        path.read_text(), str(path), folder=Path("/"), machine=lambda: _MACHINE * 8, environment={}
    )
    config = load_config(path, machine=lambda: _MACHINE * 8, environment={})
    assert isinstance(config, config_pb2.ClusterConfig)
    explained = {row.key for row in rows}
    assert _leaves(config) <= explained
    assert len(explained) == len(rows)
    lines = path.read_text().splitlines()
    for row in rows:
        if row.position is not None:
            written = (row.written or row.key).rpartition(".")[2].partition("[")[0]
            assert written in lines[row.position.line - 1], row
