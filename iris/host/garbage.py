"""How often this process looks for garbage in cycles."""

import gc

# Objects made since the last look, looks at the young before one at the middle-aged, and of those
# before one at all. Python's own 700, 10, 10 has a controller, whose records are many, long-lived and
# without cycles, walk over all of them again and again: half of the time of a large pass of the
# scheduler.
_THRESHOLDS = (20_000, 20, 100)


def look_for_garbage_rarely() -> None:
    """For processes that hold much for long. Memory is freed as before when its last user goes;
    only what refers to itself waits longer (https://docs.python.org/3/library/gc.html).
    """
    gc.set_threshold(*_THRESHOLDS)
