"""Who calls: who presents the cluster's token may do everything, a task with its own token what
`iris.rpc.scopes` says, and everybody else gets no answer at all, except to Health.
"""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio

from iris.model.errors import InvalidArgument, IrisError, Unauthenticated
from iris.model.ids import AttemptUid
from iris.rpc.errors import abort, replace_behaviour
from iris.rpc.scopes import TASK_METHODS, TaskScope, attempt_of_token, enter_scope

HEALTH_METHOD = "/iris.v1.ControllerService/Health"
OPEN_METHODS = frozenset({HEALTH_METHOD})

_KEY = "authorization"
_SCHEME = "Bearer "


def token_metadata(token: str) -> tuple[str, str]:
    """What a caller sends."""
    return _KEY, _SCHEME + token


# Gives the scope of an attempt that is active, and None of any other.
FindTask = Callable[[AttemptUid], TaskScope | None]


def no_tasks(uid: AttemptUid) -> TaskScope | None:
    """A server that tasks do not call."""
    return None


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses every call without a token before its handler sees anything of it, also calls of
    methods that do not exist. Handlers find who calls by `iris.rpc.scopes.caller_scope`.
    """

    def __init__(
        self,
        token: str,
        open_methods: frozenset[str] = OPEN_METHODS,
        find_task: FindTask = no_tasks,
    ) -> None:
        if not token:
            raise InvalidArgument(
                "The cluster's token is empty.", hint="A cluster has a token from birth."
            )
        self._token = token
        self._expected = (_SCHEME + token).encode()
        self._find_task = find_task
        self._open_methods = open_methods

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        presented = _presented(handler_call_details)
        if method in self._open_methods or hmac.compare_digest(presented, self._expected):
            return handler
        try:
            scope = self._task_of(presented)
            if method not in TASK_METHODS:
                raise scope.refusal(f"call {method.rpartition('/')[2]}")
        except IrisError as error:
            return _refused(handler, error)
        return None if handler is None else _in_scope(handler, scope)

    def _task_of(self, presented: bytes) -> TaskScope:
        token = presented.decode(errors="replace").removeprefix(_SCHEME)
        uid = attempt_of_token(self._token, token)
        if uid is None:
            raise Unauthenticated(
                "The call has no token, or not this cluster's.",
                hint="The token is in the cluster's state folder.",
            )
        scope = self._find_task(uid)
        if scope is None:
            raise Unauthenticated(
                f"The call has the token of attempt {uid}, which is over.",
                hint="A task's token is good for as long as the task runs.",
            )
        return scope


def _presented(details: grpc.HandlerCallDetails) -> bytes:
    """What the call has for a token; empty for none, or several."""
    values = [value for key, value in details.invocation_metadata if key == _KEY]
    if len(values) != 1:
        return b""
    (value,) = values
    return value if isinstance(value, bytes) else value.encode(errors="replace")


def _in_scope(handler: grpc.RpcMethodHandler, scope: TaskScope) -> grpc.RpcMethodHandler:
    """The same, for that caller. gRPC handles each call in an asyncio task of its own."""

    def unary(behaviour: Any) -> Any:
        async def handle(request: Any, context: grpc.aio.ServicerContext) -> Any:
            enter_scope(scope)
            return await behaviour(request, context)

        return handle

    def streamed(behaviour: Any) -> Any:
        async def handle(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            enter_scope(scope)
            async with aclosing(behaviour(request, context)) as answers:
                async for answer in answers:
                    yield answer

        return handle

    return replace_behaviour(handler, unary, streamed)


def _refused(handler: grpc.RpcMethodHandler | None, error: IrisError) -> grpc.RpcMethodHandler:
    """Answers with the error, whatever is asked."""

    async def refuse(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await abort(context, error)

    async def refuse_stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        await abort(context, error)
        yield  # makes this an async generator, as a streamed answer has to be

    if handler is None:
        return grpc.unary_unary_rpc_method_handler(refuse)
    return replace_behaviour(handler, lambda _: refuse, lambda _: refuse_stream)
