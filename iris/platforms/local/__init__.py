"""This machine as a platform: its VMs are real workers, in this process or each in one of its own."""

from iris.platforms.local.budget import MachineBudget
from iris.platforms.local.machine import LocalMachine, LocalMachineOptions
from iris.platforms.local.vm_group import LocalVmGroup
from iris.platforms.local.vm_manager import LocalVmManager, WorkerHosting

__all__ = [
    "LocalMachine",
    "LocalMachineOptions",
    "LocalVmGroup",
    "LocalVmManager",
    "MachineBudget",
    "WorkerHosting",
]
