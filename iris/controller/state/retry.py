"""When a task that failed is run again, and when it is not."""

from dataclasses import dataclass
from datetime import timedelta

# Successive multiples of it, modulo 1, are spread evenly: one random number serves a whole slice.
_GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long retries wait, and how many one job may have.

    Attributes:
        base: The first retry of a task waits at most this long, each further one up to twice as
            long as the one before; half of it is chance, so that what failed together is not
            retried together.
        job_minimum, job_factor: A job may have `max(job_minimum, job_factor * replicas)` retries
            over all its tasks; a gang's restart counts once. It bounds what a job that fails
            everywhere can cost, whatever its budgets per task are.
        avoided: How many workers a task remembers to have failed on.
    """

    base: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=5)
    job_minimum: int = 1_000
    job_factor: int = 10
    avoided: int = 8

    def delay(self, retries: int, jitter: float) -> timedelta:
        """How long the retry number `retries` (from 1) of a task waits; `jitter` in [0, 1)."""
        doublings = min(retries - 1, 32)
        longest = min(self.base * float(2**doublings), self.longest)
        return longest * (0.5 + jitter / 2)

    def job_limit(self, replicas: int) -> int:
        """How many retries a job with so many tasks may have."""
        return max(self.job_minimum, self.job_factor * replicas)


def spread(jitter: float, position: int) -> float:
    """The number for the position-th of several that share one random number."""
    return (jitter + position * _GOLDEN_RATIO) % 1.0
