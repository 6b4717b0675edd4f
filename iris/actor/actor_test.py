"""Objects are called over a real connection, and nobody without a ticket gets anything unpickled."""

import asyncio
import pickle
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import cloudpickle
import grpc.aio
import pytest
from iris_proto import actor_pb2, actor_pb2_grpc

from iris.actor.host import CALL_METHOD, KIND, KIND_KEY, ActorServicer, signed_parts
from iris.actor.outcome import MAX_BYTES, ActorError
from iris.actor.proxy import ActorCaller
from iris.client import Client, EndpointView
from iris.model.errors import (
    AlreadyExists,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from iris.model.ids import AttemptUid, TaskId
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.rpc.server import bind, create_server
from iris.rpc.tickets import sign, ticket_key
from iris.testing.clock import FakeClock

TOKEN = "task.a1.00"
NAME = "/ada/train/counter"


class Counter:
    """What is hosted."""

    def __init__(self) -> None:
        self.value = 0
        self.called: list[str] = []

    def add(self, amount: int, *, twice: bool = False) -> int:
        self.called.append("add")
        self.value += 2 * amount if twice else amount
        return self.value

    async def later(self) -> str:
        await asyncio.sleep(0)
        return "later"

    def fail(self) -> None:
        raise ValueError("no such luck")

    def lock(self) -> Any:
        return threading.Lock()

    def large(self) -> bytes:
        return bytes(MAX_BYTES + 1)

    def _private(self) -> int:
        return 1


class Directory:
    """The part of a Client that callers use."""

    def __init__(self, address: str, clock: FakeClock) -> None:
        self.address = address
        self.metadata = {KIND_KEY: KIND}
        self.clock = clock
        self.token = TOKEN
        self.tickets = 0
        self.there = True

    async def endpoints(self, prefix: str, *, limit: int) -> tuple[EndpointView, ...]:
        if not self.there:
            return ()
        return (
            EndpointView(
                NAME, self.address, self.metadata, TaskId("/ada/train/0"), AttemptUid("a1")
            ),
        )

    async def issue_ticket(self, uid: AttemptUid) -> actor_pb2.Ticket:
        self.tickets += 1
        expires = int(self.clock.now().timestamp()) + 300
        bearer = f"a2/{self.tickets}"
        key = ticket_key(self.token, bearer, expires)
        return actor_pb2.Ticket(bearer=bearer, expires_at=expires, key=key)


class Hosted:
    """A counter behind a port, and a way to it."""

    def __init__(self) -> None:
        self.counter = Counter()
        self.clock = FakeClock()
        self.server = create_server("nobody-knows", frozenset({CALL_METHOD}))

        async def run(method: Any, *args: Any, **kwargs: Any) -> Any:
            made = method(*args, **kwargs)
            return await made if asyncio.iscoroutine(made) else made

        servicer = ActorServicer(self.counter, "counter", TOKEN, run=run, clock=self.clock)
        actor_pb2_grpc.add_ActorServiceServicer_to_server(servicer, self.server)
        port = bind(self.server, "127.0.0.1", 0)
        self.directory = Directory(f"127.0.0.1:{port}", self.clock)
        self.caller = ActorCaller(
            cast(Client, self.directory),
            NAME,
            clock=self.clock,
            appears_within=timedelta(seconds=0.01),
        )

    async def send(self, request: actor_pb2.ActorCall) -> Any:
        """A call as it is, by whoever wants."""
        channel = open_channel(self.directory.address, "")
        try:
            stub: Any = actor_pb2_grpc.ActorServiceStub(channel)
            with rpc_errors("Call"):
                return await stub.Call(request)
        finally:
            await channel.close(None)


@pytest.fixture
async def hosted() -> AsyncIterator[Hosted]:
    hosted = Hosted()
    await hosted.server.start()
    yield hosted
    await hosted.caller.close()
    await hosted.server.stop(0)


async def signed_call(hosted: Hosted, method: str = "add", number: int = 1) -> actor_pb2.ActorCall:
    ticket = await hosted.directory.issue_ticket(AttemptUid("a1"))
    request = actor_pb2.ActorCall(
        bearer=ticket.bearer,
        expires_at=ticket.expires_at,
        number=number,
        actor="counter",
        method=method,
        arguments=pickle.dumps(((1,), {})),
    )
    request.signature = sign(ticket.key, *signed_parts(request))
    return request


async def test_methods_keep_the_objects_state_over_one_ticket(hosted: Hosted) -> None:
    assert await hosted.caller.call("add", 3) == 3
    assert await hosted.caller.call("add", 2, twice=True) == 7
    assert await hosted.caller.call("later") == "later"
    assert hosted.directory.tickets == 1


async def test_what_a_method_raises_arrives_as_itself_with_its_traceback(hosted: Hosted) -> None:
    with pytest.raises(ValueError, match="no such luck") as raised:
        await hosted.caller.call("fail")
    assert "in fail" in "".join(raised.value.__notes__)


@pytest.mark.parametrize(("method", "said"), [("lock", "pickled"), ("large", "bytes")])
async def test_what_cannot_travel_is_an_error(hosted: Hosted, method: str, said: str) -> None:
    with pytest.raises(ActorError, match=said):
        await hosted.caller.call(method)


@pytest.mark.parametrize("method", ["_private", "__init__", "nonsense", "value"])
async def test_only_public_methods_are_called(hosted: Hosted, method: str) -> None:
    with pytest.raises(NotFound, match="no method"):
        await hosted.caller.call(method)


async def test_too_much_to_send_is_refused_before_it_is_sent(hosted: Hosted) -> None:
    with pytest.raises(InvalidArgument, match="at most"):
        await hosted.caller.call("add", bytes(MAX_BYTES + 1))
    assert hosted.directory.tickets == 0


class Bomb:
    """Goes off when it is unpickled."""

    exploded = False

    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> None:
    Bomb.exploded = True


@pytest.mark.parametrize(
    "forged", ["signature", "bearer", "arguments", "method", "number", "actor"]
)
async def test_what_is_not_signed_is_never_unpickled(hosted: Hosted, forged: str) -> None:
    request = await signed_call(hosted)
    request.arguments = cloudpickle.dumps(((Bomb(),), {}))
    if forged != "arguments":
        other = await signed_call(hosted, "later", 9)
        request.arguments = other.arguments
        setattr(request, forged, "other" if forged == "actor" else getattr(other, forged))
    with pytest.raises(Unauthenticated):
        await hosted.send(request)
    assert not Bomb.exploded
    assert hosted.counter.called == []


async def test_a_ticket_for_another_task_is_worth_nothing(hosted: Hosted) -> None:
    hosted.directory.token = "task.a9.00"
    with pytest.raises(Unauthenticated, match="not signed"):
        await hosted.caller.call("add", 1)


async def test_a_recorded_call_cannot_be_made_again(hosted: Hosted) -> None:
    request = await signed_call(hosted)
    await hosted.send(request)
    with pytest.raises(AlreadyExists):
        await hosted.send(request)
    assert hosted.counter.value == 1


async def test_tickets_expire_and_callers_get_a_new_one_in_time(hosted: Hosted) -> None:
    request = await signed_call(hosted)
    await hosted.clock.advance(301)
    with pytest.raises(Unauthenticated, match="expired"):
        await hosted.send(request)
    assert await hosted.caller.call("add", 1) == 1
    await hosted.clock.advance(290)
    assert await hosted.caller.call("add", 1) == 2


async def test_an_answer_of_somebody_else_is_not_unpickled(hosted: Hosted) -> None:
    class Impostor(actor_pb2_grpc.ActorServiceServicer):
        async def Call(self, request: Any, context: object) -> actor_pb2.ActorAnswer:
            return actor_pb2.ActorAnswer(outcome=cloudpickle.dumps(Bomb()), signature=b"x" * 32)

    server = grpc.aio.server()
    actor_pb2_grpc.add_ActorServiceServicer_to_server(Impostor(), server)
    hosted.directory.address = f"127.0.0.1:{bind(server, '127.0.0.1', 0)}"
    await server.start()
    with pytest.raises(Unauthenticated, match="not /ada/train/counter's"):
        await hosted.caller.call("add", 1)
    await server.stop(0)
    assert not Bomb.exploded


async def test_after_a_failure_the_actor_is_looked_up_again(hosted: Hosted) -> None:
    good = hosted.directory.address
    hosted.directory.address = "127.0.0.1:1"
    with pytest.raises(Unavailable):
        await hosted.caller.call("add", 1)
    hosted.directory.address = good
    assert await hosted.caller.call("add", 1) == 1


async def test_an_actor_that_never_appears_and_an_endpoint_that_is_none(hosted: Hosted) -> None:
    hosted.directory.there = False
    with pytest.raises(DeadlineExceeded, match="appeared"):
        await hosted.caller.call("add", 1)
    hosted.directory.there, hosted.directory.metadata = True, {}
    with pytest.raises(NotFound, match="no actor"):
        await hosted.caller.call("add", 1)
