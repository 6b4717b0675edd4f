"""What a method returned or raised, on its way to the caller."""

import traceback

import cloudpickle

from iris.model.errors import IrisError

MAX_BYTES = 15 << 20  # of the arguments, or of the outcome; a message has 16 MiB


class ActorError(IrisError):
    """A method raised something that cannot travel. The message is what it said."""


def dump_outcome(value: object) -> tuple[bytes, bool]:
    """(pickle, whether it is an exception): of what cannot be pickled or is too large, the error is
    the outcome.
    """
    raised = isinstance(value, BaseException)
    try:
        pickled = cloudpickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - whatever an object's own reduction raises
        what = f"raised {value!r}" if raised else f"returned a {type(value).__name__}"
        problem = f"The method {what}, which cannot be pickled: {error}."
        return cloudpickle.dumps(ActorError(problem, hint="Return plain data.")), True
    if len(pickled) > MAX_BYTES:
        problem = f"The method's outcome has {len(pickled)} bytes; at most {MAX_BYTES} are sent."
        return cloudpickle.dumps(ActorError(problem, hint="Publish it as an output.")), True
    return pickled, raised


def with_trace(error: BaseException) -> BaseException:
    """The same, with where it was raised as a note: notes travel, tracebacks do not."""
    lines = traceback.format_exception(error)
    error.add_note("In the actor:\n" + "".join(lines).rstrip())
    return error
