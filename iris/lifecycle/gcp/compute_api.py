"""What a controller's life needs of Google's Compute Engine, and nothing more.

https://cloud.google.com/compute/docs/reference/rest/v1/instances is the interface behind it; each method
here names the one that it stands for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class InstanceState(Enum):
    """`status` of an instance, as far as it matters here."""

    STARTING = "starting"  # PROVISIONING, STAGING, REPAIRING
    RUNNING = "running"  # RUNNING
    STOPPING = "stopping"  # STOPPING, SUSPENDING
    OFF = "off"  # TERMINATED, SUSPENDED: only its disk costs anything


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """A machine to be bought.

    Attributes:
        image: Of its boot disk, e.g. projects/debian-cloud/global/images/family/debian-12.
        network, service_account: Empty: the project's default.
        metadata: `startup-script` runs as root at every boot.
    """

    name: str
    machine_type: str
    boot_disk_bytes: int
    image: str
    network: str
    service_account: str
    labels: Mapping[str, str]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Instance:
    """One that there is.

    Attributes:
        address: By which it is reached from here; empty while it has none.
        host_keys: What its sshd published of itself (guest attributes `hostkeys/`), each as `type key`.
            Empty until it has.
    """

    name: str
    state: InstanceState
    address: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    host_keys: tuple[str, ...] = ()


class ComputeApi(Protocol):
    """Calls for one project and zone. Each blocks until what was asked for is done there, for a bounded
    time, and may come from any process.

    All raise Unavailable or DeadlineExceeded (it may come about later), PermissionDenied,
    ResourceExhausted (quota, or no machine of the type), and NotFound for an instance that is not there.
    """

    def create(self, spec: InstanceSpec) -> None:
        """Buys it; it runs then (instances.insert). Raises AlreadyExists for a name that is taken."""

    def find(self, labels: Mapping[str, str]) -> Sequence[Instance]:
        """Those that carry all of these labels (instances.list, getGuestAttributes)."""

    def power_on(self, name: str) -> None:
        """It runs again, from the same disk (instances.start). Nothing happens if it does."""

    def power_off(self, name: str) -> None:
        """All that runs on it ends; its disk stays (instances.stop). Nothing happens if it is off."""

    def set_metadata(self, name: str, entries: Mapping[str, str]) -> None:
        """Adds to, or replaces in, its metadata, also while it is off (instances.setMetadata). A value
        has at most 256 KiB.
        """

    def serial_output(self, name: str) -> str:
        """What it wrote on its console since it was last powered on (instances.getSerialPortOutput)."""
