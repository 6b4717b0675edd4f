"""Every step of a VM's life that the table does not have is refused; a slice is what its VMs make of it."""

from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement, pairwise

import pytest

from iris.model.errors import Internal
from iris.model.fleet import VmPhase, VmState
from iris.model.vm_states import VM_BEGINNINGS, VM_TRANSITIONS, VmLife, slice_state

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ALLOWED = {(before, after) for before, afters in VM_TRANSITIONS.items() for after in afters}


def at(seconds: int) -> datetime:
    return T0 + timedelta(seconds=seconds)


def in_state(state: VmState) -> VmLife:
    return VmLife((VmPhase(state, T0),))


@pytest.mark.parametrize("before", VmState)
@pytest.mark.parametrize("after", VmState)
def test_only_what_the_table_says_is_possible(before: VmState, after: VmState) -> None:
    life = in_state(before)
    if before is after:
        assert life.after(after, at(1), "why").phases == (VmPhase(before, T0, "why"),)
    elif (before, after) in ALLOWED:
        now = life.after(after, at(1), "why")
        assert (now.state, now.problem) == (after, "why")
        assert now.phases == (VmPhase(before, T0), VmPhase(after, at(1), "why"))
    else:
        with pytest.raises(Internal, match=f"{before.value} cannot become {after.value}"):
            life.after(after, at(1))


def test_the_table_says_what_the_words_mean() -> None:
    gone = {state for state in VmState if state.is_gone}
    assert set(VM_TRANSITIONS) == set(VmState)
    assert {state for state, afters in VM_TRANSITIONS.items() if not afters} == gone
    # Whatever exists may be lost or given back; what is on its way out does not come back.
    for state in set(VmState) - gone - {VmState.STOPPING}:
        assert {VmState.STOPPING, VmState.FAILED, VmState.PREEMPTED} <= VM_TRANSITIONS[state]
    assert VM_TRANSITIONS[VmState.STOPPING] == {VmState.TERMINATED, VmState.PREEMPTED}
    up = [VmState.REQUESTING, VmState.BOOTING, VmState.INITIALIZING, VmState.READY]
    assert all(pair in ALLOWED for pair in pairwise(up))
    assert not any(pair in ALLOWED for pair in pairwise(reversed(up)))
    # Nobody is ready whose worker was not started first.
    assert {before for before, after in ALLOWED if after is VmState.READY} == {
        VmState.INITIALIZING,
        VmState.UNHEALTHY,
    }


@pytest.mark.parametrize("state", VmState)
def test_a_life_begins_as_a_request_or_as_a_find(state: VmState) -> None:
    if state in VM_BEGINNINGS:
        assert VmLife.begun(T0, state, "why").phases == (VmPhase(state, T0, "why"),)
    else:
        with pytest.raises(Internal, match=f"begins its life {state.value}"):
            VmLife.begun(T0, state)


def test_a_refusal_tells_what_has_happened() -> None:
    life = VmLife.begun(T0).after(VmState.BOOTING, at(1)).after(VmState.FAILED, at(2), "no memory")
    with pytest.raises(Internal, match="it was: requesting, booting, failed"):
        life.after(VmState.READY, at(3))


def test_a_long_life_is_remembered_in_part() -> None:
    life = VmLife.begun(T0, VmState.UNHEALTHY)
    for second in range(1, 50, 2):
        life = life.after(VmState.READY, at(second)).after(VmState.UNHEALTHY, at(second + 1))
    assert len(life.phases) == 16
    assert life.phases[-1] == VmPhase(VmState.UNHEALTHY, at(50))


def test_a_slice_fails_or_succeeds_whole() -> None:
    for states in combinations_with_replacement(VmState, 3):
        whole = slice_state(states)
        assert whole in states
        assert whole is slice_state(reversed(states))
        assert (whole is VmState.READY) == (set(states) == {VmState.READY})
        if VmState.PREEMPTED in states:
            assert whole is VmState.PREEMPTED
        elif VmState.FAILED in states:
            assert whole is VmState.FAILED
