"""Runs one part of a benchmark in a process of its own, so that no part finds memory, caches or a
garbage collector as another has left them, and its peak of memory is its own.

As a program, it is that process: the part's name and its options come as arguments, in JSON, and
what was measured goes to standard output, in JSON.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from iris.host.garbage import look_for_garbage_rarely
from tools.benchmarks.timing import CLOCK_VARIABLE, Timing


class PartFailed(Exception):
    """A part ended without having measured anything."""


def run_part(module: str, timing: Timing | None = None, **options: Any) -> Any:
    """What `measure(**options)` of a module of this folder answers, in a fresh process; options and
    answer as JSON has them. Timed by this process's clock, or the one that is named.

    Raises PartFailed with what it wrote to standard error.
    """
    # Where this process finds its modules the child does, however they came here.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if timing is not None:
        environment[CLOCK_VARIABLE] = timing.value
    done = subprocess.run(
        [sys.executable, "-P", "-s", "-m", __spec__.name, module, json.dumps(options)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PartFailed(f"{module} {options} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def peak_memory_bytes() -> int:
    """The most memory that this process has held since it was started."""
    # getrusage would not do: it begins with what the process held that this one was forked from.
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise OSError("/proc/self/status has no VmHWM")


def main(module: str, options: str) -> None:
    """See the module."""
    look_for_garbage_rarely()
    part = importlib.import_module(f"{__spec__.parent}.{module}")
    print(json.dumps(part.measure(**json.loads(options))))


if __name__ == "__main__":
    main(*sys.argv[1:])
