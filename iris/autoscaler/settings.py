"""How the autoscaler behaves: the numbers, as one value."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class AutoscalerSettings:
    """See AutoscalerConfig in the configuration's schema.

    Attributes:
        idle_timeout: A slice none of whose workers had anything to do for this long is given back.
        interval: After a platform had nothing to give it is asked for one slice this much later, or
            as soon as a slice has gone; once it has given that one, for all that is missing.
        boot_timeout: A slice whose workers have not all come by then counts as a failed boot.
        call_timeout: Bound on one call to a platform.
        backoff_min: How long a group rests after a failed boot; doubles with each that follows, and
            halves with each slice that comes up.
        backoff_max: The longest it rests.
        max_parallel_calls: How many calls to one platform may be under way at once that ask for
            slices, and as many of all others.
        health_window: What became of a group's slices counts for so long.
        short_lived: A slice that is lost sooner than that after it came up was of little use.
        launches_per_minute: So many slices of one group are asked for in a minute, in the long run.
        launch_batch: So many at most at once, after a pause.
        tags: What every slice is labelled with, beside what its platform adds.
    """

    idle_timeout: timedelta
    interval: timedelta
    boot_timeout: timedelta
    call_timeout: timedelta
    backoff_min: timedelta
    backoff_max: timedelta
    max_parallel_calls: int = 200
    health_window: timedelta = timedelta(minutes=30)
    short_lived: timedelta = timedelta(minutes=5)
    launches_per_minute: int = 1_000
    launch_batch: int = 1_000
    tags: tuple[tuple[str, str], ...] = ()
