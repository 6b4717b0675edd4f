"""The program of a task that calls a Python function: reads it from a file and calls it.

It is run as a file, by the task's Python and not by the worker's own, so it imports nothing of Iris
and keeps to what any Python 3 has.

    python3 runner.py PICKLE VERSION NAME WORK CLOUDPICKLE

PICKLE is a file with a function of no arguments, NAME shows it, VERSION is the Python that pickled
it, WORK is the folder whose modules it may import, and CLOUDPICKLE the folder of a cloudpickle for
a Python that has none of its own (empty: there is none).

Exits with 0 when the function has returned and with 1 when it has raised, with a traceback that
begins in the function. A SystemExit is honoured. What went wrong before the function was called is
said in one line.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickle
import sys
import traceback
from collections.abc import Callable


def main(arguments: list[str]) -> int:
    """Calls it; returns the exit code."""
    path, version, name, work, cloudpickle = arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # whoever follows the log sees lines at once
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if here != version:
        return _fail(
            f"{name} was pickled by Python {version}, and this task runs Python {here}: name Python "
            f"{version} in the job's environment, or submit it from Python {here}."
        )
    _find_modules(work, cloudpickle)
    if "cloudpickle" not in sys.modules:
        return _fail(
            f"cloudpickle is not installed here, which {name} needs: add it to the job's lock file."
        )
    try:
        with open(path, "rb") as file:
            function = pickle.load(file)
    except ImportError as error:
        return _fail(
            f"{name} cannot be loaded: {error}. Is the module in the job's bundle or lock file?"
        )
    except Exception as error:  # noqa: BLE001 - whatever a broken pickle raises
        return _fail(f"{name} cannot be loaded: {type(error).__name__}: {error}")
    return _call(function)


def _find_modules(work: str, cloudpickle: str) -> None:
    """The bundle's modules come first. Of the folder with cloudpickle nothing else is to be seen."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder or ".") != own]
    sys.path.insert(0, work)
    if cloudpickle:
        sys.path.append(cloudpickle)
    with contextlib.suppress(ImportError):  # the caller looks whether it is there
        importlib.import_module("cloudpickle")
    if cloudpickle:
        sys.path.remove(cloudpickle)
    importlib.invalidate_caches()


def _call(function: Callable[[], object]) -> int:
    sys.argv[:] = sys.argv[:1]  # the arguments were ours
    try:
        function()
    except Exception as error:  # noqa: BLE001 - it is the user's, and shown
        # The frames above the function's own are this file's.
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        traceback.print_exception(type(error), error, frames)
        return 1
    return 0


def _fail(line: str) -> int:
    print("iris: " + " ".join(line.split()), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
