"""Errors on the wire: an IrisError becomes a gRPC status with its problem and hint beside it, and
comes back as the same class.

What was not raised on purpose becomes INTERNAL with an error id: the traceback goes to the server's
log under that id, never onto the wire.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from iris_proto import error_pb2

from iris.model.errors import (
    ERRORS_BY_CODE,
    DeadlineExceeded,
    ErrorCode,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    IrisError,
    Unavailable,
)

_log = logging.getLogger(__name__)

ERROR_METADATA_KEY = "iris-error-bin"

# Statuses that gRPC itself, or a server that is not ours, may answer with.
_FOREIGN_STATUS: dict[grpc.StatusCode, type[IrisError]] = {
    grpc.StatusCode.ABORTED: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.UNIMPLEMENTED: FailedPrecondition,
    grpc.StatusCode.UNKNOWN: Internal,
}

# What grpc.aio itself says when a call was over while more was to be sent. How it ended (a broken connection, a
# refusal) is lost then, but to make it again is right (`_StreamRequestMixin._write` of grpc/aio/_call.py).
_OVER_WHILE_SENDING = (grpc.StatusCode.INTERNAL, "Internal error from Core")

_HINTS: dict[type[IrisError], str] = {
    Unavailable: "Is it running, and is the address right?",
    DeadlineExceeded: "It did not answer in time; it may be overloaded or unreachable.",
}


def status_of(error: IrisError) -> grpc.StatusCode:
    """The gRPC status an error travels as."""
    return grpc.StatusCode[error.code.value]


def to_wire(error: BaseException) -> tuple[grpc.StatusCode, str, bytes]:
    """Status, text and `iris-error-bin` for any exception; logs the traceback of one that was not
    raised on purpose.
    """
    error_id = ""
    if not isinstance(error, IrisError) or isinstance(error, Internal):
        error_id = secrets.token_hex(4)
        _log.error("error %s", error_id, exc_info=error)
    if not isinstance(error, IrisError):
        error = Internal(
            f"Something unexpected happened (error {error_id}).",
            hint=f"The controller's log says more: look for {error_id}.",
        )
    detail = error_pb2.ErrorDetail(
        code=error.code.value, problem=error.problem, hint=error.hint, error_id=error_id
    )
    return status_of(error), str(error), detail.SerializeToString()


def from_wire(error: grpc.RpcError, doing: str = "") -> IrisError:
    """The IrisError that a failed call means.

    `doing` names the call and its target, for errors that gRPC itself reports.
    """
    for key, value in error.trailing_metadata() or ():
        if key == ERROR_METADATA_KEY:
            try:
                detail = error_pb2.ErrorDetail.FromString(value)
                return ERRORS_BY_CODE[ErrorCode(detail.code)](detail.problem, hint=detail.hint)
            except (DecodeError, ValueError):
                break  # not ours after all
    status: grpc.StatusCode = error.code()
    known = {code.value for code in ErrorCode}
    kind = (
        ERRORS_BY_CODE[ErrorCode(status.name)]
        if status.name in known
        else _FOREIGN_STATUS.get(status, Internal)
    )
    prefix = f"{doing}: " if doing else ""
    if (status, error.details()) == _OVER_WHILE_SENDING:
        return Unavailable(f"{prefix}it was over before all was sent.", hint=_HINTS[Unavailable])
    return kind(
        f"{prefix}{status.name}: {error.details() or 'no details'}", hint=_HINTS.get(kind, "")
    )


@contextmanager
def rpc_errors(doing: str) -> Iterator[None]:
    """Turns a failed call inside the block into the IrisError it means: `with rpc_errors("GetJob at
    127.0.0.1:1234"): ...`.

    Works around awaiting a call and around iterating over a stream. Cancellation passes through
    unchanged.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise from_wire(error, doing) from error


async def abort(context: grpc.aio.ServicerContext, error: BaseException) -> NoReturn:
    """Ends a call on the server with what `error` means."""
    status, text, detail = to_wire(error)
    await context.abort(status, text, ((ERROR_METADATA_KEY, detail),))
    raise AssertionError("abort returned")  # for the type checker: gRPC's abort always raises


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Maps what a handler raises. Handlers with a streamed answer are async generators."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        return (
            None
            if handler is None
            else replace_behaviour(handler, _unary_with_errors, _stream_with_errors)
        )


def replace_behaviour(
    handler: Any, unary: Callable[[Any], Any], streamed: Callable[[Any], Any]
) -> grpc.RpcMethodHandler:
    """The same handler with its behaviour wrapped: by `unary` where it answers once, by `streamed`
    where it answers in a stream.
    """
    match handler.request_streaming, handler.response_streaming:
        case False, False:
            kind, behaviour = grpc.unary_unary_rpc_method_handler, unary(handler.unary_unary)
        case False, True:
            kind, behaviour = grpc.unary_stream_rpc_method_handler, streamed(handler.unary_stream)
        case True, False:
            kind, behaviour = grpc.stream_unary_rpc_method_handler, unary(handler.stream_unary)
        case _:
            kind, behaviour = grpc.stream_stream_rpc_method_handler, streamed(handler.stream_stream)
    return kind(behaviour, handler.request_deserializer, handler.response_serializer)


def _unary_with_errors(behaviour: Any) -> Any:
    async def handle(request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            return await behaviour(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - this is where any of them becomes a status
            await abort(context, error)

    return handle


def _stream_with_errors(behaviour: Any) -> Any:
    async def handle(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        answers = behaviour(request, context)
        try:
            async for answer in answers:
                yield answer
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - this is where any of them becomes a status
            await abort(context, error)
        finally:
            await (
                answers.aclose()
            )  # runs the handler's own clean-up now, not whenever it is collected

    return handle
