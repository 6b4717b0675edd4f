"""Only what the next start needs may stay in a state folder."""

from pathlib import Path

import pytest

from iris.smoke.cluster_under_test import meant_to_stay

STATE = Path("/state")


@pytest.mark.parametrize(
    "name", ["token", "controller.db", "logs/attempt-1.log", "cache/bundles/x", "cache/vms", "tmp"]
)
def test_what_the_next_start_needs_stays(name: str) -> None:
    assert meant_to_stay(f"file /state/{name}", STATE)


@pytest.mark.parametrize(
    "left",
    [
        "file /state/controller.json",
        "file /state/socket",
        "file /state/tmp/half",
        "file /state/cache/vms/cpu-1-0/work",
        "file /elsewhere/token",
        "process pid 7 (sleep)",
        "port 127.0.0.1:8080",
        "thread Thread-2 (worker)",
    ],
)
def test_anything_else_is_a_leftover(left: str) -> None:
    assert not meant_to_stay(left, STATE)
