"""What the worker does for a task that calls a Python function: writes it down, and says what to
run.
"""

import importlib.util
import sys
from functools import cache
from pathlib import Path

from iris.model.job import Entrypoint

FILE_NAME = "callable.pickle"
_RUNNER = Path(__file__).with_name("runner.py")
# The task shall see neither the packages of the worker nor those of the user that it runs as.
_BARE = ("-s", "-S")


def program_of(
    entrypoint: Entrypoint, *, folder: Path, work: Path, own_python: bool
) -> tuple[str, ...]:
    """The program and arguments that a task runs. A function is written to `folder` for that.

    Blocks only as long as it takes to write a file of 1 MiB at most. Raises OSError.

    Args:
        folder: The attempt's, outside of the folder that the program works in.
        work: Where the program works; modules are imported from there.
        own_python: The job has a Python environment, whose `python3` is to be found on the task's
            PATH. Otherwise it is the worker's Python, without the worker's packages.
    """
    called = entrypoint.callable
    if called is None:
        return entrypoint.argv
    path = folder / FILE_NAME
    path.write_bytes(called.pickled)
    python = ("python3",) if own_python else (sys.executable, *_BARE)
    return (
        *python,
        str(_RUNNER),
        str(path),
        called.python,
        called.name,
        str(work),
        _cloudpickle_folder(),
    )


@cache
def _cloudpickle_folder() -> str:
    """Where the worker's own cloudpickle is found; empty if it has none."""
    found = importlib.util.find_spec("cloudpickle")
    if found is None or found.origin is None:
        return ""
    return str(Path(found.origin).parent.parent)
