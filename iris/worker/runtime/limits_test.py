"""Real trees are held to their limits, by whatever means this machine has, and it is said how."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from iris.model.resources import KIB, MIB
from iris.testing.eventually import assert_eventually
from iris.worker.protocols import ExitReport, Limits
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.runtime.trees_fixture import Output, python, request, run

FOREVER = "import time; time.sleep(600)"


async def run_code(
    runtime: ProcessRuntime, code: str, limits: Limits, cwd: Path = Path("/")
) -> tuple[ExitReport, bytes, bytes]:
    return await run(runtime, request(*python(code), cwd=cwd, limits=limits))


async def test_memory_of_one_process(runtime: ProcessRuntime) -> None:
    code = f"held = bytearray(b'x') * (1 << 30); {FOREVER}"
    report, _, _ = await run_code(runtime, code, Limits(memory_bytes=128 * MIB))
    assert (report.exceeded, report.signal, report.stopped) == ("memory", signal.SIGKILL, False)
    assert "more memory than its limit of 128 MiB" in report.error or (
        "of memory, more than its limit of 128 MiB" in report.error
    )
    assert "killed" in report.error
    assert 100 * MIB < report.peak_memory_bytes < 1100 * MIB


async def test_memory_of_all_processes_together(runtime: ProcessRuntime) -> None:
    code = (
        "import os\n"
        "for _ in range(6):\n"
        "    if os.fork() == 0:\n"
        f"        held = bytearray(os.urandom(1)) * ({40 * MIB}); {FOREVER}\n"
        f"{FOREVER}\n"
    )
    report, _, _ = await run_code(runtime, code, Limits(memory_bytes=128 * MIB))
    assert report.exceeded == "memory"
    assert report.peak_memory_bytes > 100 * MIB


async def test_what_forks_share_counts_once(runtime: ProcessRuntime) -> None:
    code = (
        f"import os, time; held = bytearray(b'x') * ({100 * MIB})\n"
        "pids = []\n"
        "for _ in range(6):\n"
        "    pids.append(os.fork())\n"
        "    if not pids[-1]: time.sleep(0.5); os._exit(0)\n"
        "for pid in pids: os.waitpid(pid, 0)\n"
    )
    report, _, err = await run_code(runtime, code, Limits(memory_bytes=256 * MIB))
    assert (report.exit_code, report.exceeded, err) == (0, "", b"")


async def test_memory_that_a_child_lost_ends_all(runtime: ProcessRuntime) -> None:
    """The kernel would kill the child only."""
    code = (
        "import os\n"
        "if os.fork() == 0:\n"
        f"    held = bytearray(b'x') * (1 << 30); {FOREVER}\n"
        f"os.wait(); {FOREVER}\n"
    )
    report, _, _ = await run_code(runtime, code, Limits(memory_bytes=128 * MIB))
    assert (report.exceeded, report.signal) == ("memory", signal.SIGKILL)


async def test_disk_of_many_files(runtime: ProcessRuntime, tmp_path: Path) -> None:
    code = (
        "import itertools, os, time\n"
        "os.mkdir('d')\n"
        "for n in itertools.count():\n"
        "    if n == 64: time.sleep(600)\n"
        "    with open(f'd/{n}', 'wb') as f: f.write(os.urandom(1 << 20))\n"
    )
    limits = Limits(disk_bytes=16 * MIB, disk_path=tmp_path)
    report, _, _ = await run_code(runtime, code, limits, tmp_path)
    assert (report.exceeded, report.signal) == ("disk", signal.SIGKILL)
    assert "its limit is 16 MiB" in report.error


@pytest.mark.parametrize(
    ("code", "exit_code", "number"),
    [
        # Python ignores the signal, most programs do not.
        ("open('f', 'wb').write(bytes(1 << 20))", 1, None),
        (
            "import signal; signal.signal(25, signal.SIG_DFL); open('f', 'wb').write(bytes(1 << 20))",
            None,
            signal.SIGXFSZ,
        ),
    ],
)
async def test_disk_of_one_file(
    runtime: ProcessRuntime, tmp_path: Path, code: str, exit_code: int | None, number: int | None
) -> None:
    limits = Limits(disk_bytes=512 * KIB, disk_path=tmp_path)
    report, _, _ = await run_code(runtime, code, limits, tmp_path)
    assert (report.exit_code, report.signal, report.exceeded) == (exit_code, number, "disk")
    assert "its limit is 512 KiB" in report.error
    assert (tmp_path / "f").stat().st_size == 512 * KIB


async def test_a_failure_within_the_limits_is_its_own(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    limits = Limits(1 << 30, 1000, 1000, 100, 512 * KIB, tmp_path, timedelta(seconds=60))
    report, _, _ = await run_code(runtime, "raise SystemExit(3)", limits, tmp_path)
    assert (report.exit_code, report.exceeded, report.error) == (3, "", "")


async def test_wall_time(runtime: ProcessRuntime) -> None:
    script = "trap 'echo asked; exit 0' TERM; while :; do sleep 0.05; done"
    limits = Limits(wall=timedelta(seconds=0.3))
    report, out, _ = await run(runtime, request("sh", "-c", script, limits=limits))
    assert (report.exit_code, report.exceeded, report.stopped) == (0, "wall", False)
    assert out == b"asked\n"
    assert report.error == "The task ran for its limit of 0.3 s and was ended."


async def test_wall_time_of_who_ignores_it(runtime: ProcessRuntime) -> None:
    code = f"import signal; signal.signal(15, signal.SIG_IGN); {FOREVER}"
    req = request(
        *python(code),
        grace=timedelta(seconds=0.1),
        limits=Limits(wall=timedelta(seconds=0.3)),
    )
    report, _, _ = await run(runtime, req)
    assert (report.signal, report.exceeded) == (signal.SIGKILL, "wall")


async def test_who_is_stopped_before_is_stopped(runtime: ProcessRuntime) -> None:
    limits = Limits(wall=timedelta(seconds=600))
    handle = await runtime.run(request("sleep", "600", limits=limits))
    await Output.follow(handle)
    await handle.started()
    handle.stop("enough")
    report = await handle.wait()
    assert (report.signal, report.exceeded, report.error) == (signal.SIGTERM, "", "enough")
    assert report.stopped


async def test_processes(runtime: ProcessRuntime) -> None:
    code = f"import os, time\nfor _ in range(60):\n    if os.fork() == 0: {FOREVER}\n{FOREVER}\n"
    report, _, err = await run_code(runtime, code, Limits(processes=20))
    assert report.exceeded == "processes", err
    assert "20" in report.error
    # Refused by the kernel, or killed by the watchdog.
    assert (report.exit_code, report.signal) in ((1, None), (None, signal.SIGKILL))


async def test_who_was_refused_a_process_and_failed(runtime: ProcessRuntime) -> None:
    # Faster than anybody could look at it, where the kernel does not hold the limit itself.
    code = f"import os, time\nfor _ in range(9999):\n    if os.fork() == 0: {FOREVER}\n"
    report, _, err = await run_code(runtime, code, Limits(processes=20))
    assert report.exceeded == "processes", err


async def test_threads_are_processes(runtime: ProcessRuntime) -> None:
    code = (
        "import threading, time\n"
        "for _ in range(60): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        f"{FOREVER}\n"
    )
    report, _, err = await run_code(runtime, code, Limits(processes=20))
    assert report.exceeded == "processes", err


async def test_cpu(runtime: ProcessRuntime) -> None:
    code = (
        "import os, time; end = time.monotonic() + 1; other = os.fork()\n"
        "while time.monotonic() < end: pass\n"
        "if other: os.wait()\n"
    )
    began = asyncio.get_running_loop().time()
    report, _, _ = await run_code(runtime, code, Limits(cpu_millis=200))
    elapsed = asyncio.get_running_loop().time() - began
    assert (report.exit_code, report.exceeded) == (0, "")
    # Without the limit it is nearly 2 on an idle machine; the least precise means has bursts.
    assert report.cpu_seconds < 0.7 * elapsed


async def test_open_files(runtime: ProcessRuntime) -> None:
    _, out, _ = await run(
        runtime, request("sh", "-c", "ulimit -Sn; ulimit -Hn", limits=Limits(open_files=64))
    )
    assert out == b"64\n64\n"
    _, out, _ = await run(
        runtime, request("sh", "-c", "ulimit -n", limits=Limits(open_files=1 << 30))
    )
    assert 64 < int(out) < 1 << 30


async def test_usage_of_a_limited_tree(runtime: ProcessRuntime, tmp_path: Path) -> None:
    code = (
        "import os; held = bytearray(os.urandom(1)) * (64 << 20); os.fork()\n"
        f"open('f', 'wb').write(os.urandom({2 * MIB})); os.sync(); print('x', flush=True); {FOREVER}"
    )
    limits = Limits(1 << 30, 0, 100, 0, 100 * MIB, tmp_path)
    handle = await runtime.run(request(*python(code), cwd=tmp_path, limits=limits))
    output = await Output.follow(handle)
    for _ in range(2):
        await output.line()

    def told() -> bool:
        usage = handle.usage()
        assert usage is not None
        assert usage.processes == 2
        assert 64 * MIB < usage.memory_bytes < 120 * MIB
        return 2 * MIB <= usage.disk_bytes < 3 * MIB

    await assert_eventually(told, "the folder's size is told")
    handle.stop("enough", timedelta(0))
    await handle.wait()


async def test_an_explosion_of_processes(runtime: ProcessRuntime) -> None:
    """Counted, so that it does not take the machine with it if nobody ends it."""
    code = (
        "import os, time\n"
        "for _ in range(9):\n"
        "    try: os.fork()\n"
        "    except OSError: pass\n"
        f"{FOREVER}\n"
    )
    handle = await runtime.run(request(*python(code), limits=Limits(processes=50)))
    await Output.follow(handle)
    if "processes by cgroup" in runtime.isolation:
        await handle.started()

        def full() -> bool:
            usage = handle.usage()
            return usage is not None and usage.processes == 50

        await assert_eventually(full, "as many as may be, and no more")
        handle.stop("enough", timedelta(0))
    report = await handle.wait()
    assert report.exceeded == ("" if report.stopped else "processes")
