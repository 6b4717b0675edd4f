"""Hosts an object in a task: other tasks of the same user call its methods.

with iris.actor.host(Counter(), "counter"):
    ...  # until the block ends
"""

import inspect
import pickle
import secrets
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc.aio
from iris_proto import actor_pb2, actor_pb2_grpc

from iris.actor.outcome import dump_outcome, with_trace
from iris.actor.replay_guard import ReplayGuard
from iris.client import TaskContext, current
from iris.client.loop_thread import LoopThread
from iris.host.clock import Clock, SystemClock
from iris.model.errors import InvalidArgument, NotFound, Unauthenticated
from iris.rpc.server import bind, create_server
from iris.rpc.tickets import is_signed, sign, ticket_key

CALL_METHOD = "/iris.v1.ActorService/Call"
# What tells an actor's endpoint from any other.
KIND_KEY, KIND = "kind", "iris-actor"
_SYSTEM_CLOCK = SystemClock()
_GRACE_SECONDS = 0.5


class ActorServicer(actor_pb2_grpc.ActorServiceServicer):
    """Answers calls of one object's methods. Nothing of a call is unpickled before its signature
    was found right.

    Args:
        token: Of the task that hosts it.
        run: Calls a method and returns what it returns.
    """

    def __init__(
        self,
        instance: object,
        name: str,
        token: str,
        *,
        run: Callable[..., Any],
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        self._instance = instance
        self._name = name
        self._token = token
        self._run = run
        self._clock = clock
        self._guard = ReplayGuard()

    async def Call(self, request: actor_pb2.ActorCall, context: object) -> actor_pb2.ActorAnswer:
        """See actor.proto."""
        key = self._authenticate(request)
        method = self._method(request)
        args, kwargs = pickle.loads(request.arguments)
        try:
            outcome: object = await self._run(method, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - it is the outcome
            outcome = with_trace(error)
        pickled, raised = dump_outcome(outcome)
        signature = sign(key, request.signature, b"raised" if raised else b"returned", pickled)
        return actor_pb2.ActorAnswer(outcome=pickled, raised=raised, signature=signature)

    def _authenticate(self, request: actor_pb2.ActorCall) -> bytes:
        """The key of the call's ticket. Raises Unauthenticated."""
        now = self._clock.now().timestamp()
        if request.expires_at <= now:
            raise Unauthenticated("The call's ticket has expired.", hint="Get a new one.")
        key = ticket_key(self._token, request.bearer, request.expires_at)
        if not is_signed(request.signature, key, *signed_parts(request)):
            raise Unauthenticated(
                "The call is not signed as the controller's tickets for this task have it.",
                hint="Is this the task that is meant? It may have been run again.",
            )
        self._guard.note(request.bearer, request.expires_at, request.number, now)
        return key

    def _method(self, request: actor_pb2.ActorCall) -> Callable[..., Any]:
        if request.actor != self._name:
            raise NotFound(
                f"There is no actor {request.actor!r} here.", hint=f"It is {self._name!r}."
            )
        name = request.method
        found = None if name.startswith("_") else getattr(self._instance, name, None)
        if not callable(found):
            kind = type(self._instance).__name__
            raise NotFound(
                f"{kind} has no method {name!r} that may be called from outside.",
                hint="Names that begin with an underscore are not.",
            )
        method: Callable[..., Any] = found
        return method


def signed_parts(request: actor_pb2.ActorCall) -> tuple[bytes, ...]:
    """What the signature of a call covers."""
    return (
        b"call",
        request.bearer.encode(),
        str(request.number).encode(),
        request.actor.encode(),
        request.method.encode(),
        request.arguments,
    )


@contextmanager
def host(
    instance: object, name: str, *, port: str | None = None, threads: int = 1
) -> Iterator[str]:
    """Makes the object's public methods callable until the block ends, as the endpoint
    `<job>/<name>`; gives that name.

    Plain methods are called on `threads` threads of their own, one call at a time each;
    coroutine functions all on one event loop, side by side.

    Args:
        port: The name of one of the job's ports to listen on; otherwise any free one.

    Raises FailedPrecondition outside of a task, InvalidArgument for a port that the job does not
    name.
    """
    task = current()
    thread = LoopThread(f"actor-{name}")
    pool = ThreadPoolExecutor(threads, thread_name_prefix=f"actor-{name}")
    try:
        address, server = thread.run(_serve(instance, name, task, port, pool))
        try:
            endpoint = task.register_endpoint(name, address, {KIND_KEY: KIND})
            try:
                yield endpoint.name
            finally:
                task.unregister_endpoint(name)
        finally:
            thread.run(server.stop(_GRACE_SECONDS))
    finally:
        thread.close()
        pool.shutdown(wait=False, cancel_futures=True)


async def _serve(
    instance: object, name: str, task: TaskContext, port: str | None, pool: ThreadPoolExecutor
) -> tuple[str, grpc.aio.Server]:
    import asyncio

    async def run(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(method):
            return await method(*args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, lambda: method(*args, **kwargs))

    # Nobody knows this token: all that is open to anybody is Call, which checks for itself.
    server = create_server(secrets.token_hex(), frozenset({CALL_METHOD}))
    servicer = ActorServicer(instance, name, task.identity.token, run=run)
    actor_pb2_grpc.add_ActorServiceServicer_to_server(servicer, server)
    own = own_host(task)
    bound = bind(server, own, _port_number(task, port))
    await server.start()
    return (f"[{own}]:{bound}" if ":" in own else f"{own}:{bound}"), server


def _port_number(task: TaskContext, port: str | None) -> int:
    if port is None:
        return 0
    if port not in task.ports:
        raise InvalidArgument(
            f"{task.job_id} has no port named {port!r}.",
            hint=f"It has: {', '.join(sorted(task.ports)) or 'none'}.",
        )
    return task.ports[port]


def own_host(task: TaskContext) -> str:
    """The address of this machine from which it reaches the controller, and others reach it."""
    if task.peer_hosts:
        return task.peer_hosts[task.index]
    controller, _, port = task.identity.controller_address.rpartition(":")
    found = socket.getaddrinfo(controller.strip("[]"), int(port), type=socket.SOCK_DGRAM)
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)  # sends nothing: it only has the kernel choose
        return str(probe.getsockname()[0])
