"""What a worker needs to be well."""

from dataclasses import dataclass
from datetime import timedelta

from iris.model.resources import MIB


@dataclass(frozen=True, slots=True)
class HealthOptions:
    """Beyond these a worker takes no new work; see WorkerHealthConfig in config.proto, which has
    the same defaults.

    Attributes:
        min_disk_bytes: Free where the worker's folder is.
        min_memory_bytes: Available to the worker and its tasks.
        max_clock_skew: Between the worker's clock and the controller's, and of a jump.
        interval: Between two looks.
    """

    min_disk_bytes: int = 512 * MIB
    min_memory_bytes: int = 128 * MIB
    max_clock_skew: timedelta = timedelta(seconds=30)
    interval: timedelta = timedelta(seconds=10)


DEFAULT_HEALTH = HealthOptions()
