"""The one family of errors. Each maps to one gRPC status and says what was wrong, what to do, and
whether a retry may help."""

from enum import Enum
from typing import ClassVar


class ErrorCode(Enum):
    """Names are those of the gRPC status codes they travel as (https://grpc.io/docs/guides/status-codes/)."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    DATA_LOSS = "DATA_LOSS"
    INTERNAL = "INTERNAL"


class IrisError(Exception):
    """Base of every error that Iris raises on purpose.

    Attributes:
        problem: What was wrong, with the value that was.
        hint: What to do about it; may be empty.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(self, problem: str, *, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem} {self.hint}" if self.hint else self.problem


class InvalidArgument(IrisError):
    """The request can never succeed as it stands."""

    code = ErrorCode.INVALID_ARGUMENT


class NotFound(IrisError):
    """The thing that was named does not exist."""

    code = ErrorCode.NOT_FOUND


class AlreadyExists(IrisError):
    """The name is taken by something different."""

    code = ErrorCode.ALREADY_EXISTS


class FailedPrecondition(IrisError):
    """The request is fine but the system's state forbids it."""

    code = ErrorCode.FAILED_PRECONDITION


class ResourceExhausted(IrisError):
    """A quota, budget or limit is used up."""

    code = ErrorCode.RESOURCE_EXHAUSTED
    retryable = True


class Unauthenticated(IrisError):
    """The token is missing or wrong."""

    code = ErrorCode.UNAUTHENTICATED


class PermissionDenied(IrisError):
    """The caller is known, and may not do this."""

    code = ErrorCode.PERMISSION_DENIED


class Unavailable(IrisError):
    """The other side cannot be reached at the moment."""

    code = ErrorCode.UNAVAILABLE
    retryable = True


class DeadlineExceeded(IrisError):
    """It took longer than it was allowed to."""

    code = ErrorCode.DEADLINE_EXCEEDED
    retryable = True


class DataLoss(IrisError):
    """Stored data is corrupt or gone."""

    code = ErrorCode.DATA_LOSS


class Internal(IrisError):
    """A bug of ours: something that must not happen did."""

    code = ErrorCode.INTERNAL


ERRORS_BY_CODE: dict[ErrorCode, type[IrisError]] = {
    cls.code: cls
    for cls in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        ResourceExhausted,
        Unauthenticated,
        PermissionDenied,
        Unavailable,
        DeadlineExceeded,
        DataLoss,
        Internal,
    )
}
