"""Is a controller there and well? Asked with a real call, from any thread, without a loop."""

from datetime import timedelta

import grpc
from iris_proto import controller_pb2, controller_pb2_grpc

from iris.rpc.channels import CHANNEL_OPTIONS
from iris.rpc.errors import rpc_errors


def check_health(address: str, timeout: timedelta) -> controller_pb2.HealthResponse:
    """The Health answer of the controller at `host:port`.

    Blocks for at most about `timeout`; leaves no thread or socket.

    Raises Unavailable or DeadlineExceeded when nobody answers there.
    """
    with (
        grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel,
        rpc_errors(f"Health at {address}"),
    ):
        stub = controller_pb2_grpc.ControllerServiceStub(channel)
        return stub.Health(controller_pb2.HealthRequest(), timeout=timeout.total_seconds())
