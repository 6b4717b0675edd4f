"""gRPC servers: token and error mapping on every method, one port that nobody else has."""

import grpc
import grpc.aio

from iris.model.errors import FailedPrecondition
from iris.rpc.auth import OPEN_METHODS, FindTask, TokenInterceptor, no_tasks
from iris.rpc.channels import KEEPALIVE_OPTIONS, SIZE_OPTIONS
from iris.rpc.errors import ErrorInterceptor

# Bound on calls under way at once, streams included (each worker and each watcher holds one). More
# get RESOURCE_EXHAUSTED.
MAX_CONCURRENT_CALLS = 20_000

_OPTIONS: tuple[tuple[str, int], ...] = (
    *KEEPALIVE_OPTIONS,
    *SIZE_OPTIONS,
    # By default a second server on the same port succeeds too, and the kernel deals calls out
    # between the two.
    ("grpc.so_reuseport", 0),
    # Clients ping every 10 s, calls or not; gRPC's default takes that for an attack and hangs up.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


def create_server(
    token: str,
    open_methods: frozenset[str] = OPEN_METHODS,
    find_task: FindTask = no_tasks,
) -> grpc.aio.Server:
    """A server that refuses every call without `token` except those of `open_methods` (full names,
    `/package.Service/Method`), and what tasks may do: `find_task` knows those that run.

    Call on the event loop it is to run on.
    """
    return grpc.aio.server(
        interceptors=(TokenInterceptor(token, open_methods, find_task), ErrorInterceptor()),
        options=_OPTIONS,
        maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS,
    )


def bind(server: grpc.aio.Server, host: str, port: int) -> int:
    """Takes `host:port` (0: any free one) before the server is started, and returns the port.

    Raises FailedPrecondition when it cannot be had.
    """
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as error:
        raise _cannot_listen(address) from error
    if not bound:
        raise _cannot_listen(address)
    return bound


def _cannot_listen(address: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"Cannot listen on {address}: the port is taken, or the address is not this machine's.",
        hint="Choose another port, or 0 for a free one.",
    )
