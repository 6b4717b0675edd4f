"""A worker on which 200 tasks do what tasks should not do ends each of them as documented, keeps
nothing of them, and is as good as new.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.torture import in_namespace

# The cases' own are bounded to far less: five of them at once to about 500 each, where there are no
# control groups. This is for what has got out of hand.
_MAX_PROCESSES = 3000


def test_two_hundred_tasks_that_do_what_they_should_not(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-s",
            "-m",
            in_namespace.__name__,
            str(_MAX_PROCESSES),
            "-P",
            "-s",
            "-m",
            "tests.torture.torture_program",
            str(tmp_path),
        ],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr


def test_what_gets_out_of_hand_in_a_namespace_is_ended() -> None:
    forks = "import os, time\nfor _ in range(60):\n    os.fork() or time.sleep(1000)\ntime.sleep(1000)\n"
    command = [sys.executable, "-m", in_namespace.__name__, "40", "-c", forks]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 125
    assert "more than 40 processes" in done.stderr
