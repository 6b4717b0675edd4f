"""Calls an object that another task hosts.

    counter = iris.actor.connect("/alice/train/counter")
    counter.add(3)

Or, on an event loop: `await iris.actor.call(client, "/alice/train/counter", "add", 3)`.
"""

import asyncio
import itertools
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import cloudpickle
from iris_proto import actor_pb2, actor_pb2_grpc

from iris.actor.host import KIND, KIND_KEY, signed_parts
from iris.actor.outcome import MAX_BYTES
from iris.client import Client, EndpointView, current
from iris.host.clock import Clock, SystemClock
from iris.model.errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    Unauthenticated,
)
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.rpc.tickets import is_signed, sign

CALL_TIMEOUT = timedelta(minutes=1)
APPEARS_WITHIN = timedelta(seconds=30)
_ASK_AGAIN_SECONDS = 0.1
# A ticket that ends sooner than this is not used any more.
_SPARE_SECONDS = 30
_SYSTEM_CLOCK = SystemClock()


@dataclass(slots=True)
class _Line:
    """An open connection to one attempt, with a ticket for it."""

    endpoint: EndpointView
    ticket: actor_pb2.Ticket
    numbers: "itertools.count[int]"
    channel: Any


class ActorCaller:
    """Calls one actor's methods. For the event loop of its client; `close` it at the end.

    Args:
        name: The endpoint's full name: `/alice/train/counter`.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        appears_within: timedelta = APPEARS_WITHIN,
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        self._client = client
        self._name = name
        self._appears_within = appears_within
        self._clock = clock
        self._line: _Line | None = None
        self._lock = asyncio.Lock()

    async def call(
        self, method: str, *args: Any, timeout: timedelta = CALL_TIMEOUT, **kwargs: Any
    ) -> Any:
        """What the method returns; raises what it raises, with its traceback as a note.

        A call is made once at most: when it fails on its way (Unavailable, DeadlineExceeded) it may
        have been served or not. The next call looks the actor up again.
        """
        arguments = cloudpickle.dumps((args, kwargs))
        if len(arguments) > MAX_BYTES:
            raise InvalidArgument(
                f"The arguments of {method} have {len(arguments)} bytes; at most {MAX_BYTES} are sent.",
                hint="Publish them as an output and send its name.",
            )
        line = await self._connected()
        request = self._request(line, method, arguments)
        try:
            with rpc_errors(f"{method} of {self._name} at {line.endpoint.address}"):
                stub: Any = actor_pb2_grpc.ActorServiceStub(line.channel)
                answer = await stub.Call(request, timeout=timeout.total_seconds())
        except Exception:
            await self._hang_up(line)
            raise
        return self._outcome(line, request, answer)

    async def close(self) -> None:
        """Ends the connection. Idempotent."""
        if self._line is not None:
            await self._hang_up(self._line)

    def _request(self, line: _Line, method: str, arguments: bytes) -> actor_pb2.ActorCall:
        request = actor_pb2.ActorCall(
            bearer=line.ticket.bearer,
            expires_at=line.ticket.expires_at,
            number=next(line.numbers),
            actor=self._name.rpartition("/")[2],
            method=method,
            arguments=arguments,
        )
        request.signature = sign(line.ticket.key, *signed_parts(request))
        return request

    def _outcome(
        self, line: _Line, request: actor_pb2.ActorCall, answer: actor_pb2.ActorAnswer
    ) -> Any:
        """Whoever listens at the address now need not be the actor: the answer has to be signed."""
        kind = b"raised" if answer.raised else b"returned"
        if not is_signed(
            answer.signature, line.ticket.key, request.signature, kind, answer.outcome
        ):
            raise Unauthenticated(
                f"The answer from {line.endpoint.address} is not {self._name}'s.",
                hint="Something else listens there now.",
            )
        outcome = pickle.loads(answer.outcome)
        if answer.raised:
            raise outcome
        return outcome

    async def _connected(self) -> _Line:
        async with self._lock:
            line = self._line
            if line is not None:
                if line.ticket.expires_at - self._clock.now().timestamp() > _SPARE_SECONDS:
                    return line
                await self._hang_up(line)
            endpoint = await self._find()
            ticket = await self._client.issue_ticket(endpoint.attempt_uid)
            channel = open_channel(endpoint.address, "")
            self._line = _Line(endpoint, ticket, itertools.count(1), channel)
            return self._line

    async def _find(self) -> EndpointView:
        try:
            async with asyncio.timeout(self._appears_within.total_seconds()):
                while True:
                    for endpoint in await self._client.endpoints(self._name, limit=2):
                        if endpoint.name == self._name:
                            return _checked(endpoint)
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
        except TimeoutError:
            raise DeadlineExceeded(
                f"No actor {self._name} has appeared within {self._appears_within}.",
                hint="Its task has to run, and host it under that name.",
            ) from None

    async def _hang_up(self, line: _Line) -> None:
        if self._line is line:
            self._line = None
        await line.channel.close(None)


def _checked(endpoint: EndpointView) -> EndpointView:
    if endpoint.metadata.get(KIND_KEY) != KIND:
        raise NotFound(
            f"The endpoint {endpoint.name} is no actor.", hint="Host it with iris.actor.host."
        )
    return endpoint


class ActorProxy:
    """An object in another task: `proxy.method(...)` calls it there. From any thread of a task that
    has no event loop running.
    """

    def __init__(self, name: str, timeout: timedelta) -> None:
        self._task = current()
        self._name = name
        self._timeout = timeout
        self._caller: ActorCaller | None = None

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)

        def call(*args: Any, **kwargs: Any) -> Any:
            async def make(client: Client) -> Any:
                if self._caller is None:
                    self._caller = ActorCaller(client, self._name)
                return await self._caller.call(method, *args, timeout=self._timeout, **kwargs)

            return self._task.client.call(make)

        return call


def connect(name: str, timeout: timedelta = CALL_TIMEOUT) -> ActorProxy:
    """The actor of that name, `<job>/<name>`, which may only appear yet. Inside of a task.

    Args:
        timeout: Of each call.
    """
    return ActorProxy(name, timeout)
