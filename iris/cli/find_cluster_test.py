"""Finding the cluster: named, discovered, missing, ambiguous, silent."""

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from iris.cli.cluster_arguments import ClusterFlags
from iris.cli.errors import UsageError
from iris.cli.fake_person import FakePerson
from iris.cli.find_cluster import ClusterAccess, find_cluster, find_state_folder
from iris.client.fake_controller import TOKEN, FakeController
from iris.host.processes import ProcessIdentity
from iris.lifecycle.state_folder import ControllerRecord
from iris.model.errors import FailedPrecondition, Unavailable


@pytest_asyncio.fixture
async def controller() -> AsyncIterator[FakeController]:
    async with FakeController().serve() as fake:
        yield fake


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state" / "iris"


@pytest.fixture
def person(tmp_path: Path) -> FakePerson:
    return FakePerson(tmp_path, {"XDG_STATE_HOME": str(tmp_path / "state")})


def publish(
    folder: Path, address: str, *, name: str = "fake", process: ProcessIdentity | None = None
) -> Path:
    """What a running controller leaves in its state folder."""
    folder.mkdir(parents=True)
    record = ControllerRecord(address, process or ProcessIdentity.current(), name, "one")
    (folder / "controller.json").write_bytes(record.to_json())
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    return folder


async def test_the_only_cluster_is_found(
    controller: FakeController, root: Path, person: FakePerson
) -> None:
    publish(root / "fake", controller.address)
    publish(root / "dead", "127.0.0.1:1", process=ProcessIdentity(os.getpid(), 1))
    assert await find_cluster(ClusterFlags(), person.context) == ClusterAccess(
        controller.address, TOKEN
    )


@pytest.mark.parametrize("by", ["flag", "relative flag", "variable"])
async def test_a_state_folder_is_named(
    controller: FakeController, tmp_path: Path, person: FakePerson, by: str
) -> None:
    folder = publish(tmp_path / "mine", controller.address)
    flags = {"flag": str(folder), "relative flag": "mine", "variable": None}[by]
    person.environment["IRIS_STATE_DIR"] = str(folder) if by == "variable" else "/elsewhere"
    assert (
        await find_cluster(ClusterFlags(state_dir=flags), person.context)
    ).address == controller.address


async def test_an_address_is_named(
    controller: FakeController, tmp_path: Path, person: FakePerson
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    flags = ClusterFlags(address=controller.address, token_file="token")
    assert await find_cluster(flags, person.context) == ClusterAccess(controller.address, TOKEN)


async def test_no_cluster(person: FakePerson) -> None:
    with pytest.raises(FailedPrecondition, match="No cluster runs on this machine") as caught:
        await find_cluster(ClusterFlags(), person.context)
    assert "./bazelw run //tools:local_cluster" in caught.value.hint


async def test_no_cluster_in_a_named_folder(tmp_path: Path, person: FakePerson) -> None:
    with pytest.raises(FailedPrecondition, match="No cluster runs with the state folder") as caught:
        await find_cluster(ClusterFlags(state_dir="none"), person.context)
    assert f"--state_dir={tmp_path / 'none'}" in caught.value.hint


async def test_several_clusters(controller: FakeController, root: Path, person: FakePerson) -> None:
    publish(root / "one", controller.address, name="one")
    publish(root / "two", controller.address, name="two")
    with pytest.raises(UsageError, match=r"2 clusters run on this machine: one .*, two ") as caught:
        await find_cluster(ClusterFlags(), person.context)
    assert "--state-dir" in caught.value.hint


async def test_nobody_answers(root: Path, tmp_path: Path, person: FakePerson) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    publish(root / "fake", address)
    (tmp_path / "token").write_text(TOKEN)
    with pytest.raises(Unavailable, match="The cluster fake runs but does not answer"):
        await find_cluster(ClusterFlags(), person.context)
    with pytest.raises(Unavailable, match=f"No cluster answers at {address}"):
        await find_cluster(ClusterFlags(address=address, token_file="token"), person.context)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (ClusterFlags(address="h:1"), "--address goes with --token-file"),
        (
            ClusterFlags(address="h:1", token_file="t", state_dir="s"),
            "--address goes with --token-file",
        ),
        (ClusterFlags(token_file="t"), "--token-file does not go with this"),
    ],
)
async def test_flags_that_do_not_go_together(
    person: FakePerson, flags: ClusterFlags, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        await find_cluster(flags, person.context)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file"),
        (b" \n", "holds no token"),
        (b"\xff", "holds no token"),
    ],
)
async def test_token_files_that_are_of_no_use(
    tmp_path: Path, person: FakePerson, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(FailedPrecondition, match=problem):
        await find_cluster(ClusterFlags(address="h:1", token_file="token"), person.context)


async def test_an_address_is_no_state_folder(person: FakePerson) -> None:
    with pytest.raises(UsageError, match="--address does not go with this"):
        await find_state_folder(ClusterFlags(address="h:1", token_file="t"), person.context)
