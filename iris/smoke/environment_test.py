"""The report says where it ran, and how to run it again."""

from dataclasses import replace
from pathlib import Path

import pytest

from iris.smoke.environment import command_to_repeat, describe_environment, describe_isolation
from iris.smoke.isolation import LINUX_SANDBOX, Isolation

SEALED = Isolation(LINUX_SANDBOX, ("lo",), (), Path("/home/alice"), (), ("/tmp",))
OPEN = Isolation("", ("eth0", "lo"), ("192.0.2.1",), Path("/home/alice"), ("a", "b", "c", "d"), ())


def test_under_bazel_the_target_is_what_a_person_types() -> None:
    command = command_to_repeat(
        ["/sandbox/17/smoke_local.py", "--x"], {"TEST_TARGET": "//tests:smoke_local"}, 7
    )
    assert command == "./bazelw test //tests:smoke_local --nocache_test_results --test_arg=--seed=7"


def test_elsewhere_it_is_the_program_with_its_flags_quoted() -> None:
    command = command_to_repeat(["smoke", "--config=a b.yaml", "--seed=6"], {}, 7)
    assert command == "smoke '--config=a b.yaml' --seed=7"


def test_what_bazel_runs_is_run_by_bazel_again() -> None:
    command = command_to_repeat(["/x/smoke.py", "--local"], {"BUILD_WORKING_DIRECTORY": "/w"}, 7)
    assert command == "./bazelw run //tools:smoke -- --local --seed=7"


def test_every_fact_has_a_value() -> None:
    facts = describe_environment()
    assert all(facts.values())
    assert {"sandbox", "network", "home", "writable outside", "processors"} <= set(facts)


def test_it_says_what_was_found_and_not_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    sealed = describe_isolation(SEALED)
    assert sealed["sandbox"].startswith("linux-sandbox")
    assert sealed["network"].startswith("loopback only")
    assert sealed["home"] == "HOME is not set; nothing in /home/alice can be read"
    assert sealed["writable outside"] == "/tmp"

    monkeypatch.setenv("HOME", "/home/alice")
    bare = describe_isolation(OPEN)
    assert bare["sandbox"].startswith("none")
    assert bare["network"] == "interfaces eth0, lo; other addresses can be reached"
    assert bare["home"] == "HOME is /home/alice; in /home/alice can be read: a, b, c and 1 more"


def test_loopback_alone_is_not_enough_if_there_is_a_way_out() -> None:
    assert not replace(SEALED, reachable=("192.0.2.1",)).has_own_network
