"""Which hosts are free, in use or set aside."""

from datetime import timedelta

import pytest

from iris.model.errors import ResourceExhausted
from iris.platforms.manual.host_pool import HostPool
from iris.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def pool(clock: FakeClock) -> HostPool:
    return HostPool(["a", "b", "c"], timedelta(seconds=60), clock)


def test_hosts_are_taken_in_order_and_given_back(pool: HostPool) -> None:
    assert pool.take(["s/0", "s/1"]) == ["a", "b"]
    assert pool.is_held("a")
    pool.give_back("a")
    assert pool.take(["t/0"]) == ["a"]


def test_with_too_few_none_is_taken(pool: HostPool) -> None:
    pool.take(["s/0", "s/1"])
    with pytest.raises(ResourceExhausted, match="needs 2 hosts; of 3, 1 are free, 2 in use"):
        pool.take(["t/0", "t/1"])
    assert pool.take(["t/0"]) == ["c"]


async def test_one_that_is_set_aside_rests_and_comes_last(pool: HostPool, clock: FakeClock) -> None:
    pool.set_aside("a", "no disk")
    assert pool.resting() == {"a": "no disk"}
    with pytest.raises(ResourceExhausted, match=r"1 set aside: a \(for 60 s\): no disk"):
        pool.take(["s/0", "s/1", "s/2"])
    await clock.advance(60)
    assert pool.resting() == {}
    assert pool.take(["s/0", "s/1", "s/2"]) == ["b", "c", "a"]


def test_one_that_was_found_is_held_also_if_it_is_not_in_the_configuration(pool: HostPool) -> None:
    pool.hold("gone", "s/0")
    pool.hold("a", "s/1")
    assert pool.take(["t/0", "t/1"]) == ["b", "c"]
    pool.give_back("gone")
