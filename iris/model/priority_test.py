"""Three bands in strict order."""

import itertools

from iris.model.priority import PriorityBand


def test_bands_are_served_in_this_order() -> None:
    ordered = sorted(PriorityBand, key=lambda band: band.rank)
    assert ordered == [PriorityBand.PRODUCTION, PriorityBand.INTERACTIVE, PriorityBand.BATCH]
    assert [band.rank for band in ordered] == [0, 1, 2]


def test_only_an_earlier_band_takes_the_place_of_a_later_one() -> None:
    for one, other in itertools.product(PriorityBand, repeat=2):
        assert one.may_preempt(other) == (one.rank < other.rank)
    assert not PriorityBand.BATCH.may_preempt(PriorityBand.BATCH)
