"""Real processes: what a task sees, how it ended, what it used, and what is said about it."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from iris.model.errors import InvalidArgument, Unavailable
from iris.model.resources import MIB
from iris.worker.runtime.containment import CGROUPS, NAMESPACES
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.runtime.trees_fixture import (
    Output,
    python,
    request,
    run,
)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
async def test_the_exit_code_is_told_exactly(runtime: ProcessRuntime, code: int) -> None:
    report, _, _ = await run(runtime, request("sh", "-c", f"exit {code}"))
    assert (report.exit_code, report.signal, report.error) == (code, None, "")
    assert report.started
    assert not report.stopped


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM, 40])
async def test_the_signal_is_told_exactly(runtime: ProcessRuntime, number: int) -> None:
    report, _, _ = await run(runtime, request("sh", "-c", f"kill -{int(number)} $$"))
    assert (report.exit_code, report.signal, report.error) == (None, number, "")
    assert not report.stopped


async def test_both_streams_arrive_apart(runtime: ProcessRuntime) -> None:
    _, out, err = await run(runtime, request("sh", "-c", "echo out; echo err >&2; printf end"))
    assert (out, err) == (b"out\nend", b"err\n")


async def test_the_environment_is_what_was_given_and_nothing_else(
    runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "x")
    env = {"PATH": "/usr/bin:/bin", "B": "two words", "C": "=\n'é"}
    _, out, _ = await run(runtime, request("env", "-0", env=env))
    assert dict(pair.split("=", 1) for pair in out.decode().split("\0") if pair) == env


async def test_it_runs_in_its_folder_with_nothing_on_stdin(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    report, out, _ = await run(runtime, request("sh", "-c", "pwd -P; cat", cwd=tmp_path))
    assert report.exit_code == 0
    assert Path(out.decode().strip()) == tmp_path.resolve()


async def test_it_has_three_descriptors_whatever_the_worker_has_open(
    runtime: ProcessRuntime,
) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        # The listing has one of its own.
        _, out, _ = await run(runtime, request("ls", "/proc/self/fd"))
        assert out.split() == [b"0", b"1", b"2", b"3"]
        await run(runtime, request("true"))
    finally:
        os.close(reader)
        os.close(writer)


async def test_it_finds_every_signal_at_its_default(runtime: ProcessRuntime) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        _, out, _ = await run(runtime, request("grep", "Sig", "/proc/self/status"))
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    masks = dict(line.split(":\t") for line in out.decode().splitlines())
    # glibc's posix_spawn ignores the two that it keeps for its own threads (32 and 33).
    ignored = int(masks["SigIgn"], 16) & ~(0b11 << 31)
    assert (int(masks["SigBlk"], 16), ignored) == (0, 0)


async def test_it_dumps_no_core(runtime: ProcessRuntime) -> None:
    _, out, _ = await run(runtime, request("sh", "-c", "ulimit -c"))
    assert out == b"0\n"


async def test_long_arguments_and_environments_arrive_whole(runtime: ProcessRuntime) -> None:
    env = {f"V{number}": "x" * 100_000 for number in range(10)}
    code = (
        "import os, sys; print(len(sys.argv[1]), sum(len(os.environ[f'V{n}']) for n in range(10)))"
    )
    _, out, _ = await run(runtime, request(*python(code), "y" * 100_000, env=env))
    assert out == b"100000 1000000\n"


@pytest.mark.parametrize(
    ("program", "names"),
    [
        ("no-such-program", "not found on the PATH (/usr/bin:/bin)"),
        ("inside", "say ./inside"),
        ("./absent", "Relative paths start in the bundle"),
        ("./inside", "chmod +x ./inside"),
        ("./no-interpreter", "interpreter that does not exist"),
        ("./no-first-line", "needs a first line"),
    ],
)
async def test_what_cannot_be_executed_is_explained(
    runtime: ProcessRuntime, tmp_path: Path, program: str, names: str
) -> None:
    (tmp_path / "inside").write_text("print()")
    for name, text in (("no-interpreter", "#!/no/such/thing\n"), ("no-first-line", "print()\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    handle = await runtime.run(request(program, cwd=tmp_path))
    await Output.follow(handle)
    with pytest.raises(InvalidArgument) as caught:
        await handle.started()
    report = await handle.wait()
    assert names in str(caught.value)
    assert repr(program) in str(caught.value)
    assert report.error == str(caught.value)
    assert (report.exit_code, report.signal, report.started) == (None, None, False)


async def test_a_folder_that_is_not_there_is_explained(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    report, _, _ = await run(runtime, request("true", cwd=tmp_path / "gone"))
    assert "cannot be entered" in report.error
    assert not report.started


async def test_a_task_may_close_its_outputs_and_go_on(runtime: ProcessRuntime) -> None:
    code = "import os, sys; os.close(1); os.close(2); sys.stdin.read(); os.kill(os.getpid(), 19)"
    handle = await runtime.run(request(*python(code)))
    output = await Output.follow(handle)
    assert await output.stdout.read() == b""
    assert await output.stderr.read() == b""
    await handle.started()
    assert handle.usage() is not None
    handle.stop("one that is stopped acts on SIGTERM too")
    assert (await handle.wait()).signal == signal.SIGTERM


async def test_usage_counts_the_tree(runtime: ProcessRuntime) -> None:
    code = (
        "import os, time; held = bytearray(os.urandom(1)) * (64 << 20); "
        "[x * x for x in range(1000000)]; os.fork(); print('ready', flush=True); time.sleep(60)"
    )
    handle = await runtime.run(request(*python(code)))
    output = await Output.follow(handle)
    for _ in range(2):
        await output.line()
    usage = handle.usage()
    assert usage is not None
    assert usage.processes == 2
    # Forks share it: it is counted once.
    assert 64 * MIB < usage.memory_bytes < 120 * MIB
    assert usage.cpu_seconds > 0
    handle.stop("enough", timedelta(0))
    report = await handle.wait()
    assert report.peak_memory_bytes >= usage.peak_memory_bytes >= usage.memory_bytes
    assert report.cpu_seconds > 0
    assert handle.usage() is None


async def test_the_peak_of_a_short_run_is_known(runtime: ProcessRuntime) -> None:
    code = "held = bytearray(b'x') * (64 << 20)"
    report, _, _ = await run(runtime, request(*python(code)))
    assert 64 * MIB < report.peak_memory_bytes < 120 * MIB


async def test_many_at_once_do_not_mix(runtime: ProcessRuntime) -> None:
    async def one(number: int) -> None:
        report, out, _ = await run(runtime, request("sh", "-c", f"echo {number}; exit {number}"))
        assert (report.exit_code, out) == (number, f"{number}\n".encode())

    await asyncio.gather(*(one(number) for number in range(150)))


async def test_a_machine_that_gives_no_more_pipes_says_so(
    runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await runtime.start()

    def none_left() -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe", none_left)
    with pytest.raises(Unavailable, match="ulimit -n"):
        await runtime.run(request("true"))
    monkeypatch.undo()
    assert (await run(runtime, request("true")))[0].exit_code == 0


async def test_it_says_how_it_contains(runtime: ProcessRuntime, tiers: frozenset[str]) -> None:
    await runtime.start()
    ended, limited = runtime.isolation.split("; ")
    if NAMESPACES in tiers:
        assert ended == "PID namespace"
    else:
        assert ended.startswith("process tree (") and ended.endswith("subreaper, stop and kill)")
    if CGROUPS in tiers:
        assert " by cgroup v" in limited or "cgroup.kill" in ended
    else:
        assert limited == "memory, cpu, processes, disk by watchdog"
