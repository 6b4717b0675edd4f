"""Outputs and endpoints as the client sees them: folders there and back, through breaks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from iris.client.client import Client
from iris.client.fake_controller import TOKEN, Cut, FakeController
from iris.client.views import EndpointView
from iris.model.errors import AlreadyExists, DataLoss, NotFound
from iris.model.ids import AttemptUid, TaskId

ATTEMPT, TASK = AttemptUid("attempt-1"), TaskId("/ann/train/0")


@pytest_asyncio.fixture
async def controller() -> AsyncIterator[FakeController]:
    async with FakeController().serve() as fake:
        yield fake


@pytest_asyncio.fixture
async def client(controller: FakeController) -> AsyncIterator[Client]:
    async with Client.connect(controller.address, TOKEN) as connected:
        yield connected


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights").write_bytes(bytes(range(256)) * 4)
    return folder


async def published(controller: FakeController, client: Client, model: Path) -> None:
    """The model is an output of TASK."""
    output = await client.publish_output(ATTEMPT, "model", model)
    assert output.size_bytes == len(controller.bundles[output.digest])
    controller.outputs[TASK, "model"] = controller.outputs[ATTEMPT, "model"]


@pytest.mark.parametrize("breaks", [False, True])
async def test_an_output_comes_back_as_it_was(
    controller: FakeController,
    client: Client,
    model: Path,
    tmp_path: Path,
    breaks: bool,
) -> None:
    await published(controller, client, model)
    if breaks:
        controller.cuts["DownloadBundle"] = [(1, Cut.UNAVAILABLE), (0, Cut.UNAVAILABLE)]
    fetched = tmp_path / "fetched"
    output = await client.fetch_output(TASK, "model", fetched)
    assert output.name == "model"
    found = [path.relative_to(fetched) for path in fetched.rglob("*")]
    assert found == [path.relative_to(model) for path in model.rglob("*")]
    assert (fetched / "deep" / "weights").read_bytes() == bytes(range(256)) * 4
    offsets = [request.offset for request in controller.requests["DownloadBundle"]]
    assert offsets == ([0, 100, 100] if breaks else [0])


async def test_nothing_is_written_over(
    controller: FakeController, client: Client, model: Path
) -> None:
    await published(controller, client, model)
    with pytest.raises(AlreadyExists, match="model"):
        await client.fetch_output(TASK, "model", model)
    assert not controller.requests["DownloadBundle"]


async def test_what_is_damaged_leaves_nothing(
    controller: FakeController, client: Client, model: Path, tmp_path: Path
) -> None:
    await published(controller, client, model)
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    digest = controller.outputs[TASK, "model"].digest
    controller.bundles[digest] = controller.bundles[(await client.upload_bundle(other)).digest]
    with pytest.raises(DataLoss, match="digest"):
        await client.fetch_output(TASK, "model", tmp_path / "fetched")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


async def test_what_was_not_published_is_not_found(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no output 'model'"):
        await client.fetch_output(TASK, "model", tmp_path / "fetched")


async def test_an_endpoint_is_told_in_full(client: Client) -> None:
    made = await client.register_endpoint(ATTEMPT, "http", "w:80", {"a": "b"})
    assert made == EndpointView("/ann/train/http", "w:80", {"a": "b"}, TASK, ATTEMPT)
