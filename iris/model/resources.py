"""Amounts of what a machine has: whole numbers, exact arithmetic, and how people read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Resources:
    """What a task asks for, or a machine has.

    Attributes:
        cpu_millis: Thousandths of a core.
        memory_bytes: Memory.
        disk_bytes: Disk.
        accelerators: Chips or cards by kind, `("tpu/v5litepod-16", 4)`, sorted by kind, no zeros.
        ports: TCP ports.
    """

    cpu_millis: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    accelerators: tuple[tuple[str, int], ...] = ()
    ports: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return self._combine(other, 1)

    def __sub__(self, other: "Resources") -> "Resources":
        return self._combine(other, -1)

    def __mul__(self, times: int) -> "Resources":
        return Resources(
            self.cpu_millis * times,
            self.memory_bytes * times,
            self.disk_bytes * times,
            tuple((kind, count * times) for kind, count in self.accelerators if times),
            self.ports * times,
        )

    def _combine(self, other: "Resources", sign: int) -> "Resources":
        accelerators = self.accelerators
        if other.accelerators:
            counts = dict(accelerators)
            for kind, count in other.accelerators:
                counts[kind] = counts.get(kind, 0) + sign * count
            accelerators = accelerators_of(counts)
        return Resources(
            self.cpu_millis + sign * other.cpu_millis,
            self.memory_bytes + sign * other.memory_bytes,
            self.disk_bytes + sign * other.disk_bytes,
            accelerators,
            self.ports + sign * other.ports,
        )

    def fits_in(self, free: "Resources") -> bool:
        """Whether this much can be taken from `free`."""
        if (
            self.cpu_millis > free.cpu_millis
            or self.memory_bytes > free.memory_bytes
            or self.disk_bytes > free.disk_bytes
            or self.ports > free.ports
        ):
            return False
        if not self.accelerators:
            return True
        have = dict(free.accelerators)
        return all(count <= have.get(kind, 0) for kind, count in self.accelerators)

    def copies_in(self, free: "Resources", limit: int) -> int:
        """How many times this much can be taken from `free`, at most `limit`; 0 or more."""
        # Called for every worker and slice that is looked at: written out, it is three times as
        # fast.
        if self.cpu_millis:
            limit = min(limit, free.cpu_millis // self.cpu_millis)
        if self.memory_bytes:
            limit = min(limit, free.memory_bytes // self.memory_bytes)
        if self.disk_bytes:
            limit = min(limit, free.disk_bytes // self.disk_bytes)
        if self.ports:
            limit = min(limit, free.ports // self.ports)
        if self.accelerators:
            have = dict(free.accelerators)
            for kind, count in self.accelerators:
                if count:
                    limit = min(limit, have.get(kind, 0) // count)
        return max(0, limit)

    def amounts(self) -> Iterator[tuple[str, int]]:
        """Each resource's name and amount: cpu (millis), memory, disk (bytes), ports, then
        accelerators.
        """
        yield "cpu", self.cpu_millis
        yield "memory", self.memory_bytes
        yield "disk", self.disk_bytes
        yield "ports", self.ports
        yield from self.accelerators

    def shortages(self, free: "Resources") -> list[tuple[str, int, int]]:
        """(resource, needed, free) for each resource of which `free` has too little."""
        have = dict(free.amounts())
        return [
            (name, needed, have.get(name, 0))
            for name, needed in self.amounts()
            if needed > have.get(name, 0)
        ]

    def __str__(self) -> str:
        return (
            ", ".join(format_amount(name, amount) for name, amount in self.amounts() if amount)
            or "nothing"
        )


def accelerators_of(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """The canonical form of `Resources.accelerators`."""
    return tuple(sorted((kind, count) for kind, count in counts.items() if count))


def format_bytes(amount: int) -> str:
    """`1.5 GiB`: binary units, at most two decimals."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(amount) >= unit:
            return f"{amount / unit:.2f}".rstrip("0").rstrip(".") + f" {name}"
    return f"{amount} B"


def format_amount(name: str, amount: int) -> str:
    """One resource for people: `1.5 cores`, `2 GiB memory`, `4 tpu/v5litepod-16`."""
    if name == "cpu":
        cores = f"{amount / 1000:.3f}".rstrip("0").rstrip(".")
        return f"{cores} core" if cores == "1" else f"{cores} cores"
    if name in ("memory", "disk"):
        return f"{format_bytes(amount)} {name}"
    if name == "ports" and amount == 1:
        return "1 port"
    return f"{amount} {name}"
