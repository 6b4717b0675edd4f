"""Functions that the flow has its tasks call. They travel whole, for no task has this module."""

import sys
from collections.abc import Callable, Sequence

import cloudpickle

from iris.client import entrypoint_of
from iris.model.job import Entrypoint


def sum_of_squares(numbers: Sequence[int]) -> Entrypoint:
    """Prints the sum of the numbers' squares, and the process that computed it."""

    def compute() -> None:
        import os

        print(f"sum of squares {sum(n * n for n in numbers)} in pid {os.getpid()}")

    return _by_value(compute)


def _by_value(function: Callable[[], None]) -> Entrypoint:
    """As if this module were the program's own file."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    try:
        return entrypoint_of(function)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
