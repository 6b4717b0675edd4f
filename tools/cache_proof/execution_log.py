"""Reads Bazel's execution log: which programs a build ran, and which it took from a cache.

The log (`--execution_log_json_file`) has an object for each spawn, one after the other with nothing in
between, each beginning and ending in the first column. Only a few fields of the many are read. What
Bazel does within itself (links, lists of files) starts no program and is not in it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iris.model.errors import InvalidArgument

_TEST = "TestRunner"

Key = tuple[str, str, tuple[str, ...]]
"""Label, mnemonic and outputs: the same for a spawn in two builds of the same sources, wherever they ran."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """One program of a build.

    Attributes:
        label: The target it belongs to, as `//package:name`.
        mnemonic: The kind of action, such as TestRunner.
        outputs: The files that it makes, below the execution root; they tell the runs of a sharded
            test apart.
        runner: Who ran it, such as `linux-sandbox`, or `remote cache hit`.
        is_hit: Whether a cache answered, so that nothing ran.
        is_cacheable: Whether a remote cache may have it.
    """

    label: str
    mnemonic: str
    outputs: tuple[str, ...]
    runner: str
    is_hit: bool
    is_cacheable: bool

    @property
    def is_test(self) -> bool:
        return self.mnemonic == _TEST

    @property
    def key(self) -> Key:
        """Tells it from others of the same build."""
        return self.label, self.mnemonic, self.outputs


def read_execution_log(path: Path) -> list[Spawn]:
    """Everything in a log, in its order.

    Raises:
        InvalidArgument: it is not whole, or has not the form that is known.
    """
    with path.open(encoding="utf-8") as lines:
        return [_spawn(text, path) for text in _objects(lines, path)]


def _objects(lines: Iterable[str], path: Path) -> Iterator[str]:
    """The texts of the objects. A log of many tests is large: one object at a time is held."""
    begun: list[str] = []
    for line in lines:
        begun.append("}" if line.startswith("}") else line)
        if line.startswith("}"):
            yield "".join(begun)
            begun = ["{"] if line.startswith("}{") else []
    if "".join(begun).strip():
        raise InvalidArgument(
            f"{path} ends within an object.", hint="Bazel was ended before it had written its log."
        )


def _spawn(text: str, path: Path) -> Spawn:
    try:
        record: dict[str, Any] = json.loads(text)
        return Spawn(
            label=record["targetLabel"],
            mnemonic=record["mnemonic"],
            outputs=tuple(record.get("listedOutputs", ())),
            runner=record["runner"],
            is_hit=record["cacheHit"],
            is_cacheable=record["remoteCacheable"],
        )
    except (ValueError, KeyError) as error:
        raise InvalidArgument(
            f"{path} holds what is no record of an execution log: {error!r} in {text[:80]!r}",
            hint="Was it written by another version of Bazel?",
        ) from error
