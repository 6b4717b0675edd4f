"""No call is served twice, and what is remembered is bounded."""

import pytest

from iris.actor.replay_guard import _MAX_TICKETS, _WINDOW, ReplayGuard
from iris.model.errors import AlreadyExists, ResourceExhausted


def test_each_number_of_a_ticket_is_taken_once_in_any_order() -> None:
    guard = ReplayGuard()
    for number in (2, 1, 3, 5):
        guard.note("a", 100, number, 0)
    for number in (1, 2, 3, 5):
        with pytest.raises(AlreadyExists, match="made before"):
            guard.note("a", 100, number, 0)
    guard.note("a", 100, 4, 0)
    guard.note("b", 100, 4, 0)


def test_what_falls_behind_the_window_is_refused() -> None:
    guard = ReplayGuard()
    for number in range(2, _WINDOW + 4):
        guard.note("a", 100, number, 0)
    with pytest.raises(AlreadyExists):
        guard.note("a", 100, 1, 0)


def test_expired_tickets_make_room_and_live_ones_do_not() -> None:
    guard = ReplayGuard()
    for ticket in range(_MAX_TICKETS):
        guard.note(str(ticket), 100, 1, 0)
    with pytest.raises(ResourceExhausted):
        guard.note("one more", 100, 1, 99)
    guard.note("one more", 200, 1, 100)
