"""In which order jobs are served: three bands, each served before the next one gets anything."""

from enum import Enum


class PriorityBand(Enum):
    """Work of an earlier band goes first, and may take the place of running work of a later one."""

    PRODUCTION = "production"
    INTERACTIVE = "interactive"
    BATCH = "batch"

    @property
    def rank(self) -> int:
        """0 is served first."""
        return _RANKS[self]

    def may_preempt(self, other: "PriorityBand") -> bool:
        """Whether work of this band may take the place of running work of the other."""
        return self.rank < other.rank


_RANKS = {band: rank for rank, band in enumerate(PriorityBand)}
