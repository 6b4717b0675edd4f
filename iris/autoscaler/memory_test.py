"""What outlives the process comes back as it was."""

import pytest

from iris.autoscaler.groups import Backoff, Exhausted
from iris.autoscaler.health import Fate, Health
from iris.autoscaler.memory import BootedSlice, GroupMemory
from iris.autoscaler.pace import Pace
from iris.autoscaler.scaling_cases import NOW, seconds
from iris.model.errors import DataLoss
from iris.model.ids import SliceId

EVERYTHING = GroupMemory(
    Backoff(3, NOW + seconds(20), "no stock"),
    Exhausted("4 of 4", NOW + seconds(10)),
    Health(((NOW, Fate.SHORT_LIVED), (NOW + seconds(1), Fate.SURVIVED))),
    Pace(NOW + seconds(1)),
    {SliceId("cpu-1"): BootedSlice(NOW, judged=True), SliceId("cpu-2"): BootedSlice(NOW)},
)


@pytest.mark.parametrize("memory", [GroupMemory(), EVERYTHING], ids=["nothing", "everything"])
def test_it_comes_back(memory: GroupMemory) -> None:
    assert GroupMemory.from_bytes(memory.to_bytes()) == memory


@pytest.mark.parametrize("record", [b"", b"{", b'{"pace": 3}', b"[]"])
def test_what_it_did_not_write_is_refused(record: bytes) -> None:
    with pytest.raises(DataLoss, match="cannot be read"):
        GroupMemory.from_bytes(record)


def test_what_an_older_iris_did_not_know_is_as_new() -> None:
    assert GroupMemory.from_bytes(b'{"backoff": {"failures": 2}}') == GroupMemory(Backoff(2))
