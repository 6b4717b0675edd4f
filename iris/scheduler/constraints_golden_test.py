"""Each constraint operator and each taint rule, as requirement and as preference, by example."""

import pytest

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.pending import PendingCode
from iris.model.taints import Toleration
from iris.scheduler.schedule import schedule
from iris.scheduler.work_fixture import Waits, places, snapshot_of, worker

OP = ConstraintOp
# Four workers: attribute `gen` is 3, 4, 10 and missing.
FLEET = (
    worker("three", gen="3"),
    worker("four", gen="4"),
    worker("ten", gen="10"),
    worker("none"),
)
EVERYBODY = {"three", "four", "ten", "none"}
RULES = [
    (OP.EQ, ("4",), {"four"}),
    (OP.EQ, ("5",), set()),
    (OP.NE, ("4",), {"three", "ten", "none"}),
    (OP.EXISTS, (), {"three", "four", "ten"}),
    (OP.NOT_EXISTS, (), {"none"}),
    (OP.IN, ("3", "10"), {"three", "ten"}),
    (OP.GT, ("4",), {"ten"}),
    (OP.GE, ("4",), {"four", "ten"}),
    (OP.LT, ("4",), {"three"}),
    (OP.LE, ("4",), {"three", "four"}),
    (OP.GE, ("3.5",), {"four", "ten"}),
]


def taken(*constraints: Constraint, tasks: int = 16) -> list[str]:
    """The workers that tasks of such a job go to, in the order in which they fill."""
    job = Waits("/u/job", tasks, constraints=constraints)
    placed = places(schedule(snapshot_of(FLEET, [job])))
    return list(dict.fromkeys(placed.values()))


@pytest.mark.parametrize(("op", "values", "allowed"), RULES)
def test_a_required_constraint_keeps_tasks_off_all_others(
    op: ConstraintOp, values: tuple[str, ...], allowed: set[str]
) -> None:
    assert set(taken(Constraint("gen", op, values))) == allowed


@pytest.mark.parametrize(("op", "values", "allowed"), RULES)
def test_a_preferred_constraint_fills_those_first_and_then_the_others(
    op: ConstraintOp, values: tuple[str, ...], allowed: set[str]
) -> None:
    order = taken(Constraint("gen", op, values, required=False))
    assert set(order[: len(allowed)]) == allowed
    assert set(order) == EVERYBODY


def test_numbers_are_compared_as_numbers_and_text_is_no_number() -> None:
    fleet = (worker("a", size="9"), worker("b", size="10"), worker("c", size="large"))
    job = Waits("/u/job", 12, constraints=(Constraint("size", OP.GT, ("9",)),))
    assert set(places(schedule(snapshot_of(fleet, [job]))).values()) == {"b"}


def test_more_preferences_satisfied_go_before_a_better_fit() -> None:
    fleet = (
        worker("full", 1),
        worker("near", 4, zone="a"),
        worker("best", 8, zone="a", disk="ssd"),
    )
    wishes = (
        Constraint("zone", OP.EQ, ("a",), required=False),
        Constraint("disk", OP.EQ, ("ssd",), required=False),
    )
    job = Waits("/u/job", 13, constraints=wishes)
    order = list(dict.fromkeys(places(schedule(snapshot_of(fleet, [job]))).values()))
    assert order == ["best", "near", "full"]


def test_a_gang_prefers_the_group_whose_workers_miss_fewest_preferences() -> None:
    fleet = (
        worker("a0", 2, slice_id="a"),
        worker("a1", 2, slice_id="a", net="fast"),
        worker("b0", 4, slice_id="b", net="fast"),
        worker("b1", 4, slice_id="b", net="fast"),
    )
    wish = Constraint("net", OP.EQ, ("fast",), required=False)
    job = Waits("/u/gang", 2, constraints=(wish,), group_by="slice-id")
    assert set(places(schedule(snapshot_of(fleet, [job]))).values()) == {"b0"}


TAINTED = (
    worker("plain"),
    worker("spot", taint__spot="true"),
    worker("team", taint__team="ml"),
    worker("both", taint__spot="true", taint__team="ml"),
)


@pytest.mark.parametrize(
    ("tolerations", "allowed"),
    [
        ((), {"plain"}),
        ((Toleration("spot"),), {"plain", "spot"}),
        ((Toleration("spot", "true"),), {"plain", "spot"}),
        ((Toleration("spot", "false"),), {"plain"}),
        ((Toleration("team", "ml"),), {"plain", "team"}),
        ((Toleration("team", "web"),), {"plain"}),
        ((Toleration("spot"), Toleration("team")), {"plain", "spot", "team", "both"}),
        ((Toleration("spot"), Toleration("team", "web")), {"plain", "spot"}),
    ],
)
def test_every_taint_has_to_be_tolerated(
    tolerations: tuple[Toleration, ...], allowed: set[str]
) -> None:
    job = Waits("/u/job", 16, tolerations=tolerations)
    assert set(places(schedule(snapshot_of(TAINTED, [job]))).values()) == allowed


def test_gangs_keep_off_tainted_workers_too() -> None:
    fleet = (worker("a", 1, slice_id="s"), worker("b", 1, slice_id="s", taint__spot="true"))
    job = Waits("/u/gang", 2, group_by="slice-id")
    answer = schedule(snapshot_of(fleet, [job]))
    assert not answer.placements
    tolerant = Waits("/u/gang", 2, group_by="slice-id", tolerations=(Toleration("spot"),))
    assert len(schedule(snapshot_of(fleet, [tolerant])).placements) == 2


def test_the_taint_is_named_as_the_reason_with_how_many_workers_have_it() -> None:
    (left,) = schedule(snapshot_of(TAINTED[1:], [Waits("/u/job")])).unplaced
    reason = left.reason
    assert (reason.code, reason.subject) == (PendingCode.TAINT_NOT_TOLERATED, "spot")
    assert [(one.subject, one.workers) for one in reason.rules] == [("spot", 2), ("team", 1)]
    assert "--toleration spot" in reason.hint


def test_a_missing_attribute_is_never_called_a_lack_of_resources() -> None:
    job = Waits("/u/job", constraints=(Constraint("gpu", OP.EXISTS),))
    fleet = (worker("a", 0, zone="x"), worker("b", 0, zone="y"))
    (left,) = schedule(snapshot_of(fleet, [job])).unplaced
    assert (left.reason.code, left.reason.subject) == (PendingCode.CONSTRAINT_UNMET, "gpu")
    assert "zone" in left.reason.hint
    assert all(one.rule is PendingCode.CONSTRAINT_UNMET for one in left.reason.rules)
