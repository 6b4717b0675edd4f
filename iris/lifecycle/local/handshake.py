"""What a starter and the controller's process tell each other while it starts, without polling and
without files.

Down its standard input the process gets its `Launch`, once. Up an inherited pipe it answers with
one line: where it serves, or why it cannot. If the pipe ends without a line, it died. A second
pipe, the lifeline, never carries anything: while the starter lives it is open, and its end tells an
attached controller to stop, however the starter died.
"""

import base64
import json
import os
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass

from iris_proto import config_pb2

from iris.host.processes import ProcessHandle
from iris.model.errors import ERRORS_BY_CODE, ErrorCode, Internal, IrisError

# An answer is one line of JSON; whatever is longer is cut, so that it fits into a pipe at once.
_MAX_TEXT = 8000


@dataclass(frozen=True, slots=True)
class Launch:
    """What the controller's process runs with.

    Attributes:
        config: Complete.
        inherit_env: The variables that tasks see, with the values they have where the cluster was
            started.
    """

    config: config_pb2.ClusterConfig
    inherit_env: Mapping[str, str]

    def to_bytes(self) -> bytes:
        """For the process's standard input."""
        config = base64.b64encode(self.config.SerializeToString()).decode()
        return json.dumps({"config": config, "inherit_env": dict(self.inherit_env)}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Launch":
        """The reverse."""
        fields = json.loads(data)
        config = config_pb2.ClusterConfig.FromString(base64.b64decode(fields["config"]))
        return cls(config, fields["inherit_env"])


class Answer:
    """The controller's end of the answering pipe: the first word counts, later ones are lost."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        if descriptor is not None:
            os.set_inheritable(descriptor, False)

    def serving(self, address: str) -> None:
        """It serves there."""
        self._say({"address": address})

    def failed(self, error: IrisError) -> None:
        """It cannot, and ends now."""
        self._say(
            {
                "code": error.code.value,
                "problem": error.problem[:_MAX_TEXT],
                "hint": error.hint[:_MAX_TEXT],
            }
        )

    def _say(self, fields: Mapping[str, str]) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            os.write(descriptor, json.dumps(fields).encode() + b"\n")
        except BrokenPipeError:
            pass  # The starter is gone; in attached mode the lifeline says so as well.
        finally:
            os.close(descriptor)


class NoAnswer(Exception):
    """The process ended, or the pipe did, before it said anything."""


def wait_for_answer(
    descriptor: int, timeout: float, *, process: ProcessHandle | None = None
) -> str:
    """The address it serves at. `process`: whose end means that nothing comes any more, where that
    cannot be told by the pipe.

    Blocks for at most `timeout` seconds. Raises the error the process reported, NoAnswer if it
    died, TimeoutError.
    """
    until = time.monotonic() + timeout
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if process is not None and process.descriptor is not None:
        poll.register(process.descriptor, select.POLLIN)
    data = b""
    while not data.endswith(b"\n"):
        ready = {fd for fd, _ in poll.poll(max(0, round((until - time.monotonic()) * 1000)))}
        if not ready:
            raise TimeoutError
        if descriptor not in ready:
            raise NoAnswer
        part = os.read(descriptor, 65536)
        if not part:
            raise NoAnswer
        data += part
    fields = json.loads(data)
    if "address" in fields:
        return str(fields["address"])
    error_type = ERRORS_BY_CODE.get(ErrorCode(fields["code"]), Internal)
    raise error_type(fields["problem"], hint=fields["hint"])
