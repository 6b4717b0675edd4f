"""Silent workers are found, once, and nobody else."""

from iris.controller.silence import SilenceWatch
from iris.model.ids import WorkerId

A, B = WorkerId("a"), WorkerId("b")


def test_only_the_silent_one_is_found_and_once() -> None:
    watch = SilenceWatch(10)
    watch.heard(A, 0)
    watch.heard(B, 0)
    assert watch.next_look() == 10
    watch.heard(B, 7)
    assert watch.silent(9.9) == []
    assert watch.silent(10) == [A]
    assert watch.silent(11) == []
    assert watch.next_look() == 17
    assert watch.silent(17) == [B]
    assert watch.next_look() is None


def test_one_that_was_forgotten_is_not_found() -> None:
    watch = SilenceWatch(10)
    watch.heard(A, 0)
    watch.forget(A)
    assert watch.silent(100) == []


def test_one_that_came_back_is_watched_anew() -> None:
    watch = SilenceWatch(10)
    watch.heard(A, 0)
    assert watch.silent(10) == [A]
    watch.heard(A, 12)
    assert watch.silent(21) == []
    assert watch.silent(22) == [A]


def test_one_that_was_forgotten_and_heard_again_is_found_once() -> None:
    watch = SilenceWatch(10)
    watch.heard(A, 0)
    watch.forget(A)
    watch.heard(A, 5)
    assert watch.silent(10) == []
    assert watch.silent(15) == [A]
    assert watch.silent(40) == []


def test_when_we_overslept_ourselves_nobody_is_given_up_for_it() -> None:
    watch = SilenceWatch(10)
    watch.heard(A, 0)
    assert watch.silent(3600) == []
    assert watch.silent(3610) == [A]


def test_what_is_kept_is_bounded_by_the_workers_that_are_watched() -> None:
    watch = SilenceWatch(10)
    for second in range(1000):
        watch.heard(A, second)
        assert watch.silent(second) == []
    assert len(watch._due) == 1
