"""What is said to a controller's host arrives there, and what it answers here."""

from datetime import timedelta
from pathlib import Path

import pytest

from iris.lifecycle.local.controller import LocalTimeouts
from iris.lifecycle.local.sample_cluster import sample_config
from iris.lifecycle.protocol import ControllerStatus
from iris.lifecycle.remote.host_messages import (
    HostRequest,
    error_line,
    read_answer,
    read_status,
    result_line,
    status_fields,
)
from iris.model.errors import DeadlineExceeded


@pytest.mark.parametrize("tail_lines", [None, 0, 3])
def test_a_request(tail_lines: int | None) -> None:
    timeouts = LocalTimeouts(*(timedelta(seconds=seconds) for seconds in (1.5, 2, 3)))
    request = HostRequest(sample_config(Path("/s")), timeouts, tail_lines)
    assert HostRequest.from_bytes(request.to_bytes()) == request


@pytest.mark.parametrize("uptime", [None, timedelta(seconds=1.5)])
def test_a_status(uptime: timedelta | None) -> None:
    status = ControllerStatus(running=True, address="a:1", vm_name="v", uptime=uptime, problem="p")
    assert read_status(status_fields(status)) == status


def test_an_answer_among_what_a_login_shell_says() -> None:
    said = f"Welcome!\n3\n{result_line({'text': None})}\n".encode()
    assert read_answer(said) == {"text": None}
    assert read_answer(b"Welcome!\n[]\n{}\n") is None


def test_an_error_stays_what_it_is() -> None:
    line = error_line(DeadlineExceeded("Too late.", hint="Be earlier."))
    with pytest.raises(DeadlineExceeded) as caught:
        read_answer(line.encode())
    assert (caught.value.problem, caught.value.hint) == ("Too late.", "Be earlier.")
