"""What is said to the program of a controller's host (iris.lifecycle.remote.host_program), and what it answers.

One request on its standard input, one line of JSON on its standard output. Nothing of either is on a
command line or in an environment, where others could read it.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from iris_proto import config_pb2

from iris.lifecycle.local.controller import LocalTimeouts
from iris.lifecycle.protocol import ControllerStatus
from iris.model.errors import ERRORS_BY_CODE, ErrorCode, Internal, IrisError

_RESULT, _ERROR = "result", "error"


@dataclass(frozen=True, slots=True)
class HostRequest:
    """What every word of the program goes with.

    Attributes:
        config: Complete, with a local controller: that machine's own. Its state folder may begin
            with `~`.
        tail_lines: Of the startup log, where that is asked for.
    """

    config: config_pb2.ClusterConfig
    timeouts: LocalTimeouts
    tail_lines: int | None = None

    def to_bytes(self) -> bytes:
        """For the program's standard input."""
        fields = {
            "config": base64.b64encode(self.config.SerializeToString()).decode(),
            "start": self.timeouts.start.total_seconds(),
            "health": self.timeouts.health.total_seconds(),
            "stop": self.timeouts.stop.total_seconds(),
            "tail_lines": self.tail_lines,
        }
        return json.dumps(fields).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "HostRequest":
        """The reverse. Raises ValueError or KeyError for anything else."""
        fields = json.loads(data)
        timeouts = LocalTimeouts(
            start=timedelta(seconds=fields["start"]),
            health=timedelta(seconds=fields["health"]),
            stop=timedelta(seconds=fields["stop"]),
        )
        config = config_pb2.ClusterConfig.FromString(base64.b64decode(fields["config"]))
        return cls(config, timeouts, fields["tail_lines"])


def result_line(result: Mapping[str, Any]) -> str:
    """For a request that was carried out."""
    return json.dumps({_RESULT: dict(result)})


def error_line(error: IrisError) -> str:
    """For one that was not."""
    said = {"code": error.code.value, "problem": error.problem, "hint": error.hint}
    return json.dumps({_ERROR: said})


def read_answer(stdout: bytes) -> Mapping[str, Any] | None:
    """The result; None where there is no answer in it. What else is there (of a login shell, say) is
    left out. Raises the error that was answered.
    """
    for line in stdout.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and _RESULT in said:
            return dict(said[_RESULT])
        if isinstance(said, dict) and _ERROR in said:
            error = said[_ERROR]
            kind = ERRORS_BY_CODE.get(ErrorCode(error["code"]), Internal)
            raise kind(error["problem"], hint=error["hint"])
    return None


def status_fields(status: ControllerStatus) -> dict[str, Any]:
    """As a result."""
    return {
        "running": status.running,
        "address": status.address,
        "healthy": status.healthy,
        "vm_name": status.vm_name,
        "version": status.version,
        "uptime": None if status.uptime is None else status.uptime.total_seconds(),
        "problem": status.problem,
    }


def read_status(fields: Mapping[str, Any]) -> ControllerStatus:
    """The reverse. Raises KeyError or TypeError for anything else."""
    uptime = fields["uptime"]
    return ControllerStatus(
        **{**fields, "uptime": None if uptime is None else timedelta(seconds=uptime)}
    )
