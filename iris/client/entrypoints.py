"""A Python function as what a job runs."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import cloudpickle

from iris.model.callables import CallableEntrypoint
from iris.model.errors import InvalidArgument
from iris.model.job import Entrypoint


def entrypoint_of(function: Callable[..., object], *args: Any, **kwargs: Any) -> Entrypoint:
    """Has each task of a job call `function(*args, **kwargs)`; what it returns is thrown away.

    What stands in the program's own file (or a notebook, or within a function) travels with it.
    What stands in an importable module is imported again in the task, so that module has to be in
    the job's bundle or in its Python environment. The tasks run on the Python version of this
    process.

    Raises InvalidArgument for what cannot be pickled, and for more than 1 MiB.
    """
    name = _name_of(function)
    call = partial(function, *args, **kwargs)
    try:
        pickled = cloudpickle.dumps(call)
    except Exception as error:  # whatever an object's own reduction raises
        raise InvalidArgument(
            f"The function {name} cannot be pickled with its arguments: {error}.",
            hint="Have it open files, sockets and locks itself, in the task.",
        ) from error
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Entrypoint(callable=CallableEntrypoint(pickled, version, name))


def _name_of(function: Callable[..., object]) -> str:
    """`train.main`; of the program's own file only `main`."""
    bare = function
    while isinstance(bare, partial):
        bare = bare.func
    module = getattr(bare, "__module__", None) or ""
    name = getattr(bare, "__qualname__", None) or type(bare).__qualname__
    name = name.replace("<locals>.", "")
    return (name if module in ("", "__main__") else f"{module}.{name}")[-200:]
