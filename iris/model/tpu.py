"""How TPU slices are made up: chips, hosts, VMs and topology by accelerator type.

A slice's chips sit in hosts, which Cloud TPU shows as VMs: on v4 and v5p each host is one VM; on v5e and v6e, whose
hosts have eight chips, a slice of one host or less is one VM, and a larger one has two VMs a host. A name of v4 or v5p
counts TensorCores, of which a chip has two; one of v5e or v6e counts chips.

Sources, one a family: https://cloud.google.com/tpu/docs/v4, https://cloud.google.com/tpu/docs/v5p,
https://cloud.google.com/tpu/docs/v5e, https://cloud.google.com/tpu/docs/v6e. Those of v5p, v5e and v6e have the shapes
as tables. Those of v4 follow from https://cloud.google.com/tpu/docs/types-topologies: AxBxC with A<=B<=C, each up to 4
or a multiple of 4, and of those of a size the one most like a cube. Sizes in between (4x4x12, say) are left out.
"""

from dataclasses import dataclass

from iris.model.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class TpuTopology:
    """One kind of slice.

    Attributes:
        topology: Chips along each axis, `4x4`.
        chips: In the whole slice.
        vms: In the whole slice.
        chips_per_host: Of a host of this family, whether or not the slice has a whole one.
    """

    variant: str
    topology: str
    chips: int
    vms: int
    chips_per_host: int

    @property
    def chips_per_vm(self) -> int:
        """Chips that one VM of the slice drives."""
        return self.chips // self.vms

    @property
    def hosts(self) -> int:
        """Machines that its chips sit in; 1 also for a slice that shares its host with others."""
        return -(-self.chips // self.chips_per_host)


_CHIPS_PER_HOST = {"v4": 4, "v5p": 4, "v5litepod": 8, "v6e": 8}

# (topology, chips, VMs).
_TABLE: dict[str, tuple[str, int, int]] = {
    "v5litepod-1": ("1x1", 1, 1),
    "v5litepod-4": ("2x2", 4, 1),
    "v5litepod-8": ("2x4", 8, 1),
    "v5litepod-16": ("4x4", 16, 4),
    "v5litepod-32": ("4x8", 32, 8),
    "v5litepod-64": ("8x8", 64, 16),
    "v5litepod-128": ("8x16", 128, 32),
    "v5litepod-256": ("16x16", 256, 64),
    "v6e-1": ("1x1", 1, 1),
    "v6e-4": ("2x2", 4, 1),
    "v6e-8": ("2x4", 8, 1),
    "v6e-16": ("4x4", 16, 4),
    "v6e-32": ("4x8", 32, 8),
    "v6e-64": ("8x8", 64, 16),
    "v6e-128": ("8x16", 128, 32),
    "v6e-256": ("16x16", 256, 64),
    "v4-8": ("2x2x1", 4, 1),
    "v4-16": ("2x2x2", 8, 2),
    "v4-32": ("2x2x4", 16, 4),
    "v4-64": ("2x4x4", 32, 8),
    "v4-128": ("4x4x4", 64, 16),
    "v4-256": ("4x4x8", 128, 32),
    "v4-512": ("4x8x8", 256, 64),
    "v4-1024": ("8x8x8", 512, 128),
    "v4-2048": ("8x8x16", 1024, 256),
    "v4-4096": ("8x16x16", 2048, 512),
    "v5p-8": ("2x2x1", 4, 1),
    "v5p-16": ("2x2x2", 8, 2),
    "v5p-32": ("2x2x4", 16, 4),
    "v5p-64": ("2x4x4", 32, 8),
    "v5p-128": ("4x4x4", 64, 16),
    "v5p-256": ("4x4x8", 128, 32),
    "v5p-512": ("4x8x8", 256, 64),
    "v5p-1024": ("8x8x8", 512, 128),
    "v5p-2048": ("8x8x16", 1024, 256),
    "v5p-4096": ("8x16x16", 2048, 512),
    "v5p-8192": ("16x16x16", 4096, 1024),
    "v5p-12288": ("16x16x24", 6144, 1536),
}

TPU_VARIANTS: tuple[str, ...] = tuple(_TABLE)


def tpu_topology(variant: str) -> TpuTopology:
    """The make-up of a slice of that accelerator type. Raises InvalidArgument for one that is not known."""
    row = _TABLE.get(variant)
    if row is None:
        raise InvalidArgument(
            f"{variant!r} is no TPU type that Iris knows.", hint=f"Known: {', '.join(_TABLE)}."
        )
    topology, chips, vms = row
    family = variant.partition("-")[0]
    return TpuTopology(variant, topology, chips, vms, _CHIPS_PER_HOST[family])
