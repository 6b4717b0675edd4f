"""What is wrong with a command line, as opposed to what goes wrong when it is carried out."""

from iris.model.errors import InvalidArgument


class UsageError(InvalidArgument):
    """The command line cannot be understood; the program exits with code 2."""


def first_error(error: BaseException) -> BaseException:
    """What went wrong first, where several things at once did."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
