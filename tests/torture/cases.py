"""Two hundred tasks that do what tasks should not do, and how each has to end."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import MIB, Resources

FLOOD_LINES = 100_000
_FLOOD_LINE_BYTES = 1_000
_PLENTY = Resources(1000, 256 * MIB)


@dataclass(frozen=True, slots=True)
class Case:
    """So many tasks of one kind.

    Attributes:
        program: A shell's script, or a Python program if it begins with `import`.
        exit_code, signal: How its first process ends; None for both: however.
        error: What the reason says if Iris ended it; empty if it ended by itself.
        lines: How many lines of output there are; None: however many.
        text: All of its output, if that is known.
    """

    name: str
    tasks: int
    program: str
    exit_code: int | None = None
    signal: int | None = None
    error: str = ""
    lines: int | None = None
    text: bytes | None = None
    resources: Resources = _PLENTY
    task_timeout: timedelta | None = None

    def spec(self) -> JobSpec:
        """Of one job with all tasks of this kind."""
        argv = ("/bin/sh", "-c", self.program)
        if self.program.startswith("import"):
            argv = (sys.executable, "-I", "-S", "-c", self.program)
        return JobSpec(
            Entrypoint(argv),
            self.resources,
            replicas=self.tasks,
            max_task_failures=self.tasks,
            stop_grace=timedelta(seconds=0.3),
            task_timeout=self.task_timeout,
        )

    @property
    def job_id(self) -> JobId:
        """Of that job."""
        return JobId(f"/torture/{self.name}")


_CASES = (
    Case(
        "forks",
        25,
        "for n in 1 2 3 4 5; do sleep 1000 & done; echo forked; exit 0",
        exit_code=0,
        text=b"forked",
    ),
    Case(
        "daemonises",
        25,
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.chdir('/')\n"
        "        time.sleep(1000)\n"
        "    os._exit(0)\n"
        "sys.exit(3)\n",
        exit_code=3,
        lines=0,
    ),
    Case(
        "ignores-sigterm",
        20,
        "trap '' TERM HUP INT; (trap '' TERM; sleep 1000) & echo deaf; while :; do sleep 1000; done",
        signal=9,
        error="ran for its limit of 1 s",
        text=b"deaf",
        task_timeout=timedelta(seconds=1),
    ),
    Case(
        "eats-memory",
        20,
        "import os\n"
        "if os.fork() == 0:\n"  # half of it in a child: no single process is beyond the limit
        "    hog = [bytearray(1 << 20) for _ in range(60)]\n"
        "else:\n"
        "    hog = []\n"
        "while True:\n"
        "    hog.append(bytearray(1 << 20))\n",
        error="memory",
        resources=replace(_PLENTY, memory_bytes=64 * MIB),
    ),
    Case(
        "fills-the-disk",
        20,
        "while :; do head -c 4000000 /dev/zero >> $HOME/$$-$(date +%N); done",
        error="disk",
        resources=replace(_PLENTY, disk_bytes=32 * MIB),
    ),
    Case(
        "floods",
        5,
        "import os\n"
        f"block = (b'x' * {_FLOOD_LINE_BYTES - 1} + b'\\n') * 100\n"
        f"for _ in range({FLOOD_LINES // 100}):\n"
        "    left = memoryview(block)\n"
        "    while left:\n"
        "        left = left[os.write(1, left):]\n",
        exit_code=0,
        lines=FLOOD_LINES,
    ),
    Case("no-newline", 20, "printf 'no newline'", exit_code=0, text=b"no newline"),
    Case("no-utf-8", 20, r"printf '\377\376 \303\n\200'", exit_code=0, text=b"\xff\xfe \xc3\n\x80"),
    Case("ends-by-signal", 20, "echo so; kill -SEGV $$", signal=11, text=b"so"),
    Case("closes-its-outputs", 20, "exec >&- 2>&-; sleep 0.2; exit 5", exit_code=5, lines=0),
    Case(
        "never-stops-forking",
        3,
        "import os, time\nwhile True:\n    os.fork() or time.sleep(1000)\n",
        error="processes",
    ),
    Case(
        "all-of-them-fork",
        2,
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
        error="processes",
    ),
)


def cases() -> Iterator[Case]:
    """All of them: 200 tasks."""
    assert sum(case.tasks for case in _CASES) == 200
    yield from _CASES
