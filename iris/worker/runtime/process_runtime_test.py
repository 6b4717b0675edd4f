"""Real processes: what a task sees, how trees end, and what is left when anybody is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from iris.host.processes import ProcessIdentity
from iris.model.errors import FailedPrecondition, InvalidArgument, Unavailable
from iris.model.resources import MIB, Resources
from iris.testing.eventually import assert_eventually
from iris.worker.protocols import ExitReport, RunHandle, RunRequest
from iris.worker.runtime import process_tree
from iris.worker.runtime.process_handle import ProcessRunHandle
from iris.worker.runtime.process_runtime import ProcessRuntime

HOSTILE = Path(__file__).with_name("testdata") / "hostile.py"
PYTHON = (sys.executable, "-I", "-S")
LONG = timedelta(seconds=60)


@pytest.fixture
async def runtime() -> AsyncIterator[ProcessRuntime]:
    """A runtime that has to leave no process and no descriptor."""
    before = set(process_tree.children_of(os.getpid()))
    runtime = ProcessRuntime()
    fds = open_fds()
    yield runtime
    await runtime.close()
    assert set(process_tree.children_of(os.getpid())) <= before
    assert open_fds() == fds


def open_fds() -> dict[str, str]:
    """Descriptors of this process and what they are."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue  # the one of the listing itself
    return found


def request(
    *argv: str,
    cwd: Path = Path("/"),
    env: dict[str, str] | None = None,
    grace: timedelta = LONG,
) -> RunRequest:
    return RunRequest("test", argv, env or {"PATH": "/usr/bin:/bin"}, cwd, Resources(), grace)


def python(code: str) -> tuple[str, ...]:
    return (*PYTHON, "-c", code)


def hostile(behaviour: str) -> tuple[str, ...]:
    return (*PYTHON, str(HOSTILE), behaviour)


class Output:
    """Reads a tree's pipes. Made by `follow`; `closed` closes them."""

    def __init__(self, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.stdout = stdout
        self.stderr = stderr

    @classmethod
    async def follow(cls, handle: RunHandle) -> "Output":
        return cls(await _reader(handle.stdout), await _reader(handle.stderr))

    async def line(self) -> str:
        line = (await self.stdout.readline()).decode()
        assert line, (await self.stderr.read()).decode()
        return line


async def _reader(pipe: BinaryIO) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


async def run(runtime: ProcessRuntime, req: RunRequest) -> tuple[ExitReport, bytes, bytes]:
    """To its end, with all it wrote."""
    handle = await runtime.run(req)
    output = await Output.follow(handle)
    report = await handle.wait()
    return report, await output.stdout.read(), await output.stderr.read()


async def start_tree(
    runtime: ProcessRuntime, behaviour: str, grace: timedelta = LONG
) -> tuple[ProcessRunHandle, list[ProcessIdentity], Output]:
    """A hostile tree, and who is in it."""
    handle = await runtime.run(request(*hostile(behaviour), grace=grace))
    assert isinstance(handle, ProcessRunHandle)
    output = await Output.follow(handle)
    return handle, identities(await output.line()), output


def identities(line: str) -> list[ProcessIdentity]:
    found = [ProcessIdentity.of(int(word)) for word in line.split()]
    assert all(found), f"not all alive: {line}"
    return [one for one in found if one is not None]


def alive(tree: list[ProcessIdentity]) -> list[ProcessIdentity]:
    return [one for one in tree if one.is_alive()]


async def assert_dead(tree: list[ProcessIdentity]) -> None:
    await assert_eventually(lambda: not alive(tree), f"all of {tree} dead")


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
    assert (int(masks["SigBlk"], 16), int(masks["SigIgn"], 16)) == (0, 0)


async def test_it_gets_no_session_or_process_group_of_its_own(runtime: ProcessRuntime) -> None:
    _, out, _ = await run(
        runtime, request(*python("import os; print(os.getpgid(0), os.getsid(0))"))
    )
    assert [int(word) for word in out.split()] == [os.getpgid(0), os.getsid(0)]


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


async def test_stopping_asks_every_process_of_the_tree(runtime: ProcessRuntime) -> None:
    trap = "trap 'echo asked $1; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    handle = await runtime.run(
        request("sh", "-c", f'sh -c "{trap.replace("$1", "child")}" & {trap}; wait')
    )
    output = await Output.follow(handle)
    for _ in range(2):
        assert await output.line() == "ready\n"
    handle.stop("enough")
    handle.stop("a later reason does not count")
    report = await handle.wait()
    assert (report.exit_code, report.stopped, report.error) == (3, True, "enough")
    assert b"asked" in await output.stdout.read()


async def test_what_ignores_being_asked_is_killed_after_the_grace(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn", grace=timedelta(seconds=0.2))
    assert len(tree) == 5
    handle.stop("enough")
    report = await handle.wait()
    assert alive(tree) == []
    assert (report.exit_code, report.signal) == (None, signal.SIGKILL)
    assert (report.stopped, report.error) == (True, "enough")


async def test_the_grace_can_be_cut_short(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    handle.stop("slowly")
    handle.stop("now", timedelta(0))
    report = await handle.wait()
    assert alive(tree) == []
    assert report.error == "slowly"


async def test_when_the_root_ends_nobody_stays(runtime: ProcessRuntime) -> None:
    handle = await runtime.run(request(*hostile("orphans")))
    output = await Output.follow(handle)
    line = await output.line()
    report = await handle.wait()
    assert report.exit_code == 0
    assert not report.stopped
    assert [pid for pid in line.split() if ProcessIdentity.of(int(pid))] == []


async def test_trees_that_fork_while_they_are_killed_are_killed(runtime: ProcessRuntime) -> None:
    for _ in range(10):
        handle = await runtime.run(request(*hostile("hoppers")))
        assert isinstance(handle, ProcessRunHandle)
        output = await Output.follow(handle)
        assert await output.line() == "hopping\n"
        handle.stop("enough", timedelta(0))
        await handle.wait()
        # Their pipes have no writer left: nobody got away.
        assert await output.stdout.read() == b""


async def test_orphans_that_end_early_are_reaped(runtime: ProcessRuntime) -> None:
    handle, [root], _ = await start_tree(runtime, "reaping")
    supervisor = handle.supervisor_pid
    await assert_eventually(
        lambda: process_tree.children_of(supervisor) == [root.pid], "no zombie under the supervisor"
    )
    handle.stop("enough", timedelta(0))
    await handle.wait()


async def test_a_task_may_close_its_outputs_and_go_on(runtime: ProcessRuntime) -> None:
    code = "import os, sys; os.close(1); os.close(2); sys.stdin.read(); os.kill(os.getpid(), 19)"
    handle = await runtime.run(request(*python(code)))
    output = await Output.follow(handle)
    assert await output.stdout.read() == b""
    assert await output.stderr.read() == b""
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


async def test_a_killed_supervisor_takes_its_tree_with_it(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    os.kill(handle.supervisor_pid, signal.SIGKILL)
    report = await handle.wait()
    assert alive(tree) == []
    assert "supervisor ended unexpectedly (SIGKILL (signal 9))" in report.error
    assert (report.exit_code, report.signal, report.started) == (None, None, True)
    assert (await run(runtime, request("true")))[0].exit_code == 0


async def test_the_root_dies_with_its_supervisor_though_nobody_kills_it(
    runtime: ProcessRuntime,
) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    root = tree[-1]
    os.kill(runtime.spawner_pid, signal.SIGSTOP)
    try:
        os.kill(handle.supervisor_pid, signal.SIGKILL)
        await assert_eventually(lambda: not root.is_alive(), "the root is dead")
    finally:
        os.kill(runtime.spawner_pid, signal.SIGCONT)
    await handle.wait()
    assert alive(tree) == []


async def test_a_killed_spawner_ends_what_runs_and_is_replaced(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    first = runtime.spawner_pid
    os.kill(first, signal.SIGKILL)
    report = await handle.wait()
    assert alive(tree) == []
    assert "was killed, and the task was ended with it" in report.error
    assert not report.stopped
    assert (await run(runtime, request("true")))[0].exit_code == 0
    assert runtime.spawner_pid != first


async def test_a_spawner_that_dies_under_requests_loses_none_silently(
    runtime: ProcessRuntime,
) -> None:
    await runtime.start()

    async def one() -> ExitReport:
        return (await run(runtime, request("true")))[0]

    running = [asyncio.create_task(one()) for _ in range(40)]
    await assert_eventually(lambda: any(task.done() for task in running), "some are done")
    os.kill(runtime.spawner_pid, signal.SIGKILL)
    for report in await asyncio.gather(*running):
        assert (report.exit_code == 0) != bool(report.error), report


async def test_a_killed_worker_leaves_nothing() -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from iris.worker.runtime import process_runtime_test as t\n"
        "async def main():\n"
        "    runtime = t.ProcessRuntime()\n"
        "    handle, tree, _ = await t.start_tree(runtime, 'stubborn')\n"
        "    print(*(p.pid for p in tree), handle.supervisor_pid, runtime.spawner_pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=env, text=True
    ) as worker:
        assert worker.stdout is not None
        tree = identities(await asyncio.to_thread(worker.stdout.readline))
        assert len(tree) == 7
        worker.kill()
    await assert_dead(tree)


async def test_closing_ends_everything_and_for_good(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    await runtime.close()
    assert alive(tree) == []
    assert (await handle.wait()).stopped
    with pytest.raises(FailedPrecondition, match="closed"):
        await runtime.run(request("true"))
    await runtime.close()


async def test_a_cancelled_run_leaves_nothing(runtime: ProcessRuntime) -> None:
    await runtime.start()
    outcomes = set()
    for turns in range(12):
        starting = asyncio.create_task(runtime.run(request(*hostile("stubborn"))))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        try:
            handle = await starting
        except asyncio.CancelledError:
            outcomes.add("cancelled")
        else:
            outcomes.add("too late")
            await Output.follow(handle)
            handle.stop("enough", timedelta(0))
            await handle.wait()
        await assert_eventually(
            lambda: process_tree.children_of(runtime.spawner_pid) == [], "no supervisor left"
        )
    assert "cancelled" in outcomes


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


async def test_it_says_how_it_contains(runtime: ProcessRuntime) -> None:
    await runtime.start()
    assert (
        runtime.isolation == "process tree (subreaper, stop and kill); memory measured, not limited"
    )
