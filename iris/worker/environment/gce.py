"""What Google Cloud's metadata server tells of the machine: where it is, and which TPU it drives.

Sources: https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys (zone, name,
scheduling/preemptible) and https://cloud.google.com/compute/docs/metadata/querying-metadata; TPU
VMs add the attributes accelerator-type, agent-worker-number and tpu-env (`KEY: 'value'` lines).
"""

import asyncio
import contextlib
import http.client
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from iris.model.errors import InvalidArgument
from iris.model.fleet import (
    ATTRIBUTE_INSTANCE,
    ATTRIBUTE_PREEMPTIBLE,
    ATTRIBUTE_REGION,
    ATTRIBUTE_TPU_NAME,
    ATTRIBUTE_TPU_TOPOLOGY,
    ATTRIBUTE_TPU_WORKER_ID,
    ATTRIBUTE_ZONE,
)
from iris.model.tpu import tpu_topology
from iris.worker.environment.probe import Found

METADATA_SERVER = "http://metadata.google.internal"
_ROOT = "/computeMetadata/v1/instance/"
_FLAVOR = ("Metadata-Flavor", "Google")
_ZONE, _NAME, _PREEMPTIBLE = "zone", "name", "scheduling/preemptible"
_TYPE, _WORKER, _TPU_ENV = (
    "attributes/accelerator-type",
    "attributes/agent-worker-number",
    "attributes/tpu-env",
)
# It is at the other end of a virtual wire. Elsewhere nobody answers, and a start waits for that.
_CALL_SECONDS = 2.0
_ALL_SECONDS = 5.0
_MAX_BYTES = 1 << 16
_ENV_LINE = re.compile(r"""^\s*([A-Z_]+)\s*:\s*['"]?(.*?)['"]?\s*$""")


@dataclass(frozen=True, slots=True)
class GceProbe:
    """A MachineProbe. Elsewhere than on Google Cloud there is no such server, and nothing is found."""

    server: str = METADATA_SERVER
    call_seconds: float = _CALL_SECONDS
    seconds: float = _ALL_SECONDS
    name: str = "gce-metadata"

    async def look(self) -> Found:
        """See MachineProbe."""
        reading = asyncio.ensure_future(asyncio.to_thread(self._read))
        # Looking up the server's name has no bound of its own; its thread is left behind then.
        await asyncio.wait([reading], timeout=self.seconds)
        if not reading.done():
            reading.cancel()
            return Found()
        return found_in(reading.result())

    def _read(self) -> dict[str, str]:
        """What it says, by path below `instance/`. Blocks."""
        place = urllib.parse.urlsplit(self.server)
        said: dict[str, str] = {}
        # Not through a proxy, whatever the environment says: it is this machine's own server.
        connection = http.client.HTTPConnection(
            place.hostname or "", place.port, timeout=self.call_seconds
        )
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            for path in (_ZONE, _NAME, _PREEMPTIBLE, _TYPE, _WORKER, _TPU_ENV):
                said |= _get(connection, path)
                if _ZONE not in said:
                    break  # it is another kind of server
        return said


def _get(connection: http.client.HTTPConnection, path: str) -> dict[str, str]:
    """Nothing for what is not there, or was not said by such a server."""
    connection.request("GET", _ROOT + path, headers=dict([_FLAVOR]))
    answer = connection.getresponse()
    body = answer.read(_MAX_BYTES)
    is_it = answer.status == http.HTTPStatus.OK and answer.getheader(_FLAVOR[0]) == _FLAVOR[1]
    return {path: body.decode(errors="replace").strip()} if is_it else {}


def found_in(said: Mapping[str, str]) -> Found:
    """What the server's answers, by path, mean."""
    # `projects/123/zones/us-central2-b`
    zone = said.get(_ZONE, "").rpartition("/")[2]
    if not zone:
        return Found()
    attributes = {ATTRIBUTE_ZONE: zone, ATTRIBUTE_REGION: zone.rpartition("-")[0]}
    if name := said.get(_NAME):
        attributes[ATTRIBUTE_INSTANCE] = name
    if preemptible := said.get(_PREEMPTIBLE):
        attributes[ATTRIBUTE_PREEMPTIBLE] = preemptible.lower()
    env = dict(parse_tpu_env(said.get(_TPU_ENV, "")))
    kind = said.get(_TYPE) or env.get("ACCELERATOR_TYPE", "")
    if not kind:
        return Found((), attributes)
    if tpu := env.get("NODE_ID"):
        attributes[ATTRIBUTE_TPU_NAME] = tpu
    worker = said.get(_WORKER) or env.get("WORKER_ID", "")
    if worker:
        attributes[ATTRIBUTE_TPU_WORKER_ID] = worker
    try:
        topology = tpu_topology(kind)
    except InvalidArgument as error:
        return Found((), attributes, str(error))
    attributes[ATTRIBUTE_TPU_TOPOLOGY] = env.get("TOPOLOGY") or topology.topology
    return Found(((f"tpu/{kind}", topology.chips_per_vm),), attributes)


def parse_tpu_env(text: str) -> Iterator[tuple[str, str]]:
    """The lines of `tpu-env`: `ACCELERATOR_TYPE: 'v4-8'`."""
    for line in text.splitlines():
        if (match := _ENV_LINE.match(line)) is not None:
            yield match.group(1), match.group(2)
