"""Is what runs what was sent, also if somebody or something has changed it on the way or where it is kept?"""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from iris_proto import controller_pb2, controller_pb2_grpc

from iris.client import LogStream
from iris.model.errors import DataLoss
from iris.model.job import Entrypoint, JobSpec
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.smoke.case import Case, CheckFailed, check, check_equal
from iris.smoke.context import SMALL, CaseContext
from iris.smoke.folders import folder_with, packed
from iris.smoke.groups import INSIDE
from iris.smoke.needs import KEPT_STATE, group_need

_PROGRAM = "program.py"


async def corrupt_bundle(context: CaseContext) -> None:
    """An archive that is not what it says is refused; a copy that was changed where a worker keeps
    it is not used, but fetched anew.
    """
    said = f"unspoiled {context.random().randrange(1 << 40)}"
    with folder_with({_PROGRAM: f"print({said!r})\n".encode()}) as folder:
        digest = (await context.client.upload_bundle(folder)).digest
        await _lie(context, packed(folder))
    argv = (context.python, "-I", "-S", _PROGRAM)
    # There the cache is on this machine, where it can be changed.
    spec = INSIDE.only(JobSpec(Entrypoint(argv), SMALL, bundle_digest=digest))
    first = await context.run_to_success(spec, suffix="before")
    check_equal(await context.logs(first.job_id, stream=LogStream.STDOUT), [said], "the output")
    spoiled = _spoil(context, digest)
    context.did("cached bundle changed")
    check(spoiled, "a copy of the bundle in the worker's cache", spoiled)
    again = await context.run_to_success(replace(spec, env=(("AGAIN", "1"),)), suffix="after")
    check_equal(
        await context.logs(again.job_id, stream=LogStream.STDOUT), [said], "the output once more"
    )
    built = await context.logs(again.job_id, stream=LogStream.BUILD)
    noticed = [line for line in built if "has been changed" in line]
    check(noticed, "a line that says that the kept copy was changed", built)
    context.saw("noticed", noticed[0])


async def _lie(context: CaseContext, archive: bytes) -> None:
    """Sends an archive under another one's digest."""
    wrong = "sha256:" + "0" * 64

    async def requests() -> AsyncIterator[controller_pb2.UploadBundleRequest]:
        yield controller_pb2.UploadBundleRequest(digest=wrong)
        yield controller_pb2.UploadBundleRequest(chunk=archive)

    async with open_channel(context.cluster.address, context.cluster.token) as channel:
        stub: Any = controller_pb2_grpc.BundleServiceStub(channel)
        try:
            with rpc_errors("UploadBundle"):
                await stub.UploadBundle(requests())
        except DataLoss as refusal:
            context.saw("refused", refusal)
        else:
            raise CheckFailed("an archive under another one's digest was taken")
        kept = await stub.HasBundle(controller_pb2.HasBundleRequest(digest=wrong))
        check(not kept.present, "nothing under the wrong digest")


def _spoil(context: CaseContext, digest: str) -> list[Path]:
    """Changes every copy that workers of this machine have unpacked."""
    assert context.cluster.state_dir is not None
    name = digest.removeprefix("sha256:")
    spoiled = [
        Path(folder, _PROGRAM)
        # Not by a pattern: machines come and go meanwhile, with their folders.
        for folder, _, files in os.walk(context.cluster.state_dir / "cache")
        if _PROGRAM in files and Path(folder).name.startswith(name)
    ]
    for path in spoiled:
        path.parent.chmod(0o700)
        path.chmod(0o600)
        path.write_text("print('spoiled')\n")
    return spoiled


BUNDLE_CASES = (
    Case(
        "corrupt-bundle",
        "What was changed on its way or in a cache is never run.",
        corrupt_bundle,
        needs=frozenset({KEPT_STATE, group_need(INSIDE)}),
    ),
)
