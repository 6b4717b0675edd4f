"""The `controller` program of the shipped file: tells the controller of the machine that it runs on what
to do.

    python3 iris.pyz controller start|stop|restart|reload|status|logs|connect

with a HostRequest on standard input; the answer is one line on standard output (iris.lifecycle.remote.host_messages).
It is LocalController that does it, so locks, records, what a crash leaves and startup logs are the
same on every machine. The controller itself is a process of its own, which outlives this one.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.protocol import ControllerStatus
from iris.lifecycle.remote.host_messages import HostRequest, error_line, result_line, status_fields
from iris.lifecycle.remote.shipped_before import discard_shipped_before
from iris.model.errors import Internal, IrisError, Unavailable


def main(argv: Sequence[str] | None = None) -> int:
    """0 once the request was answered, also with an error."""
    parser = argparse.ArgumentParser(prog="iris controller", description=__doc__)
    parser.add_argument("word", choices=sorted(_WORDS), metavar="WORD")
    word = parser.parse_args(argv).word
    print(_answer(word, sys.stdin.buffer.read()), flush=True)
    return 0


def _answer(word: str, data: bytes) -> str:
    try:
        request = HostRequest.from_bytes(data)
        return result_line(_WORDS[word](_controller(request), request))
    except IrisError as error:
        return error_line(error)
    except OSError as error:
        return error_line(Unavailable(f"The state folder cannot be used: {error}."))
    except Exception as error:  # noqa: BLE001 - whoever asked has to be told
        return error_line(Internal(f"`controller {word}` failed: {error!r}."))


def _controller(request: HostRequest) -> LocalController:
    config = request.config
    local = config.controller_vm.local
    local.state_dir = str(Path(local.state_dir).expanduser())
    return LocalController(config, timeouts=request.timeouts)


def _up(status: ControllerStatus) -> Mapping[str, Any]:
    # It is up; what could not be removed now is at the next start.
    with contextlib.suppress(OSError):
        discard_shipped_before()
    return status_fields(status)


def _stop(controller: LocalController, _: HostRequest) -> Mapping[str, Any]:
    controller.stop()
    return {}


def _logs(controller: LocalController, request: HostRequest) -> Mapping[str, Any]:
    return {"text": controller.fetch_startup_logs(request.tail_lines)}


def _connect(controller: LocalController, _: HostRequest) -> Mapping[str, Any]:
    with controller.connect() as connection:
        return {"address": connection.address, "token": connection.token}


_WORDS: Mapping[str, Callable[[LocalController, HostRequest], Mapping[str, Any]]] = {
    "start": lambda controller, _: _up(controller.start()),
    "stop": _stop,
    "restart": lambda controller, _: _up(controller.restart()),
    "reload": lambda controller, _: _up(controller.reload()),
    "status": lambda controller, _: status_fields(controller.status()),
    "logs": _logs,
    "connect": _connect,
}

if __name__ == "__main__":
    sys.exit(main())
