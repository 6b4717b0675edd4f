"""GPUs, from what `nvidia-smi` really prints."""

import stat
from pathlib import Path

import pytest

from iris.worker.environment.nvidia import NvidiaProbe, gpu_kind, parse_gpus
from iris.worker.environment.probe import Found

H100S = "NVIDIA H100 80GB HBM3, 81559 MiB\n" * 8


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA GH200 480GB", "gh200"),
        ("NVIDIA GB200", "gb200"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("A100-SXM4-40GB", "a100"),
        ("NVIDIA A10G", "a10g"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("Tesla T4", "t4"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("Tesla P100-PCIE-16GB", "p100"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "rtx-4070-ti-super"),
        ("NVIDIA GeForce RTX 3080 Laptop GPU", "rtx-3080"),
        ("NVIDIA RTX A6000", "rtx-a6000"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("Quadro RTX 8000", "rtx-8000"),
        ("NVIDIA TITAN RTX", "titan-rtx"),
        ("ERR!", ""),
        ("No devices were found", ""),
        ("[Unknown Error]", ""),
        ("", ""),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert gpu_kind(name) == kind


def test_eight_alike() -> None:
    assert parse_gpus(H100S) == Found(
        (("gpu/h100", 8),),
        {"gpu-name": "NVIDIA H100 80GB HBM3", "gpu-memory": "79.65 GiB"},
    )


def test_two_kinds() -> None:
    found = parse_gpus("Tesla T4, 15360 MiB\nNVIDIA GeForce RTX 4090, 24564 MiB\n")
    assert found.accelerators == (("gpu/rtx-4090", 1), ("gpu/t4", 1))
    assert found.attributes == {
        "gpu-name": "Tesla T4; NVIDIA GeForce RTX 4090",
        "gpu-memory": "15 GiB",
    }


@pytest.mark.parametrize("memory", ["[N/A]", "[Insufficient Permissions]", "40960 MiB"])
def test_a_card_in_mig_mode_is_one(memory: str) -> None:
    found = parse_gpus(f"NVIDIA A100-SXM4-40GB, {memory}\n")
    assert found.accelerators == (("gpu/a100", 1),)
    assert found.problem == ""
    assert ("gpu-memory" in found.attributes) == memory.endswith("MiB")


@pytest.mark.parametrize(
    "odd",
    [
        "NVIDIA H100 80GB HBM3, [GPU is lost]",
        "NVIDIA H100 80GB HBM3, [Unknown Error]",
        "ERR!, ERR!",
        "Unable to determine the device handle for GPU 0000:04:00.0: Unknown Error",
    ],
)
def test_a_card_that_is_lost_does_not_count_and_is_told(odd: str) -> None:
    found = parse_gpus(f"{odd}\nNVIDIA H100 80GB HBM3, 81559 MiB\n")
    assert found.accelerators == (("gpu/h100", 1),)
    assert found.problem == f"nvidia-smi lists what is no GPU: {odd}"


def test_none() -> None:
    assert parse_gpus("") == Found()
    assert parse_gpus("No devices were found\n").is_nothing


def program(folder: Path, script: str) -> str:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(stat.S_IRWXU)
    return str(path)


async def test_the_program_is_asked(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    script = f"echo $@ > {asked}; printf '{H100S}'"
    found = await NvidiaProbe(program(tmp_path, script)).look()
    assert found.accelerators == (("gpu/h100", 8),)
    assert asked.read_text() == "--query-gpu=name,memory.total --format=csv,noheader\n"


async def test_no_program_no_gpus(tmp_path: Path) -> None:
    assert await NvidiaProbe(str(tmp_path / "nothing")).look() == Found()


async def test_a_driver_that_is_not_there(tmp_path: Path) -> None:
    script = "echo 'NVIDIA-SMI has failed because it could not reach the driver.'; exit 9"
    found = await NvidiaProbe(program(tmp_path, script)).look()
    assert found.is_nothing
    assert found.problem.endswith(
        "ended with 9: NVIDIA-SMI has failed because it could not reach the driver."
    )


async def test_one_that_hangs(tmp_path: Path) -> None:
    found = await NvidiaProbe(program(tmp_path, "exec sleep 600"), seconds=0.2).look()
    assert found.is_nothing
    assert found.problem.endswith("did not answer within 0.2 s")


async def test_one_that_cannot_be_run(tmp_path: Path) -> None:
    path = Path(program(tmp_path, ""))
    path.write_text("\x7fELF, but not really")
    found = await NvidiaProbe(str(path)).look()
    assert "cannot be run: Exec format error" in found.problem
