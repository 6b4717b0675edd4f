"""Taints are attributes of their workers; a toleration covers one, or one with a certain value."""

import pytest

from iris.model.errors import InvalidArgument
from iris.model.taints import Toleration, taints_of, untolerated

TAINTS = {"spot": "true", "team": "vision"}


def test_taints_are_the_attributes_that_say_so() -> None:
    attributes = {"zone": "a", "taint/team": "vision", "taint/spot": "true", "my-taint/x": "1"}
    assert taints_of(attributes) == TAINTS
    assert taints_of({}) == {}


@pytest.mark.parametrize(
    ("tolerations", "first"),
    [
        ((), "spot"),
        ((Toleration("team"),), "spot"),
        ((Toleration("spot"),), "team"),
        ((Toleration("spot"), Toleration("team")), None),
        ((Toleration("spot", "true"), Toleration("team", "vision")), None),
        ((Toleration("spot"), Toleration("team", "speech")), "team"),
        ((Toleration("spot", ""), Toleration("team")), "spot"),
        ((Toleration("team", "speech"), Toleration("team", "vision"), Toleration("spot")), None),
    ],
    ids=str,
)
def test_every_taint_has_to_be_tolerated(
    tolerations: tuple[Toleration, ...], first: str | None
) -> None:
    assert untolerated(TAINTS, tolerations) == first
    assert untolerated({}, tolerations) is None


def test_tolerations_may_come_from_any_iterable() -> None:
    assert untolerated(TAINTS, (Toleration(key) for key in TAINTS)) is None


@pytest.mark.parametrize("key", ["a", "A1", "dedicated", "a.b_c-d", "x" * 63])
def test_keys(key: str) -> None:
    assert str(Toleration(key)) == key
    assert str(Toleration(key, "v")) == f"{key}=v"
    assert str(Toleration(key, "")) == f"{key}="


@pytest.mark.parametrize("key", ["", "a b", "-a", "a-", "taint/a", "a=b", "x" * 64, "é"])
def test_no_such_key(key: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        Toleration(key)
    assert repr(key) in refusal.value.problem
    assert refusal.value.hint
