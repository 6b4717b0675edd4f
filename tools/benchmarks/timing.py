"""The clock by which parts are timed: the wall's, unless somebody else is at work on this machine.

Which it is goes to fresh processes by an environment variable.
"""

import os
import time
from enum import Enum

CLOCK_VARIABLE = "IRIS_BENCHMARK_CLOCK"


class Timing(Enum):
    """What counts as time."""

    WALL = "wall"
    CPU = "cpu"


def seconds_now() -> float:
    """Seconds since some moment."""
    return _NOW()


_NOW = (
    time.process_time if os.environ.get(CLOCK_VARIABLE) == Timing.CPU.value else time.perf_counter
)
