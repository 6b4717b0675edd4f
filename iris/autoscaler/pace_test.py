"""How fast a group is asked for slices."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from iris.autoscaler.pace import NO_PACE, Pace, pause_after_plan
from iris.autoscaler.scaling_cases import NOW, SETTINGS, seconds

SLOW = replace(SETTINGS, launches_per_minute=6, launch_batch=4)  # one in ten seconds


def test_a_batch_may_come_at_once() -> None:
    assert NO_PACE.allowed(NOW, SLOW) == 4
    pace = NO_PACE.after(3, NOW, SLOW)
    assert (pace.allowed(NOW, SLOW), pace.opens_at(NOW, SLOW)) == (1, NOW)


def test_then_they_come_at_the_rate() -> None:
    pace = NO_PACE.after(4, NOW, SLOW)
    assert pace.allowed(NOW, SLOW) == 0
    assert pace.opens_at(NOW, SLOW) == NOW + seconds(10)
    assert pace.allowed(NOW + seconds(9), SLOW) == 0
    assert pace.allowed(NOW + seconds(10), SLOW) == 1
    assert pace.allowed(NOW + seconds(25), SLOW) == 2


def test_a_pause_is_worth_a_batch_and_no_more() -> None:
    pace = NO_PACE.after(4, NOW, SLOW)
    assert pace.allowed(NOW + seconds(3600), SLOW) == 4


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    pace = NO_PACE.after(4, NOW, SLOW)
    before = NOW - seconds(600)
    assert pace.allowed(before, SLOW) == 4
    assert pace.after(4, before, SLOW).opens_at(before, SLOW) == before + seconds(10)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=40))
def test_no_minute_has_more_than_the_rate_and_a_batch(asked: list[tuple[int, int]]) -> None:
    now, pace, launches = NOW, NO_PACE, list[datetime]()
    for after, wanted in asked:
        now += timedelta(seconds=after)
        got = min(wanted, pace.allowed(now, SLOW))
        pace = pace.after(got, now, SLOW)
        launches += [now] * got
        last_minute = [one for one in launches if one > now - timedelta(minutes=1)]
        assert len(last_minute) <= SLOW.launches_per_minute + SLOW.launch_batch
        assert isinstance(pace, Pace)
        assert pace.allowed(pace.opens_at(now, SLOW), SLOW) >= 1


def test_plans_for_few_slices_follow_at_once_and_for_many_with_a_pause() -> None:
    assert pause_after_plan(20) == 0.0
    assert 0.1 <= pause_after_plan(1_000) <= 0.5
