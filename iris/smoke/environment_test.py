"""The report says where it ran, and how to run it again."""

from iris.smoke.environment import command_to_repeat, describe_environment


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
    assert {"sandbox", "network", "processors", "python"} <= set(facts)
