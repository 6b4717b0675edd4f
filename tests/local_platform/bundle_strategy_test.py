"""How a program's code reaches its tasks: a workspace as a bundle, which travels once and is kept, or
a function that travels with its job and needs no bundle at all; and both together.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest

from iris.client import Client, LogStream, entrypoint_of
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import ATTRIBUTE_SCALE_GROUP
from iris.model.job import Entrypoint, JobSpec
from iris.model.states import JobState
from tests.local_platform.platform_fixture import (
    SMALL,
    client_of,
    lines,
    platform_config,
    run_to_end,
    running_cluster,
)

_PROGRAM = """
from beside import WORD
import data, os
print(WORD, data.read(), os.getcwd())
"""


@pytest.fixture(autouse=True)
def by_value() -> Iterator[None]:
    """This file's functions travel, as those of a program's own file do."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A program of three files, and one that does not belong to it."""
    folder = tmp_path / "workspace"
    (folder / "data").mkdir(parents=True)
    (folder / "program.py").write_text(_PROGRAM)
    (folder / "beside.py").write_text("WORD = 'hello'\n")
    (folder / "data" / "__init__.py").write_text(
        "import pathlib\n"
        "def read():\n    return pathlib.Path(__file__).with_name('word').read_text()\n"
    )
    (folder / "data" / "word").write_text("world")
    return folder


def say(*words: str) -> None:
    """Runs in the task; reads what its bundle brought, if it has one."""
    here = sorted(path.name for path in Path().iterdir())
    print(*words, *here)


async def _in_group(client: Client, name: str, spec: JobSpec) -> list[str]:
    job = await run_to_end(client, name, spec)
    errors = await lines(client, job.job_id, LogStream.STDERR)
    assert job.state is JobState.SUCCEEDED, errors
    return await lines(client, job.job_id)


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def _only(group: str) -> tuple[Constraint, ...]:
    return (Constraint(ATTRIBUTE_SCALE_GROUP, ConstraintOp.EQ, (group,)),)


async def test_a_workspace_travels_once_and_runs_on_every_machine(
    tmp_path: Path, workspace: Path
) -> None:
    argv = Entrypoint((sys.executable, "program.py"))
    with running_cluster(platform_config(tmp_path)) as manager:
        async with client_of(manager) as client:
            first = await client.upload_bundle(workspace)
            again = await client.upload_bundle(workspace)
            assert (first.sent, again.sent) == (True, False)
            assert first.digest == again.digest
            (workspace / "data" / "word").write_text("moon")
            folders = []
            for group in ("cpu", "tpu"):
                spec = JobSpec(argv, SMALL, bundle_digest=first.digest, constraints=_only(group))
                (said,) = await _in_group(client, group, spec)
                assert said.startswith("hello world "), "as it was when it was sent"
                folders.append(said.split()[2])
            changed = await client.upload_bundle(workspace)
            assert changed.sent
            assert changed.digest != first.digest
            spec = JobSpec(argv, SMALL, bundle_digest=changed.digest)
            (said,) = await _in_group(client, "changed", spec)
            assert said.startswith("hello moon ")
    assert len(set(folders)) == 2, "each task has a copy of its own"
    assert str(workspace) not in folders


async def test_a_function_needs_no_bundle_and_may_have_one(tmp_path: Path, workspace: Path) -> None:
    with running_cluster(platform_config(tmp_path)) as manager:
        async with client_of(manager) as client:
            entrypoint = entrypoint_of(say, "called", "with")
            bare = JobSpec(entrypoint, SMALL)
            assert await _in_group(client, "bare", bare) == ["called with"]
            assert _files(manager.state_folder.path / "bundles") == []
            digest = (await client.upload_bundle(workspace)).digest
            assert _files(manager.state_folder.path / "bundles") != []
            both = JobSpec(entrypoint, SMALL, bundle_digest=digest)
            assert await _in_group(client, "both", both) == [
                "called with beside.py data program.py"
            ]
