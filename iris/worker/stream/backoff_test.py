"""Waits grow, are capped, differ between workers, and begin anew."""

import random

from iris.worker.stream.backoff import Backoff


def test_waits_double_up_to_the_cap_and_begin_anew(test_seed: str) -> None:
    backoff = Backoff(random.Random(test_seed), first=1.0, cap=8.0)
    for longest in (1, 2, 4, 8, 8, 8):
        assert longest / 2 <= backoff.next() <= longest, f"seed {test_seed}"
    for _ in range(5000):
        assert backoff.next() <= 8
    backoff.reset()
    assert backoff.next() <= 1


def test_two_workers_do_not_wait_alike() -> None:
    assert Backoff(random.Random(1)).next() != Backoff(random.Random(2)).next()
