"""Tests of whole configurations: files, defaults, rules over several fields, and exact messages."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from iris_proto import config_pb2

from iris.config import (
    ConfigError,
    config_to_yaml,
    default_local_config,
    load_config,
    parse_config,
    scale_groups_of,
)
from iris.config.quantities import format_cpu, format_duration, format_size
from iris.model.errors import InvalidArgument
from iris.model.resources import GIB, Resources

_MACHINE = Resources(2000, 4 * GIB, 10 * GIB)
_EXAMPLES = Path("examples")
_GOLDEN = Path("iris/config/testdata")
_LOCAL = "controller_vm: {local: {}}\n"


def _parse(text: str) -> config_pb2.ClusterConfig:
    return parse_config(text, "c.yaml", folder=Path("/etc/cluster"), machine=lambda: _MACHINE)


def _problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _parse(text)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return str(caught.value).splitlines()


def _group(rest: str) -> str:
    return f"{_LOCAL}scale_groups:\n  a:\n    provider: {{local: {{}}}}\n" + "".join(
        f"    {line}\n" for line in rest.splitlines()
    )


def test_the_least_there_can_be() -> None:
    config = _parse(_LOCAL)
    assert config.name == "iris"
    assert config.controller_vm.local.workers == config_pb2.IN_PROCESS
    assert config.worker.inherit_env == ["PATH", "LANG", "LC_ALL", "TZ"]
    assert config.worker.secret_env == [
        "*TOKEN*",
        "*SECRET*",
        "*PASSWORD*",
        "*API_KEY*",
        "AWS_SECRET_ACCESS_KEY",
    ]
    assert not config.scale_groups


@pytest.mark.parametrize("name", ["local", "every_key", "manual", "gcp_tpu", "slurm"])
def test_examples_mean_what_they_meant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    config = load_config(_EXAMPLES / f"{name}.yaml", machine=lambda: _MACHINE, environment={})
    golden = config_pb2.ClusterConfig()
    text_format.Parse((_GOLDEN / f"{name}.textproto").read_text(), golden)
    assert config == golden


def test_every_example_is_tested() -> None:
    examples = {path.stem for path in _EXAMPLES.glob("*.yaml")}
    assert examples == {path.stem for path in _GOLDEN.glob("*.textproto")}


def test_the_example_with_every_key_names_every_key() -> None:
    text = (_EXAMPLES / "every_key.yaml").read_text()

    def keys(message: object) -> set[str]:
        found = set()
        for field in message.fields:
            found.add(field.name)
            value = field.message_type
            if value is not None and value.GetOptions().map_entry:
                value = value.fields_by_name["value"].message_type
            if value is not None and value.file.name == message.file.name:
                found |= keys(value)
        return found

    missing = {key for key in keys(config_pb2.ClusterConfig.DESCRIPTOR) if f"{key}:" not in text}
    assert not missing


def test_the_configurations_in_comments_load() -> None:
    """What excludes other keys stands in the example in comments; each has to be whole."""
    _, *blocks = (_EXAMPLES / "every_key.yaml").read_text().split("\n# --- ")
    assert len(blocks) == 2
    for block in blocks:
        title, *lines = block.splitlines()
        config = _parse("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
        assert config.name == "example", title


def test_the_default_cluster_fits_a_small_machine_with_all_its_slices() -> None:
    config = default_local_config(machine=lambda: _MACHINE)
    everything = Resources()
    for group in scale_groups_of(config):
        vm = Resources(group.vm.cpu_millis, group.vm.memory_bytes, group.vm.disk_bytes)
        everything += vm * (group.vms_per_slice * group.max_slices)
    assert everything.fits_in(_MACHINE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["c.yaml:1:1: 'controller_vm' is missing; a mapping is needed here"]),
        ("# only a comment", ["c.yaml:1:1: 'controller_vm' is missing; a mapping is needed here"]),
        ("[]", ["c.yaml:1:1: expected a mapping, found a list"]),
        (
            "controller_vm:",
            ["c.yaml:1:1: controller_vm: one of these keys is needed here: local, manual, gcp"],
        ),
        (
            "controller_vm:\n  local:\n    prot: 80\n    state_dir: /x\n",
            ["c.yaml:3:5: controller_vm.local.prot: unknown key 'prot', did you mean 'port'?"],
        ),
        (
            "controller_vm:\n  local:\n    port: 65536\n",
            ["c.yaml:3:11: controller_vm.local.port: 65536 is more than the maximum, 65535"],
        ),
        (
            f"{_LOCAL}name: Big_Name\n",
            [
                "c.yaml:2:7: name: 'Big_Name' does not match [a-z]([-a-z0-9]{0,38}[a-z0-9])?",
            ],
        ),
        (
            f"{_LOCAL}scale_groups:\n  Big: {{}}\n",
            [
                "c.yaml:3:3: scale_groups.Big: 'Big' does not match "
                "[a-z]([-a-z0-9]{0,38}[a-z0-9])?",
                "c.yaml:3:3: scale_groups.Big: 'provider' is missing; a mapping is needed here",
            ],
        ),
        (
            f"{_LOCAL}scale_groups:\n" + "  a: {provider: {local: }}\n" * 2,
            ["c.yaml:4:3: scale_groups: duplicate key 'a', it stands in line 3 already"],
        ),
        (
            "a: [1\nb: 2",
            [
                "c.yaml:2:2: not valid YAML: while parsing a flow sequence "
                "expected ',' or ']', but got ':'"
            ],
        ),
        (
            "a: 1\n\tb: 2",
            [
                "c.yaml:2:1: not valid YAML: while scanning for the next token "
                "found character '\\t' that cannot start any token"
            ],
        ),
        (
            "a: 1\n---\nb: 2",
            [
                "c.yaml:2:1: not valid YAML: expected a single document in the stream "
                "but found another document"
            ],
        ),
        ("a: *x", ["c.yaml:1:4: not valid YAML: found undefined alias 'x'"]),
        ("a: 1\nb: \x07", ["c.yaml:2:4: not valid YAML: character 0x7 is not allowed"]),
        ("[" * 5000, ["c.yaml:1:1: not valid YAML: nested too deeply"]),
        ("#" * 1048577, ["c.yaml: has more than 1048576 characters; is this a configuration?"]),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_cannot_be_a_configuration(text: str, expected: list[str]) -> None:
    assert _problems(text) == expected


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (
            "min_slices: 2",
            "5:5: {a}.min_slices: min_slices is 2, but max_slices is 1 (its default)",
        ),
        (
            "min_slices: 3\nmax_slices: 2",
            "5:5: {a}.min_slices: min_slices is 3, but max_slices is 2",
        ),
        ("max_slices: -1", "5:17: {a}.max_slices: -1 is less than the minimum, 0"),
        (
            "accelerator_type: cpu",
            "5:23: {a}.accelerator_type: 'cpu' does not match (tpu|gpu)?",
        ),
        (
            "accelerator_variant: h100",
            "5:5: {a}.accelerator_variant: is h100, but accelerator_type is not set; "
            "say tpu or gpu",
        ),
        (
            "accelerator_count: 2",
            "5:5: {a}.accelerator_count: is 2, but accelerator_type is not set; say tpu or gpu",
        ),
        (
            "accelerator_type: tpu",
            "5:5: {a}.accelerator_type: is tpu, but accelerator_variant does not say which, "
            "e.g. v5litepod-16",
        ),
        (
            "accelerator_type: gpu",
            "5:5: {a}.accelerator_type: is gpu, "
            "but accelerator_count does not say how many each VM has",
        ),
        (
            "accelerator_type: tpu\naccelerator_variant: v5e-17",
            "6:5: {a}.accelerator_variant: unknown TPU 'v5e-17', did you mean 'v5litepod-1'?",
        ),
        (
            "accelerator_type: tpu\naccelerator_variant: v5litepod-61",
            "6:5: {a}.accelerator_variant: unknown TPU 'v5litepod-61', did you mean 'v5litepod-1'?",
        ),
        (
            "accelerator_type: tpu\naccelerator_variant: v5litepod-16\nvms_per_slice: 8",
            "7:5: {a}.vms_per_slice: is 8, but a v5litepod-16 has 4 VMs in a slice; leave it out",
        ),
        (
            "accelerator_type: tpu\naccelerator_variant: v5litepod-16\naccelerator_count: 8",
            "7:5: {a}.accelerator_count: is 8, but a v5litepod-16 has 4 chips per VM; leave it out",
        ),
        (
            "attributes:\n  tpu-name: x",
            "6:7: {a}.attributes.tpu-name: 'tpu-name' is set by Iris itself; choose another name",
        ),
        (
            "attributes:\n  taint/noisy: x",
            "6:7: {a}.attributes.taint/noisy: 'taint/noisy' is a taint; write 'noisy' under taints",
        ),
        (
            "taints: {a/b: x}",
            "5:14: {a}.taints.a/b: 'a/b' does not match [A-Za-z0-9]([A-Za-z0-9._-]{{0,61}}[A-Za-z0-9])?",
        ),
        (
            "taints: {noisy: yes}",
            '5:21: {a}.taints.noisy: expected text, found yes; write it in quotes: "yes"',
        ),
        (
            "vm: {ports: 70000}",
            "5:17: {a}.vm.ports: 70000 is more than the maximum, 65535",
        ),
        (
            "vm: {cpu: 8}",
            "5:5: {a}.vm: one VM needs 8 cores, this machine's budget is 2 cores; make it smaller, "
            "lend more in controller_vm.local.machine, or set oversubscribe: true there",
        ),
        (
            "vm:\n  cpu: 3\n  memory: 8GiB",
            "5:5: {a}.vm: one VM needs 3 cores, this machine's budget is 2 cores and 8 GiB memory, "
            "this machine's budget is 4 GiB memory; make it smaller, "
            "lend more in controller_vm.local.machine, or set oversubscribe: true there",
        ),
        (
            "vms_per_slice: 3",
            "3:3: {a}.vm: a slice of 3 VMs needs 3 cores, this machine's budget is 2 cores; make "
            "it smaller, lend more in controller_vm.local.machine, "
            "or set oversubscribe: true there",
        ),
        (
            "min_slices: 3\nmax_slices: 3",
            "2:1: scale_groups: the min_slices of all local groups together need 3 cores, this "
            "machine's budget is 2 cores; make it smaller, lend more in "
            "controller_vm.local.machine, or set oversubscribe: true there",
        ),
    ],
)
def test_rules_of_a_scale_group(rest: str, expected: str) -> None:
    assert _problems(_group(rest)) == ["c.yaml:" + expected.format(a="scale_groups.a")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "autoscaler: {backoff_min: 10m}",
            "c.yaml:2:14: autoscaler.backoff_min: backoff_min has to be at most backoff_max, "
            "found 10m and 5m",
        ),
        (
            "autoscaler:\n  backoff_max: 1s",
            "c.yaml:3:3: autoscaler.backoff_max: backoff_min has to be at most backoff_max, "
            "found 5s and 1s",
        ),
        (
            "worker: {heartbeat_interval: 30s}",
            "c.yaml:2:10: worker.heartbeat_interval: heartbeat_interval has to be less than "
            "lost_after, found 30s and 30s",
        ),
        (
            "scheduling: {default_user: {weight: 0}}",
            "c.yaml:2:37: scheduling.default_user.weight: 0 has to be more than zero",
        ),
        (
            "scheduling: {default_user: {weight: .5}}",
            "c.yaml:2:37: scheduling.default_user.weight: expected a number, found .5",
        ),
        (
            "scheduling: {users: {a b: {}}}",
            "c.yaml:2:22: scheduling.users.a b: 'a b' does not match "
            "[A-Za-z0-9_][A-Za-z0-9._-]{0,62}",
        ),
        (
            "scheduling: {default_user: {budget: {accelerators: {v5e: 1}}}}",
            "c.yaml:2:53: scheduling.default_user.budget.accelerators.v5e: 'v5e' does not match "
            "(tpu|gpu)(/[^/]+)?",
        ),
        (
            "scheduling: {default_user: {budget: {accelerators: {gpu: -1}}}}",
            "c.yaml:2:58: scheduling.default_user.budget.accelerators.gpu: "
            "-1 is less than the minimum, 0",
        ),
        (
            "retention: {jobs: 59s}",
            "c.yaml:2:19: retention.jobs: 59s is less than the minimum, 1m",
        ),
        (
            "submission: {unschedulable: refus}",
            "c.yaml:2:29: submission.unschedulable: unknown value 'refus', did you mean 'REFUSE'?",
        ),
        (
            "worker: {stop_grace: -1s}",
            "c.yaml:2:22: worker.stop_grace: '-1s' is not a duration; "
            "expected a duration such as 5s, 10m or 1h30m",
        ),
    ],
)
def test_rules_of_the_rest(text: str, expected: str) -> None:
    assert _problems(_LOCAL + text) == [expected]


def test_rules_do_not_judge_what_could_not_be_read() -> None:
    assert _problems(_group("min_slices: 5\nmax_slices: lots")) == [
        "c.yaml:6:17: scale_groups.a.max_slices: expected a whole number, found 'lots'"
    ]


def test_problems_of_every_kind_come_together_in_the_order_of_the_file() -> None:
    text = _group("min_slices: 2\nvm: {cpu: 64}") + "worker: {lost_after: soon}\nnmae: x\n"
    assert [line.split(": ")[0] for line in _problems(text)] == [
        "c.yaml:5:5",
        "c.yaml:7:22",
        "c.yaml:8:1",
    ]


@pytest.mark.parametrize(
    "machine", ["oversubscribe: true", "cpu: 8", "cpu: 8, memory: 1TiB, disk: 1TiB"]
)
def test_more_may_be_lent_than_there_is(machine: str) -> None:
    text = _group("vm: {cpu: 8}").replace("local: {}", f"local: {{machine: {{{machine}}}}}", 1)
    assert _parse(text).scale_groups["a"].vm.cpu == 8000


def test_the_machine_is_not_asked_without_local_groups() -> None:
    def unasked() -> Resources:
        raise AssertionError("asked")

    assert parse_config(_LOCAL, "c.yaml", machine=unasked).name == "iris"


def test_paths_are_below_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("controller_vm: {local: {state_dir: state}}\n")
    assert load_config(file).controller_vm.local.state_dir == str(tmp_path / "state")


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + _LOCAL.encode())
    assert load_config(file).name == "iris"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    with pytest.raises(InvalidArgument) as caught:
        load_config(missing)
    assert str(caught.value) == f"{missing}: No such file or directory"
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    assert str(caught.value) == f"{tmp_path}: Is a directory"
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError) as caught:
        load_config(binary)
    assert str(caught.value) == f"{binary}: byte 6 is not UTF-8 text; is this a configuration?"


_durations = st.timedeltas(timedelta(microseconds=1), timedelta(days=400)).map(format_duration)
# What looks like a variable of the environment has tests of its own.
_texts = st.text().map(lambda text: text.replace("${", "$"))
_names = st.from_regex(r"[a-z]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
_groups = st.fixed_dictionaries(
    {"provider": st.sampled_from([{"local": None}, {"local": {"workers": "subprocess"}}])},
    optional={
        "vm": st.fixed_dictionaries(
            {},
            optional={
                "cpu": st.integers(1, 10**6).map(format_cpu),
                "memory": st.integers(1, 2**50).map(format_size),
                "disk": st.integers(0, 2**50).map(format_size),
                "ports": st.integers(0, 65535),
            },
        ),
        "vms_per_slice": st.integers(1, 4096),
        "max_slices": st.integers(0, 1000),
        "priority": st.integers(0, 1000),
        "preemptible": st.booleans(),
        "zones": st.lists(_texts, max_size=3),
        "attributes": st.dictionaries(st.text(min_size=1), _texts, max_size=3),
        "buffer_slices": st.just(0),
        "runtime_version": _texts,
        "ssh": st.fixed_dictionaries(
            {}, optional={"port": st.integers(1, 65535), "identity_file": st.just("id")}
        ),
        "bootstrap": st.fixed_dictionaries(
            {},
            optional={
                "commands": st.lists(st.just("a ${B} $${C}"), max_size=2),
                "environment": st.dictionaries(
                    st.just("A"), st.sampled_from(["$${A}", "${B:-c}", "$$", ""])
                ),
            },
        ),
        "timeouts": st.fixed_dictionaries({}, optional={"boot_timeout": _durations}),
        "taints": st.dictionaries(_names, _texts, max_size=2),
    },
)
_users = st.fixed_dictionaries(
    {},
    optional={
        "weight": st.floats(1e-9, 1e6) | st.integers(1, 10),
        # A budget of nothing is another thing than none.
        "budget": st.fixed_dictionaries(
            {},
            optional={
                "cpu": st.integers(0, 10**6).map(format_cpu),
                "ports": st.integers(0, 10),
                "accelerators": st.dictionaries(
                    st.sampled_from(["gpu", "tpu/v5litepod-16"]), st.integers(0, 2**40)
                ),
            },
        ),
    },
)
_configs = st.fixed_dictionaries(
    {"controller_vm": st.just({"local": {"machine": {"oversubscribe": True}}})},
    optional={
        "name": _names,
        "scale_groups": st.dictionaries(_names, _groups, max_size=3),
        "autoscaler": st.fixed_dictionaries(
            {},
            optional={"idle_timeout": st.one_of(st.just("0s"), _durations), "interval": _durations},
        ),
        "scheduling": st.fixed_dictionaries(
            {},
            optional={
                "preemption": st.booleans(),
                "default_user": _users,
                "users": st.dictionaries(_names, _users, max_size=2),
            },
        ),
        "worker": st.fixed_dictionaries(
            {}, optional={"stop_grace": _durations, "inherit_env": st.lists(_texts, max_size=3)}
        ),
    },
)


def test_a_budget_of_nothing_is_not_an_unlimited_one() -> None:
    text = _LOCAL + "scheduling: {default_user: {budget: {cpu: 0, accelerators: {gpu: 0}}}}\n"
    for config in (_parse(text), _parse(config_to_yaml(_parse(text)))):
        budget = config.scheduling.default_user.budget
        assert (budget.HasField("cpu"), budget.HasField("memory")) == (True, False)
        assert dict(budget.accelerators) == {"gpu": 0}


def test_what_variables_held_is_dumped_and_stays_itself_anywhere() -> None:
    text = _LOCAL + (
        "ssh: {identity_file: '$${odd}/${DIR}'}\n"
        "bootstrap: {commands: ['echo ${A} $${B}'], environment: {A: '${VALUE}', B: '$${VALUE}'}}\n"
    )
    environment = {"VALUE": "${A} $${B} $", "DIR": "$HOME"}
    config = parse_config(text, "c.yaml", folder=Path("/x"), environment=environment)
    assert config.ssh.identity_file == "/x/${odd}/$HOME"
    assert dict(config.bootstrap.environment) == {"A": "${A} $${B} $", "B": "${VALUE}"}
    assert list(config.bootstrap.commands) == ["echo ${A} $${B}"]
    assert parse_config(config_to_yaml(config), "again", environment={"A": "other"}) == config


@settings(deadline=None)
@given(_configs)
def test_what_is_dumped_loads_to_the_same(tree: dict[str, object]) -> None:
    config = _parse(yaml.safe_dump(tree))
    assert _parse(config_to_yaml(config)) == config


def test_the_defaults_load_to_themselves() -> None:
    for text in (_LOCAL, (_EXAMPLES / "local.yaml").read_text()):
        config = _parse(text)
        assert _parse(config_to_yaml(config)) == config
