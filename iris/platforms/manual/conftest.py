"""What all tests of this room share. Hosts live as long as a file of tests: what was shipped to them stays."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from iris.platforms.manual.hosts_fixture import World, shipped, world
from iris.testing.ssh_hosts import SshHosts


@pytest.fixture(scope="session")
def iris_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is shipped."""
    return shipped(tmp_path_factory.mktemp("ship"))


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHosts]:
    """Three of them."""
    with SshHosts(tmp_path_factory.mktemp("ssh"), 3) as made:
        yield made


@pytest.fixture
async def lab(hosts: SshHosts, iris_file: Path) -> AsyncIterator[World]:
    """A controller, and hosts on which nothing is left afterwards."""
    async with world(hosts, iris_file) as made:
        yield made
