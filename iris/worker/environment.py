"""What a machine has to offer: as it was told, or as it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from iris.host.ports import LOOPBACK
from iris.model.errors import FailedPrecondition
from iris.model.resources import Resources
from iris.worker.protocols import WorkerEnvironment

# Far more than tasks of one machine ever asked for, and far fewer than its kernel gives out.
DEFAULT_PORTS = 1000


@dataclass(frozen=True, slots=True)
class LocalEnvironmentProvider:
    """An EnvironmentProvider for a machine that is a share of this one: it has what it is given."""

    total: Resources
    attributes: Mapping[str, str]
    host: str = LOOPBACK

    def probe(self) -> WorkerEnvironment:
        """See EnvironmentProvider."""
        if self.total.cpu_millis <= 0 or self.total.memory_bytes <= 0:
            raise FailedPrecondition(
                f"A worker was given {self.total}.", hint="It needs some processor and memory."
            )
        return WorkerEnvironment(self.total, self.attributes, self.host)


@dataclass(frozen=True, slots=True)
class MachineEnvironmentProvider:
    """An EnvironmentProvider for a worker that has the whole machine.

    Attributes:
        measure: What this process may really use, e.g. iris.host.budget.this_machine.
        accelerators: Those that the machine is known to have, as in Resources.
        host: Where peers reach this worker's tasks.
        ports: How many TCP ports tasks may have at once.
    """

    measure: Callable[[], Resources]
    attributes: Mapping[str, str]
    host: str
    accelerators: tuple[tuple[str, int], ...] = ()
    ports: int = DEFAULT_PORTS

    def probe(self) -> WorkerEnvironment:
        """See EnvironmentProvider."""
        found = self.measure()
        if found.cpu_millis <= 0 or found.memory_bytes <= 0:
            raise FailedPrecondition(
                f"This machine has nothing to offer: it has {found}.",
                hint="Look at the limits (control groups, affinity) that this process runs under.",
            )
        total = replace(found, accelerators=self.accelerators, ports=self.ports)
        return WorkerEnvironment(total, self.attributes, self.host)
