"""Faults that are to be injected, onto the wire and back."""

from datetime import timedelta

from iris_proto import controller_pb2

from iris.model.faults import Fault, FaultKind
from iris.rpc.convert_values import EnumTable, duration_from_proto, duration_to_proto

FAULT_KINDS = EnumTable(FaultKind, controller_pb2.FaultKind, "FAULT_")


def fault_to_proto(fault: Fault) -> controller_pb2.InjectFaultRequest:
    """A request for one."""
    return controller_pb2.InjectFaultRequest(
        kind=FAULT_KINDS.to_proto(fault.kind),
        target=fault.target,
        count=fault.count,
        delay=duration_to_proto(fault.delay) if fault.delay else None,
    )


def fault_from_proto(message: controller_pb2.InjectFaultRequest) -> Fault:
    """What is asked for. Raises InvalidArgument for what makes no sense."""
    return Fault(
        FAULT_KINDS.from_proto(message.kind),
        message.target,
        message.count or 1,
        duration_from_proto(message, "delay") or timedelta(0),
    )
