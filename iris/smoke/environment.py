"""What a run of the flow runs in and on, found out by looking: the report says it, so that two runs can be compared."""

import os
import platform
import shlex
from collections.abc import Mapping, Sequence

from iris.smoke.isolation import (
    FOREIGN_ADDRESSES,
    LINUX_SANDBOX,
    PROCESSWRAPPER_SANDBOX,
    Isolation,
    look_around,
    route_error,
)
from iris.version import VERSION

_SANDBOXES = {
    LINUX_SANDBOX: "linux-sandbox (own PID namespace, own mounts)",
    PROCESSWRAPPER_SANDBOX: "processwrapper-sandbox (a folder of its own; no namespaces)",
}
_NAMED_ENTRIES = 3


def describe_environment() -> dict[str, str]:
    """Facts for the report, by name."""
    return {
        "iris": VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "user": f"uid {os.getuid()}",
        **describe_isolation(look_around()),
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


def describe_isolation(found: Isolation) -> dict[str, str]:
    """What keeps this process apart from the machine: what was found by trying, not what was asked for."""
    return {
        "sandbox": _SANDBOXES.get(found.sandbox, "none (not a Bazel test, or not sandboxed)"),
        "network": _describe_network(found),
        "home": _describe_home(found),
        "writable outside": ", ".join(found.writable) or "nothing",
    }


def _describe_network(found: Isolation) -> str:
    if found.has_own_network:
        return f"loopback only; elsewhere: {route_error(FOREIGN_ADDRESSES[0])}"
    reach = "other addresses can be reached" if found.reachable else "no way to other addresses"
    return f"interfaces {', '.join(found.interfaces)}; {reach}"


def _describe_home(found: Isolation) -> str:
    variable = f"HOME is {os.environ['HOME']}" if os.environ.get("HOME") else "HOME is not set"
    if not found.home_entries:
        return f"{variable}; nothing in {found.home} can be read"
    few = ", ".join(found.home_entries[:_NAMED_ENTRIES])
    more = len(found.home_entries) - _NAMED_ENTRIES
    return f"{variable}; in {found.home} can be read: {few}" + (f" and {more} more" * (more > 0))
