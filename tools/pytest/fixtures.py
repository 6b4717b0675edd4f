"""Fixtures that every test of the project has."""

import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from tools.pytest.bazel_plugin import ENVIRONMENT, seed_of


@pytest.fixture(scope="session")
def undeclared_outputs_dir(pytestconfig: pytest.Config) -> pathlib.Path:
    """Where to leave what a person needs after a failure: reports, logs, event logs."""
    folder = pytestconfig.stash[ENVIRONMENT].undeclared_outputs
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def short_tmp_path() -> Iterator[pathlib.Path]:
    """A folder whose path is short enough for AF_UNIX sockets (at most 107 bytes), removed after."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="t.", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def test_seed(request: pytest.FixtureRequest) -> str:
    """What `random` was seeded with, for generators of a test's own."""
    return seed_of(request.node)
