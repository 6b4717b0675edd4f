"""The cluster's token: who presents it may do everything, who does not gets no answer at all,
except to Health.
"""

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from iris.model.errors import InvalidArgument, Unauthenticated
from iris.rpc.errors import abort, replace_behaviour

HEALTH_METHOD = "/iris.v1.ControllerService/Health"
OPEN_METHODS = frozenset({HEALTH_METHOD})

_KEY = "authorization"
_SCHEME = "Bearer "


def token_metadata(token: str) -> tuple[str, str]:
    """What a caller sends."""
    return _KEY, _SCHEME + token


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses every call without the token before its handler sees anything of it, also calls of
    methods that do not exist.
    """

    def __init__(self, token: str, open_methods: frozenset[str] = OPEN_METHODS) -> None:
        if not token:
            raise InvalidArgument(
                "The cluster's token is empty.", hint="A cluster has a token from birth."
            )
        self._expected = (_SCHEME + token).encode()
        self._open_methods = open_methods

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler_call_details.method in self._open_methods or self._is_right(
            handler_call_details
        ):
            return handler
        if handler is None:
            return grpc.unary_unary_rpc_method_handler(_refuse)
        return replace_behaviour(handler, lambda _: _refuse, lambda _: _refuse_stream)

    def _is_right(self, details: grpc.HandlerCallDetails) -> bool:
        presented = [value for key, value in details.invocation_metadata if key == _KEY]
        if len(presented) != 1:
            return False
        value = presented[0]
        return hmac.compare_digest(
            value if isinstance(value, bytes) else value.encode(), self._expected
        )


async def _refuse(request: Any, context: grpc.aio.ServicerContext) -> Any:
    await abort(
        context,
        Unauthenticated(
            "The call has no token, or not this cluster's.",
            hint="The token is in the cluster's state folder.",
        ),
    )


async def _refuse_stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
    await _refuse(request, context)
    yield  # makes this an async generator, as a streamed answer has to be
