"""What is told, measured and found, put together."""

import logging
from dataclasses import dataclass

import pytest

from iris.model.resources import Resources
from iris.worker.environment import MachineEnvironmentProvider
from iris.worker.environment.probe import Found

MACHINE = Resources(4000, 1 << 30)
GPUS = Found((("gpu/h100", 8),), {"gpu-name": "NVIDIA H100"})
PLACE = Found((), {"zone": "us-central2-b", "preemptible": "true"})


@dataclass(frozen=True)
class Finds:
    name: str
    found: Found

    async def look(self) -> Found:
        return self.found


async def test_what_is_found_is_told_and_by_what() -> None:
    probes = (Finds("nvidia-smi", GPUS), Finds("gce-metadata", PLACE), Finds("other", Found()))
    seen = await MachineEnvironmentProvider(lambda: MACHINE, {"a": "b"}, "h", probes=probes).probe()
    assert seen.total.accelerators == (("gpu/h100", 8),)
    assert seen.attributes == {
        "a": "b",
        "gpu-name": "NVIDIA H100",
        "zone": "us-central2-b",
        "preemptible": "true",
        "found-by": "nvidia-smi, gce-metadata",
    }


async def test_what_is_known_counts_whatever_is_found() -> None:
    tpus = Found((("tpu/v4-8", 4),))
    seen = await MachineEnvironmentProvider(
        lambda: MACHINE,
        {"zone": "mine"},
        "h",
        (("gpu", 2),),
        probes=(Finds("nvidia-smi", GPUS), Finds("gce-metadata", PLACE), Finds("tpus", tpus)),
    ).probe()
    assert seen.total.accelerators == (("gpu", 2), ("tpu/v4-8", 4))
    assert seen.attributes["zone"] == "mine"
    assert seen.attributes["preemptible"] == "true"


async def test_nothing_found_adds_nothing() -> None:
    seen = await MachineEnvironmentProvider(
        lambda: MACHINE, {}, "h", probes=(Finds("nvidia-smi", Found()),)
    ).probe()
    assert seen.attributes == {}
    assert seen.total.accelerators == ()


async def test_what_is_there_and_cannot_be_used_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    probes = (Finds("nvidia-smi", Found(problem="it ended with 9")),)
    with caplog.at_level(logging.WARNING):
        await MachineEnvironmentProvider(lambda: MACHINE, {}, "h", probes=probes).probe()
    assert "nvidia-smi: it ended with 9" in caplog.text
