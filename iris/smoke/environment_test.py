"""The report says where it ran, and how to run it again."""

from iris.smoke.environment import command_to_repeat, describe_environment


def test_under_bazel_the_target_is_what_a_person_types() -> None:
    command = command_to_repeat(
        ["/sandbox/17/smoke_local.py", "--x"], {"TEST_TARGET": "//tests:smoke_local"}
    )
    assert command == "./bazelw test //tests:smoke_local --nocache_test_results"


def test_elsewhere_it_is_the_program_with_its_flags_quoted() -> None:
    assert command_to_repeat(["smoke", "--config=a b.yaml"], {}) == "smoke '--config=a b.yaml'"


def test_every_fact_has_a_value() -> None:
    facts = describe_environment()
    assert all(facts.values())
    assert {"sandbox", "network", "processors", "python"} <= set(facts)
