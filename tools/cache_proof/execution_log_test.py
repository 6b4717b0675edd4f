"""The execution log as Bazel 7 writes it, read."""

import json
from pathlib import Path
from typing import Any

import pytest

from iris.model.errors import InvalidArgument
from tools.cache_proof.execution_log import Spawn, read_execution_log


def record(label: str, **fields: Any) -> dict[str, Any]:
    """As Bazel has it, with fields that nobody reads."""
    return {
        "commandArgs": ["external/bazel_tools/tools/test/test-setup.sh", "}{"],
        "environmentVariables": [{"name": "PATH", "value": "/bin:/usr/bin"}],
        "inputs": [{"path": "a", "digest": {"hash": "00", "sizeBytes": "1"}}],
        "listedOutputs": [f"bazel-out/testlogs/{label}/test.log"],
        "remotable": True,
        "cacheable": True,
        "mnemonic": "TestRunner",
        "runner": "linux-sandbox",
        "cacheHit": False,
        "exitCode": 0,
        "remoteCacheable": True,
        "targetLabel": label,
        **fields,
    }


def written(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one, indent=2) for one in records))
    return path


def test_each_spawn_is_read(tmp_path: Path) -> None:
    hit = record("//b:pack", mnemonic="Pack", runner="disk cache hit", cacheHit=True)
    log = written(tmp_path / "log", record("//a:x_test"), hit, record("//c:y_test"))
    first, second, third = read_execution_log(log)
    assert first == Spawn(
        "//a:x_test",
        "TestRunner",
        ("bazel-out/testlogs///a:x_test/test.log",),
        "linux-sandbox",
        is_hit=False,
        is_cacheable=True,
    )
    assert first.is_test and not second.is_test
    assert (second.label, second.runner, second.is_hit) == ("//b:pack", "disk cache hit", True)
    assert third.label == "//c:y_test"


def test_where_it_ran_is_no_part_of_its_key(tmp_path: Path) -> None:
    ran = written(tmp_path / "1", record("//a:x_test"))
    hit = written(tmp_path / "2", record("//a:x_test", runner="remote cache hit", cacheHit=True))
    assert read_execution_log(ran)[0].key == read_execution_log(hit)[0].key


def test_shards_of_a_test_are_told_apart(tmp_path: Path) -> None:
    shards = [record("//a:x_test", listedOutputs=[f"shard_{n}_of_2/test.log"]) for n in (1, 2)]
    one, two = read_execution_log(written(tmp_path / "log", *shards))
    assert one.key != two.key


def test_a_build_that_ran_nothing_has_an_empty_log(tmp_path: Path) -> None:
    assert read_execution_log(written(tmp_path / "log")) == []


def test_a_log_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "log", record("//a:x_test"), record("//b:y_test"))
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InvalidArgument, match="ends within an object"):
        read_execution_log(path)


def test_a_record_of_another_form_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "log", {"label": "//a:x_test"})
    with pytest.raises(InvalidArgument, match="no record of an execution log"):
        read_execution_log(path)
