"""A Python function, with its arguments, as what a task runs."""

import re
from dataclasses import dataclass, field

from iris.model.errors import InvalidArgument
from iris.model.resources import format_bytes
from iris.model.texts import can_travel

# It travels with its job to every worker that runs a task of it.
MAX_PICKLED_BYTES = 1 << 20
_MAX_NAME = 200
_PYTHON = re.compile(r"3\.[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class CallableEntrypoint:
    """A call that is made in each task: `name` shows it to people.

    Attributes:
        pickled: A cloudpickle of a function of no arguments. Empty in what a cluster tells of a
            job: who asks how it stands is not sent the function again.
        python: The version of Python that pickled it, e.g. "3.11": another one cannot read it.
    """

    pickled: bytes = field(repr=False)
    python: str
    name: str

    def __post_init__(self) -> None:
        if len(self.pickled) > MAX_PICKLED_BYTES:
            raise InvalidArgument(
                f"The function {self.name} and its arguments are {format_bytes(len(self.pickled))} "
                f"when pickled; at most {format_bytes(MAX_PICKLED_BYTES)} are taken.",
                hint="Put data into the bundle and have the function read it from there.",
            )
        if not _PYTHON.fullmatch(self.python):
            raise InvalidArgument(
                f"The function's Python version is {self.python!r}.",
                hint="It is that of the Python that pickled it, e.g. 3.11.",
            )
        if not self.name or len(self.name) > _MAX_NAME or not can_travel(self.name):
            raise InvalidArgument(
                f"{self.name!r} cannot be the name of a function.",
                hint=f"It has 1 to {_MAX_NAME} characters, e.g. train.main.",
            )
