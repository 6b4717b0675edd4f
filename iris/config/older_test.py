"""Tests of older spellings: what they become, and what is said about them."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.config import ConfigError, Problem, parse_config
from iris.model.resources import GIB, Resources

_LOCAL = "controller_vm: {local: {machine: {oversubscribe: true}}}\n"


def _load(text: str) -> tuple[config_pb2.ClusterConfig, list[str]]:
    warnings: list[Problem] = []
    config = parse_config(
        _LOCAL + text,
        "c.yaml",
        folder=Path("/"),
        machine=lambda: Resources(1000, GIB, GIB),
        warn=warnings.append,
    )
    return config, [str(warning) for warning in warnings]


def _problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _load(text)
    return str(caught.value).splitlines()


def _group(rest: str) -> str:
    return f"scale_groups: {{a: {{provider: {{local: }}, {rest}}}}}"


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (
            "timeouts: {boot_timeout_seconds: 300}",
            "timeouts: {boot_timeout: 5m}",
            "c.yaml:2:12: timeouts.boot_timeout_seconds: is an older spelling; "
            "write boot_timeout: 300s",
        ),
        (
            "worker: {stop_grace_seconds: 0.5}",
            "worker: {stop_grace: 500ms}",
            "c.yaml:2:10: worker.stop_grace_seconds: is an older spelling; write stop_grace: 0.5s",
        ),
        (
            "autoscaler: {boot_timeout: 5m}",
            "timeouts: {boot_timeout: 5m}",
            "c.yaml:2:14: autoscaler.boot_timeout: has moved; write timeouts: {boot_timeout: 5m}",
        ),
        (
            "autoscaler: {call_timeout_seconds: 7, interval: 1s}\ntimeouts: {boot_timeout: 1m}",
            "autoscaler: {interval: 1s}\ntimeouts: {call_timeout: 7s, boot_timeout: 1m}",
            "c.yaml:2:14: autoscaler.call_timeout: has moved; write timeouts: {call_timeout: 7s}",
        ),
        (
            "autoscaler: {call_timeout: 7s}\ntimeouts:",
            "timeouts: {call_timeout: 7s}",
            "c.yaml:2:14: autoscaler.call_timeout: has moved; write timeouts: {call_timeout: 7s}",
        ),
        (
            _group("accelerator_type: v5litepod-16"),
            _group("accelerator_type: tpu, accelerator_variant: v5litepod-16"),
            "c.yaml:2:59: scale_groups.a.accelerator_type: v5litepod-16 is a variant; "
            "write accelerator_type: tpu and accelerator_variant: v5litepod-16",
        ),
        (
            _group("accelerator_type: V4-8, accelerator_variant: v4-8"),
            _group("accelerator_type: tpu, accelerator_variant: v4-8"),
            "c.yaml:2:59: scale_groups.a.accelerator_type: V4-8 is a variant; "
            "write accelerator_type: tpu and accelerator_variant: v4-8",
        ),
        (
            _group("accelerator_type: tpu, accelerator_variant: v5e-16"),
            _group("accelerator_type: tpu, accelerator_variant: v5litepod-16"),
            "c.yaml:2:85: scale_groups.a.accelerator_variant: v5e-16 is v5litepod-16 to the "
            "cloud's API; write accelerator_variant: v5litepod-16",
        ),
        (
            f"scale_group_defaults: {{timeouts: {{call_timeout_seconds: 9}}}}\n{_group('')}",
            f"scale_group_defaults: {{timeouts: {{call_timeout: 9s}}}}\n{_group('')}",
            "c.yaml:2:35: scale_group_defaults.timeouts.call_timeout_seconds: is an older "
            "spelling; write call_timeout: 9s",
        ),
    ],
)
def test_an_older_spelling_means_what_today_s_means(old: str, new: str, warning: str) -> None:
    config, warnings = _load(old)
    assert warnings == [warning]
    expected, none = _load(new)
    assert config == expected
    assert not none


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "timeouts: {boot_timeout_seconds: soon}",
            "c.yaml:2:34: timeouts.boot_timeout_seconds: expected a number of seconds, "
            "found 'soon'; write e.g. boot_timeout: 5m",
        ),
        (
            "timeouts: {boot_timeout_seconds: 1, boot_timeout: 2s}",
            "c.yaml:2:12: timeouts.boot_timeout_seconds: is an older spelling of "
            "timeouts.boot_timeout, which stands in line 2 already; leave it out",
        ),
        (
            "autoscaler: {boot_timeout: 1s}\ntimeouts: {boot_timeout: 2s}",
            "c.yaml:2:14: autoscaler.boot_timeout: is an older spelling of "
            "timeouts.boot_timeout, which stands in line 3 already; leave it out",
        ),
        (
            _group("accelerator_type: v4-8, accelerator_variant: v4-16"),
            "c.yaml:2:59: scale_groups.a.accelerator_type: is v4-8, but accelerator_variant is "
            "v4-16; write accelerator_type: tpu",
        ),
        (
            "timeouts: {boot_timeout_seconds: 0}",
            "c.yaml:2:34: timeouts.boot_timeout: '0s' has to be more than zero",
        ),
        (
            "worker: {max_processes_seconds: 0}",
            "c.yaml:2:10: worker.max_processes_seconds: unknown key 'max_processes_seconds', "
            "did you mean 'max_processes'?",
        ),
    ],
)
def test_what_an_older_spelling_cannot_mean(text: str, expected: str) -> None:
    assert _problems(text) == [expected]


def test_an_anchor_is_turned_once_and_counts_in_each_place() -> None:
    config, warnings = _load(
        "timeouts: &t {boot_timeout_seconds: 60}\n"
        "scale_groups:\n"
        "  a: {provider: {local: }, timeouts: *t}\n"
        "  b: {provider: {local: }, timeouts: {<<: *t, call_timeout: 1s}}\n"
    )
    assert len(warnings) == 1
    for group in config.scale_groups.values():
        assert group.timeouts.boot_timeout.ToTimedelta() == timedelta(minutes=1)


def test_a_mapping_that_holds_itself_ends() -> None:
    assert len(_problems("worker: &w {health: *w}")) == 1


def test_warnings_are_logged_where_nobody_asks_for_them(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "iris.config"):
        parse_config(_LOCAL + "timeouts: {boot_timeout_seconds: 1}", "c.yaml")
    assert [record.getMessage() for record in caplog.records] == [
        "c.yaml:2:12: timeouts.boot_timeout_seconds: is an older spelling; write boot_timeout: 1s"
    ]
