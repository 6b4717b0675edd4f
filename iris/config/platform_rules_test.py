"""Tests of rules about platforms and controllers, each with its exact message."""

from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.config import ConfigError, parse_config
from iris.config.platform_rules import machine_name
from iris.model.resources import GIB, Resources

_MANUAL = "controller_vm: {manual: {host: head}}\n"
_GCP = "project_id: p\nzone: z\ncontroller_vm: {gcp: {}}\n"
_UNREACHED = (
    "its workers could not reach a local controller, which listens on 127.0.0.1 only: it speaks no "
    "TLS yet. Use controller_vm.manual or controller_vm.gcp; `iris config local` makes a "
    "configuration of which everything runs here"
)


def _load(text: str, environment: dict[str, str] | None = None) -> config_pb2.ClusterConfig:
    return parse_config(
        text,
        "c.yaml",
        folder=Path("/etc/cluster"),
        machine=lambda: Resources(1000, GIB, GIB),
        environment=environment or {},
    )


def _problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _load(text)
    return str(caught.value).splitlines()


def _hosts(*groups: str, more: str = "") -> str:
    lines = [
        f"  g{number}: {{provider: {{manual: {{hosts: [{hosts}]}}}}{more}}}"
        for number, hosts in enumerate(groups, start=1)
    ]
    return _MANUAL + "scale_groups:\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            _hosts("a, b, ada@A"),
            ["c.yaml:3:42: {g}1.{h}[2]: 'ada@A' stands in this list already; {no}"],
        ),
        (
            _hosts("a, b", "c, B"),
            ["c.yaml:4:39: {g}2.{h}[1]: 'B' stands in scale group 'g1' already; {no}"],
        ),
        (
            _hosts("-oProxyCommand=x"),
            ["c.yaml:3:36: {g}1.{h}[0]: '-oProxyCommand=x' is no host; {host}"],
        ),
        (_hosts("'a b'"), ["c.yaml:3:36: {g}1.{h}[0]: 'a b' is no host; {host}"]),
        (_hosts("ada@"), ["c.yaml:3:36: {g}1.{h}[0]: 'ada@' is no host; {host}"]),
        (_hosts("''"), ["c.yaml:3:36: {g}1.{h}[0]: '' is no host; {host}"]),
        (_hosts(""), ["c.yaml:3:28: {g}1.{h}: a slice needs 1 host, there are 0"]),
        (
            _hosts("a", more=", vms_per_slice: 2"),
            ["c.yaml:3:28: {g}1.{h}: a slice needs 2 hosts, there is 1"],
        ),
        (
            _hosts("a, b", more=", accelerator_type: tpu, accelerator_variant: v4-32"),
            ["c.yaml:3:28: {g}1.{h}: a slice needs 4 hosts, there are 2"],
        ),
        (
            _hosts("a, b, c", more=", vms_per_slice: 2, max_slices: 2"),
            [
                "c.yaml:3:66: {g}1.max_slices: 2 slices of 2 VMs need 4 hosts, there are 3; "
                "leave it out for as many as there are hosts for"
            ],
        ),
        (
            _hosts("a", more=", max_slices: 2"),
            [
                "c.yaml:3:42: {g}1.max_slices: 2 slices need 2 hosts, there is 1; "
                "leave it out for as many as there are hosts for"
            ],
        ),
        (
            _hosts("a, b", more=", min_slices: 3"),
            ["c.yaml:3:45: {g}1.min_slices: min_slices is 3, but max_slices is 2"],
        ),
        (
            _hosts("a, b", more=", buffer_slices: 3"),
            ["c.yaml:3:45: {g}1.buffer_slices: buffer_slices is 3, but max_slices is 2"],
        ),
        (
            _MANUAL + "scale_groups: {g1: {provider: {slurm: }, buffer_slices: 2}}",
            [
                "c.yaml:2:42: {g}1.buffer_slices: buffer_slices is 2, "
                "but max_slices is 1 (its default)"
            ],
        ),
        # What cannot be read is not counted.
        (
            _hosts('"${UNSET}"', more=", max_slices: 3"),
            [
                "c.yaml:3:36: {g}1.{h}[0]: the environment variable UNSET is not set; set it, "
                "or write ${{UNSET:-what holds without it}}"
            ],
        ),
        (
            _MANUAL + "scale_groups: {g1: {provider: {manual: }}}",
            ["c.yaml:2:32: {g}1.provider.manual: 'hosts' is missing; a list is needed here"],
        ),
    ],
)
def test_hosts(text: str, expected: list[str]) -> None:
    words = {
        "g": "scale_groups.g",
        "h": "provider.manual.hosts",
        "no": "no host can be in two slices",
        "host": "write a host as for the ssh command: name, address or user@address",
    }
    assert _problems(text) == [line.format(**words) for line in expected]


@pytest.mark.parametrize(
    ("more", "slices"),
    [("", 5), (", vms_per_slice: 2", 2), (", vms_per_slice: 5", 1), (", max_slices: 3", 3)],
)
def test_slices_of_hosts_are_as_many_as_there_are_hosts_for(more: str, slices: int) -> None:
    assert _load(_hosts("a, b, c, d, e", more=more)).scale_groups["g1"].max_slices == slices


def test_max_slices_of_the_defaults_holds_for_hosts_too() -> None:
    text = _hosts("a, b") + "\nscale_group_defaults: {max_slices: 1}"
    assert _load(text).scale_groups["g1"].max_slices == 1


def test_a_machine_is_told_by_its_name_alone() -> None:
    assert machine_name("ada@Lab-1") == machine_name("lab-1") == "lab-1"
    assert machine_name("a@b@c") == "c"


def _tpu(group: str, top: str = _GCP) -> str:
    return f"{top}scale_groups:\n  t:\n    provider: {{tpu: {{}}}}\n    {group}"


_V4 = "accelerator_type: tpu\n    accelerator_variant: v4-8"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            _tpu(_V4, _MANUAL),
            [
                "c.yaml:3:3: {t}: zones is missing; name those that may be used, "
                "or a zone at the top",
                "c.yaml:4:16: {t}.provider.tpu: 'project_id' is missing; name it here, "
                "or once at the top",
            ],
        ),
        (
            _tpu("max_slices: 2"),
            [
                "c.yaml:6:16: {t}.provider.tpu: sells TPU slices, but accelerator_type is not set; "
                "say tpu, and which one in accelerator_variant"
            ],
        ),
        (
            _tpu("accelerator_type: gpu\n    accelerator_count: 1"),
            [
                "c.yaml:6:16: {t}.provider.tpu: sells TPU slices, but accelerator_type is gpu; "
                "say tpu, and which one in accelerator_variant"
            ],
        ),
        (
            _tpu("accelerator_type: tpu\n    accelerator_variant: v5litepod-15"),
            [
                "c.yaml:8:5: {t}.accelerator_variant: unknown TPU 'v5litepod-15', "
                "did you mean 'v5litepod-1'?"
            ],
        ),
        (
            _tpu(_V4 + "\n    zones: ['']"),
            ["c.yaml:9:5: {t}.zones: a zone needs a name, e.g. us-central1-a"],
        ),
        (
            "controller_vm: {gcp: }",
            [
                "c.yaml:1:17: controller_vm.gcp: 'project_id' is missing; name it here, "
                "or once at the top",
                "c.yaml:1:17: controller_vm.gcp: 'zone' is missing; name it here, "
                "or once at the top",
            ],
        ),
        (
            "controller_vm: {gcp: {project_id: p, zone: z, boot_disk_size: 1GB, port: 0}}",
            [
                "c.yaml:1:63: controller_vm.gcp.boot_disk_size: 1GB is less than the minimum, "
                "9.31 GiB",
                "c.yaml:1:74: controller_vm.gcp.port: 0 is less than the minimum, 1",
            ],
        ),
        (
            "controller_vm: {gcp: {project_id: p, zone: z, state_dir: state}}",
            [
                "c.yaml:1:47: controller_vm.gcp.state_dir: 'state' lies on another machine; "
                "write it from / or ~/"
            ],
        ),
    ],
)
def test_clouds(text: str, expected: list[str]) -> None:
    assert _problems(text) == [line.format(t="scale_groups.t") for line in expected]


def test_a_project_and_a_zone_may_be_named_once_for_all() -> None:
    text = _tpu(_V4 + "\n    zones: [own]") + "\n  u:\n    provider: {tpu: {project_id: own}}\n    "
    config = _load(text + _V4)
    assert config.controller_vm.gcp.project_id == "p"
    assert config.controller_vm.gcp.zone == "z"
    for name, project, zones in (("t", "p", ["own"]), ("u", "own", ["z"])):
        group = config.scale_groups[name]
        assert (group.provider.tpu.project_id, list(group.zones)) == (project, zones)


def test_local_needs_neither_a_project_nor_hosts() -> None:
    assert _load("controller_vm: {local: }\nscale_groups: {a: {provider: {local: }}}")


@pytest.mark.parametrize(
    ("provider", "place"),
    [("tpu: {project_id: p}", "provider.tpu"), ("slurm: {}", "provider.slurm")],
)
def test_workers_that_could_not_reach_a_local_controller(provider: str, place: str) -> None:
    tpu = ", accelerator_type: tpu, accelerator_variant: v4-8, zones: [z]" if "tpu" in place else ""
    text = f"controller_vm: {{local: }}\nscale_groups: {{a: {{provider: {{{provider}}}{tpu}}}}}"
    assert _problems(text) == [f"c.yaml:2:31: scale_groups.a.{place}: {_UNREACHED}"]


def test_hosts_reach_a_local_controller_through_the_connection_they_were_started_by() -> None:
    text = _hosts("lab-1, localhost").replace(_MANUAL, "controller_vm: {local: }\n")
    assert _load(text).scale_groups["g1"].max_slices == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh: {port: 0}", "2:13: ssh.port: 0 is less than the minimum, 1"),
        ("ssh: {port: 70000}", "2:13: ssh.port: 70000 is more than the maximum, 65535"),
        ("ssh: {user: -l}", "2:7: ssh.user: '-l' is no name of a user"),
        (
            "ssh: {jump_host: 'a,-b'}",
            "2:7: ssh.jump_host: 'a,-b' is no host; write a host as for the ssh command: name, "
            "address or user@address",
        ),
        (
            "ssh: {options: {identityFILE: x}}",
            "2:17: ssh.options.identityFILE: identityFILE cannot be set here; say identity_file",
        ),
        (
            'ssh: {options: {SetEnv: "A=b\\nProxyCommand x"}}',
            "2:17: ssh.options.SetEnv: 'A=b\\nProxyCommand x' has more than one line",
        ),
        (
            "ssh: {options: {controlPath: x}}",
            "2:17: ssh.options.controlPath: controlPath cannot be set here; "
            "Iris decides it for itself",
        ),
        (
            "ssh: {options: {Set-Env: x}}",
            "2:17: ssh.options.Set-Env: 'Set-Env' does not match [A-Za-z0-9]+",
        ),
        (
            "bootstrap: {work_dir: iris}",
            "2:13: bootstrap.work_dir: 'iris' lies on another machine; write it from / or ~/",
        ),
        (
            "bootstrap: {python: ''}",
            "2:13: bootstrap.python: a program is needed, e.g. python3 or /opt/python/bin/python",
        ),
        (
            "bootstrap: {commands: ['']}",
            "2:24: bootstrap.commands[0]: a command for /bin/sh is needed",
        ),
        (
            "bootstrap: {environment: {A-B: x}}",
            "2:27: bootstrap.environment.A-B: 'A-B' does not match [A-Za-z_][A-Za-z0-9_]*",
        ),
        (
            "timeouts: {boot_timeout: 0s}",
            "2:26: timeouts.boot_timeout: '0s' has to be more than zero",
        ),
        (
            "scale_groups: {a: {provider: {slurm: {sbatch_options: [exclusive]}}}}",
            "2:56: scale_groups.a.provider.slurm.sbatch_options[0]: 'exclusive' is no option of "
            "sbatch, such as --exclusive or --mem=0",
        ),
    ],
)
def test_how_machines_are_reached_and_set_up(text: str, expected: str) -> None:
    assert _problems(_MANUAL + text) == [f"c.yaml:{expected}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{local: , image: x}",
            "image: a local controller is a plain process, without an image; leave it out",
        ),
        (
            "{manual: {host: h}, bundle_prefix: bucket}",
            "bundle_prefix: 'bucket' is no address of a storage such as gs://bucket/folder",
        ),
        (
            "{local: {bundle_dir: b, cache_dir: ./b}}",
            "local.cache_dir: is the same folder as bundle_dir: /etc/cluster/b",
        ),
        (
            "{local: {state_dir: /}}",
            "local.state_dir: is the root of all files; name a folder below it",
        ),
        (
            "{manual: {host: -h}}",
            "manual.host: '-h' is no host; write a host as for the ssh command: name, address or "
            "user@address",
        ),
        (
            "{manual: {host: h, state_dir: s}}",
            "manual.state_dir: 's' lies on another machine; write it from / or ~/",
        ),
    ],
)
def test_controllers(text: str, expected: str) -> None:
    (problem,) = _problems(f"controller_vm: {text}")
    assert problem.split(": ", 1)[1] == f"controller_vm.{expected}"


@pytest.mark.parametrize("folder", ["~", "~/iris", "/var/lib/iris"])
def test_folders_on_other_machines_stay_as_they_are_written(folder: str) -> None:
    config = _load(f"controller_vm: {{manual: {{host: h, state_dir: '{folder}'}}}}")
    assert config.controller_vm.manual.state_dir == folder


def test_keys_of_hosts_that_were_never_seen_may_be_taken() -> None:
    text = _MANUAL + "ssh: {options: {StrictHostKeyChecking: accept-new, SetEnv: A=b}}"
    assert len(_load(text).ssh.options) == 2


def test_everything_that_is_wrong_comes_at_once_in_the_order_of_the_file() -> None:
    text = (
        "controller_vm: {manual: {host: -h, prot: 1}}\n"
        "ssh: {port: 0}\n"
        "scale_groups:\n"
        "  a: {provider: {manual: {hosts: [x, x]}}, buffer_slices: 9}\n"
        "  b: {provider: {tpu: }}\n"
        "timeouts: {boot_timeout: never}\n"
    )
    assert [line.split(": ")[:2] for line in _problems(text)] == [
        ["c.yaml:1:26", "controller_vm.manual.host"],
        ["c.yaml:1:36", "controller_vm.manual.prot"],
        ["c.yaml:2:13", "ssh.port"],
        ["c.yaml:4:38", "scale_groups.a.provider.manual.hosts[1]"],
        ["c.yaml:4:44", "scale_groups.a.buffer_slices"],
        ["c.yaml:5:3", "scale_groups.b"],
        ["c.yaml:5:18", "scale_groups.b.provider.tpu"],
        ["c.yaml:5:18", "scale_groups.b.provider.tpu"],
        ["c.yaml:6:26", "timeouts.boot_timeout"],
    ]
