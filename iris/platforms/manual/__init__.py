"""Hosts that are there, reached by SSH, as a platform: a VM is a host that a slice has claimed."""

from iris.platforms.manual.from_config import manual_options
from iris.platforms.manual.options import ControllerAccess, ManualOptions, WorkerSettings
from iris.platforms.manual.shipping import Shipping
from iris.platforms.manual.vm_group import ManualVmGroup
from iris.platforms.manual.vm_manager import ManualVmManager

__all__ = [
    "ControllerAccess",
    "ManualOptions",
    "ManualVmGroup",
    "ManualVmManager",
    "Shipping",
    "WorkerSettings",
    "manual_options",
]
