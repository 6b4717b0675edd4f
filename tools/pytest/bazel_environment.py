"""What Bazel tells a test through its environment (the Test Encyclopedia), as one value."""

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Mapping


class BazelEnvironmentError(ValueError):
    """A variable that Bazel sets has a value that it never sets. Says which, and the value."""


@dataclasses.dataclass(frozen=True, slots=True)
class BazelEnvironment:
    """The test's surroundings. Outside Bazel each field has a harmless default."""

    target: str
    """TEST_TARGET, as //package:name."""
    tmp: pathlib.Path
    """TEST_TMPDIR: private to the test, removed by Bazel. Longer than a socket's path may be."""
    undeclared_outputs: pathlib.Path
    """TEST_UNDECLARED_OUTPUTS_DIR: what is left here is kept for a person to read."""
    junit_xml: pathlib.Path | None
    """XML_OUTPUT_FILE."""
    test_filter: str
    """TESTBRIDGE_TEST_ONLY, from --test_filter; empty when there is none."""
    shard_index: int
    """TEST_SHARD_INDEX, from 0."""
    shard_total: int
    """TEST_TOTAL_SHARDS, at least 1."""
    shard_status: pathlib.Path | None
    """TEST_SHARD_STATUS_FILE: touched to say that this runner knows of shards."""
    seed: int
    """TEST_RANDOM_SEED: the number of the run with --runs_per_test, else 0, so that a cached result
    is a result of the same test."""
    timeout: float | None
    """TEST_TIMEOUT, seconds until Bazel ends the test."""


def read_environment(environ: Mapping[str, str] | None = None) -> BazelEnvironment:
    """Reads the environment.

    Args:
        environ: to read instead of `os.environ`.

    Raises:
        BazelEnvironmentError: a number is none, or the shard index is out of range.
    """
    environ = os.environ if environ is None else environ
    tmp = pathlib.Path(environ.get("TEST_TMPDIR") or tempfile.mkdtemp(prefix="test_tmp."))
    total = _integer(environ, "TEST_TOTAL_SHARDS", 1)
    index = _integer(environ, "TEST_SHARD_INDEX", 0)
    if not 0 <= index < max(total, 1):
        raise BazelEnvironmentError(f"TEST_SHARD_INDEX is {index}, with TEST_TOTAL_SHARDS {total}")
    return BazelEnvironment(
        target=environ.get("TEST_TARGET", ""),
        tmp=tmp,
        undeclared_outputs=_path(environ, "TEST_UNDECLARED_OUTPUTS_DIR") or tmp / "outputs",
        junit_xml=_path(environ, "XML_OUTPUT_FILE"),
        test_filter=environ.get("TESTBRIDGE_TEST_ONLY", ""),
        shard_index=index,
        shard_total=max(total, 1),
        shard_status=_path(environ, "TEST_SHARD_STATUS_FILE"),
        seed=_integer(environ, "TEST_RANDOM_SEED", 0),
        timeout=float(_integer(environ, "TEST_TIMEOUT", 0)) or None,
    )


def _integer(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name) or str(default)
    try:
        return int(value)
    except ValueError:
        raise BazelEnvironmentError(f"{name} is {value!r}, expected an integer") from None


def _path(environ: Mapping[str, str], name: str) -> pathlib.Path | None:
    value = environ.get(name)
    return pathlib.Path(value) if value else None
