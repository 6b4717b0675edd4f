"""How long to wait before trying again."""

import random
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles from `first` to `cap` seconds. Each wait is drawn from the upper half of that, so
    that many workers that lost one controller do not all come back at once.
    """

    rng: random.Random
    first: float = 0.2
    cap: float = 5.0
    tries: int = 0

    def next(self) -> float:
        """Seconds until the next try."""
        # The exponent is bounded: 2.0**1024 is an OverflowError.
        longest = min(self.cap, self.first * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return longest * self.rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: the next failure is a first one again."""
        self.tries = 0
