"""How the autoscaler behaves: the numbers, as one value."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class AutoscalerSettings:
    """See AutoscalerConfig in the configuration's schema.

    Attributes:
        idle_timeout: A slice none of whose workers had anything to do for this long is given back.
        interval: After a platform had nothing to give it is asked again this much later, or as soon
            as a slice has gone.
        boot_timeout: A slice whose workers have not all come by then counts as a failed boot.
        call_timeout: Bound on one call to a platform.
        backoff_min: How long a group rests after a failed boot; doubles with each that follows.
        backoff_max: The longest it rests.
        max_parallel_calls: How many calls to platforms may be under way at once.
        tags: What every slice is labelled with, beside what its platform adds.
    """

    idle_timeout: timedelta
    interval: timedelta
    boot_timeout: timedelta
    call_timeout: timedelta
    backoff_min: timedelta
    backoff_max: timedelta
    max_parallel_calls: int = 16
    tags: tuple[tuple[str, str], ...] = ()
