"""The providers: of a share of a machine, and of a whole one."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from iris.host.ports import LOOPBACK
from iris.model.errors import FailedPrecondition
from iris.model.fleet import ATTRIBUTE_FOUND_BY
from iris.model.resources import Resources, accelerators_of
from iris.worker.environment.gce import GceProbe
from iris.worker.environment.nvidia import NvidiaProbe
from iris.worker.environment.probe import MachineProbe
from iris.worker.protocols import WorkerEnvironment

_log = logging.getLogger(__name__)

# Far more than tasks of one machine ever asked for, and far fewer than its kernel gives out.
DEFAULT_PORTS = 1000


@dataclass(frozen=True, slots=True)
class LocalEnvironmentProvider:
    """An EnvironmentProvider for a machine that is a share of this one: it has what it is given."""

    total: Resources
    attributes: Mapping[str, str]
    host: str = LOOPBACK

    async def probe(self) -> WorkerEnvironment:
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
        attributes: Those that are known; they count, whatever is found.
        host: Where peers reach this worker's tasks.
        accelerators: Those that the machine is known to have, as in Resources; with some, what is
            found of that kind (`gpu`, `tpu`) does not count.
        ports: How many TCP ports tasks may have at once.
        probes: What looks for accelerators and attributes. Those that found something are named in
            the attribute `found-by`.
    """

    measure: Callable[[], Resources]
    attributes: Mapping[str, str]
    host: str
    accelerators: tuple[tuple[str, int], ...] = ()
    ports: int = DEFAULT_PORTS
    probes: tuple[MachineProbe, ...] = (NvidiaProbe(), GceProbe())

    async def probe(self) -> WorkerEnvironment:
        """See EnvironmentProvider."""
        measured = self.measure()
        if measured.cpu_millis <= 0 or measured.memory_bytes <= 0:
            raise FailedPrecondition(
                f"This machine has nothing to offer: it has {measured}.",
                hint="Look at the limits (control groups, affinity) that this process runs under.",
            )
        known = {_family(kind) for kind, _ in self.accelerators}
        accelerators, attributes = dict(self.accelerators), dict[str, str]()
        found_by: list[str] = []
        everything = await asyncio.gather(*(probe.look() for probe in self.probes))
        for probe, found in zip(self.probes, everything, strict=True):
            if found.problem:
                _log.warning("%s: %s", probe.name, found.problem)
            if found.is_nothing:
                continue
            found_by.append(probe.name)
            attributes |= found.attributes
            for kind, count in found.accelerators:
                if _family(kind) not in known:
                    accelerators[kind] = count
        if found_by:
            attributes[ATTRIBUTE_FOUND_BY] = ", ".join(found_by)
        total = replace(measured, accelerators=accelerators_of(accelerators), ports=self.ports)
        return WorkerEnvironment(total, {**attributes, **self.attributes}, self.host)


def _family(kind: str) -> str:
    """`gpu` of `gpu/h100`."""
    return kind.partition("/")[0]
