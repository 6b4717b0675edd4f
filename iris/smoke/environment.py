"""What a run of the flow runs in and on, found out by looking: the report says it, so that two runs can be compared."""

import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from iris.version import VERSION


def describe_environment() -> dict[str, str]:
    """Facts for the report, by name."""
    return {
        "iris": VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "user": f"uid {os.getuid()}",
        "sandbox": describe_sandbox(),
        "network": describe_network(),
    }


def command_to_repeat(argv: Sequence[str], environ: Mapping[str, str], seed: int) -> str:
    """What a person types to run the same again: the test's target where Bazel runs this, else the
    program and its flags."""
    target = environ.get("TEST_TARGET")
    flag = f"--seed={seed}"
    if target:
        return f"./bazelw test {target} --nocache_test_results --test_arg={flag}"
    flags = [*(one for one in argv[1:] if not one.startswith("--seed=")), flag]
    if "BUILD_WORKING_DIRECTORY" in environ:  # `bazel run` sets it
        return shlex.join(["./bazelw", "run", "//tools:smoke", "--", *flags])
    return shlex.join([*argv[:1], *flags])


def describe_sandbox() -> str:
    """How Bazel isolates this process, if it does: told by what can be seen, not by what was asked for."""
    if "TEST_SRCDIR" not in os.environ:
        return "none (not a Bazel test)"
    # linux-sandbox gives the action a PID namespace of its own, in which its own init is pid 1.
    init = Path("/proc/1/cmdline").read_bytes()
    if b"linux-sandbox" in init:
        return "linux-sandbox (own PID namespace)"
    if "/sandbox/" in os.getcwd():
        return "processwrapper-sandbox (a folder of its own; no namespaces)"
    return "none that can be seen"


def describe_network() -> str:
    """The interfaces this process can see; only `lo` means that it has a network namespace of its own."""
    names = sorted(
        line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]
    )
    return "loopback only" if names == ["lo"] else f"interfaces {', '.join(names)}"
