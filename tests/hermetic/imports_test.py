"""What is in the lock file but not among a target's deps cannot be imported by it."""

import importlib
import re
from pathlib import Path

import pytest
from absl import flags

LOCK = flags.DEFINE_string("lock", None, "The lock file.", required=True)

# Distributions that Iris needs and this target does not declare, and a module of each.
UNDECLARED = {
    "cloudpickle": "cloudpickle",
    "grpcio": "grpc",
    "hypothesis": "hypothesis",
    "msgspec": "msgspec",
    "protobuf": "google.protobuf",
    "psutil": "psutil",
    "pyyaml": "yaml",
    "rich": "rich",
}
DECLARED = "sortedcontainers"


def locked() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", Path(LOCK.value).read_text(), re.MULTILINE))


def test_what_is_declared_is_imported() -> None:
    """The control: a wheel of the lock is found once it is among the deps."""
    assert DECLARED in locked()
    assert importlib.import_module(DECLARED).SortedDict({2: "b", 1: "a"}).keys()[0] == 1


@pytest.mark.parametrize(("distribution", "module"), UNDECLARED.items())
def test_what_is_not_declared_is_not(distribution: str, module: str) -> None:
    assert distribution in locked(), f"{distribution} left the lock; take another for this test"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(module)


@pytest.mark.parametrize("module", ["iris.model.ids", "iris.worker.worker", "tests.torture.cases"])
def test_nor_is_a_library_of_the_workspace(module: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(module)
