"""How TPU slices are made up: chips, VMs and topology by accelerator type.

Sources: https://cloud.google.com/tpu/docs/v5e, https://cloud.google.com/tpu/docs/v4,
https://cloud.google.com/tpu/docs/v5p, https://cloud.google.com/tpu/docs/v6e.
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
    """

    variant: str
    topology: str
    chips: int
    vms: int

    @property
    def chips_per_vm(self) -> int:
        """Chips that one VM of the slice drives."""
        return self.chips // self.vms


# (topology, chips, VMs). A v4 or v5p name counts TensorCores (two a chip), a v5e or v6e name counts chips.
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
    "v5p-8": ("2x2x1", 4, 1),
    "v5p-16": ("2x2x2", 8, 2),
    "v5p-32": ("2x2x4", 16, 4),
    "v5p-64": ("2x4x4", 32, 8),
    "v5p-128": ("4x4x4", 64, 16),
    "v5p-256": ("4x4x8", 128, 32),
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
    return TpuTopology(variant, topology, chips, vms)
