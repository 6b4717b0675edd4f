"""NVIDIA GPUs, as `nvidia-smi` lists them.

Source: `nvidia-smi --help-query-gpu`; https://docs.nvidia.com/deploy/nvidia-smi/.
"""

import asyncio
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass

from iris.model.fleet import ATTRIBUTE_GPU_MEMORY, ATTRIBUTE_GPU_NAME
from iris.model.resources import MIB, format_bytes
from iris.worker.environment.probe import Found

PROGRAM = "nvidia-smi"
_QUERY = ("--query-gpu=name,memory.total", "--format=csv,noheader")
_DEADLINE_SECONDS = 20.0
_MEMORY = re.compile(r"(\d+)\s*MiB")
# Of a name, what does not tell one model from another: maker, brand, form, memory.
_BRANDS = frozenset({"nvidia", "tesla", "quadro", "geforce", "generation", "laptop", "gpu"})
_FAMILIES = frozenset({"rtx", "gtx", "titan"})
_SIZE = re.compile(r"\d+gb")
_MODEL = re.compile(r"[a-z]{1,4}\d+[a-z]*")


@dataclass(frozen=True, slots=True)
class NvidiaProbe:
    """A MachineProbe. No program, no GPUs."""

    program: str = PROGRAM
    seconds: float = _DEADLINE_SECONDS
    name: str = PROGRAM

    async def look(self) -> Found:
        """See MachineProbe."""
        path = shutil.which(self.program)
        if path is None:
            return Found()
        return await asyncio.to_thread(self._run, path)

    def _run(self, path: str) -> Found:
        try:
            done = subprocess.run(
                [path, *_QUERY],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Found(problem=f"{path} did not answer within {self.seconds:g} s")
        except OSError as error:
            return Found(problem=f"{path} cannot be run: {error.strerror}")
        said = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            words = (said + done.stderr.decode(errors="replace")).split()
            return Found(problem=f"{path} ended with {done.returncode}: {' '.join(words)[:300]}")
        return parse_gpus(said)


def parse_gpus(listed: str) -> Found:
    """What `nvidia-smi` listed, a GPU a line: `NVIDIA H100 80GB HBM3, 81559 MiB`.

    A GPU that is lost is listed as an error and not counted. One in MIG mode is listed as the whole
    card, with or without its memory: it counts as one.
    """
    kinds: Counter[str] = Counter()
    names: dict[str, None] = {}
    memory: list[int] = []
    odd: list[str] = []
    for line in filter(None, map(str.strip, listed.splitlines())):
        name, comma, size = line.rpartition(",")
        kind = gpu_kind(name)
        if not comma or not kind or "error" in size.lower() or "lost" in size.lower():
            odd.append(line)
            continue
        kinds[f"gpu/{kind}"] += 1
        names[name.strip()] = None
        if (match := _MEMORY.search(size)) is not None:
            memory.append(int(match.group(1)) * MIB)
    attributes = {ATTRIBUTE_GPU_NAME: "; ".join(names)} if names else {}
    if memory:
        attributes[ATTRIBUTE_GPU_MEMORY] = format_bytes(min(memory))
    problem = f"{PROGRAM} lists what is no GPU: {'; '.join(odd)[:300]}" if odd else ""
    return Found(tuple(sorted(kinds.items())), attributes, problem)


def gpu_kind(name: str) -> str:
    """`h100` for `NVIDIA H100 80GB HBM3`, `rtx-4090` for `NVIDIA GeForce RTX 4090`; empty for what
    is no model's name.
    """
    words = [word for word in re.split(r"[\s-]+", name.lower()) if word and word not in _BRANDS]
    if not words:
        return ""
    if words[0] in _FAMILIES:
        # All that is left of such a name tells models apart: `RTX 6000 Ada`, `RTX 4070 Ti SUPER`.
        kept = [word for word in words if not _SIZE.fullmatch(word)]
        return "-".join(kept) if len(kept) > 1 else ""
    return words[0] if _MODEL.fullmatch(words[0]) else ""
