"""An attempt's way, step by step: what it does, what it says, and that it leaves nothing however it ends."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.ports import PortAllocator
from iris.model.callables import CallableEntrypoint
from iris.model.environment import EnvironmentSpec
from iris.model.errors import InvalidArgument, NotFound, ResourceExhausted
from iris.model.ids import AttemptUid, JobId, TaskId, WorkerId
from iris.model.job import Entrypoint
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.testing.clock import FakeClock, settle
from iris.testing.eventually import assert_eventually
from iris.testing.worker_fakes import (
    FakeBundles,
    FakeImages,
    FakePythonEnvironments,
    FakeRunHandle,
    FakeRuntime,
    Gate,
)
from iris.worker.attempts.attempt import Attempt, AttemptTools
from iris.worker.attempts.folders import SpareFolders
from iris.worker.attempts.limits import WorkerLimits, limits_of
from iris.worker.attempts.model import AttemptSpec
from iris.worker.logs.lines import LogStream
from iris.worker.logs.redaction import SecretRules
from iris.worker.protocols import ExitReport, TreeUsage, WorkerEnvironment

UID = AttemptUid("attempt-1")
GRACE = timedelta(seconds=10)
SPEC = AttemptSpec(
    task_id=TaskId("/u/job/0"),
    job_id=JobId("/u/job"),
    task_index=0,
    num_tasks=1,
    number=0,
    entrypoint=Entrypoint(("prog", "arg")),
    resources=Resources(),
    bundle_digest="sha256:" + "0" * 64,
    port_names=("http",),
)
BUILT = replace(SPEC, environment=EnvironmentSpec("3.11"))
STEPS = ["bundle", "image", "environment", "run"]


class Bench:
    """An attempt's surroundings. At the end nothing may be left."""

    def __init__(self, root: Path) -> None:
        bundle = root / "bundle"
        (bundle / "package").mkdir(parents=True)
        (bundle / "package" / "main.py").write_text("print()")
        (bundle / "run.sh").write_text("#!/bin/sh")
        (bundle / "run.sh").chmod(0o755)
        (bundle / "link").symlink_to("package/main.py")
        self.folder = root / "attempts"
        self.folder.mkdir()
        spares = root / "spares"
        spares.mkdir()
        self.clock = FakeClock()
        self.bundles = FakeBundles(bundle)
        self.images = FakeImages()
        self.environments = FakePythonEnvironments(Path("/environment"))
        self.runtime = FakeRuntime()
        self.ports = PortAllocator()
        self.changes: list[TaskState] = []
        self.tools = AttemptTools(
            worker_id=WorkerId("w"),
            controller_address="127.0.0.1:1",
            environment=WorkerEnvironment(Resources(), {}, "127.0.0.1"),
            folder=self.folder,
            spare_folders=SpareFolders(spares),
            inherit_env={"PATH": "/usr/bin"},
            stop_grace=GRACE,
            bundles=self.bundles,
            images=self.images,
            python_environments=self.environments,
            runtime=self.runtime,
            ports=self.ports,
            clock=self.clock,
        )

    def attempt(self, spec: AttemptSpec = SPEC) -> Attempt:
        attempt = Attempt(
            UID,
            spec,
            self.tools,
            on_change=lambda: self.changes.append(attempt.observation().state),
            on_lines=lambda: None,
        )
        return attempt

    async def running(self) -> tuple[Attempt, FakeRunHandle]:
        attempt = self.attempt()
        handle = await self.handle()
        handle.begin()
        await self.state(attempt, TaskState.RUNNING)
        return attempt, handle

    async def handle(self, number: int = 1) -> FakeRunHandle:
        await assert_eventually(lambda: len(self.runtime.handles) >= number, f"run {number}")
        return self.runtime.handles[-1]

    async def state(self, attempt: Attempt, state: TaskState) -> None:
        await assert_eventually(lambda: attempt.observation().state is state, str(state))

    def assert_nothing_left(self) -> None:
        assert list(self.folder.iterdir()) == []
        assert self.ports.leased() == frozenset()
        assert self.bundles.leased == 0
        assert self.environments.leased == 0
        assert all(handle.stdout.closed for handle in self.runtime.handles)
        assert all(handle.stderr.closed for handle in self.runtime.handles)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.assert_nothing_left()
    bench.ports.close()


def lines(attempt: Attempt, stream: LogStream) -> list[str]:
    attempt.logs.rewind()
    taken = attempt.logs.take(1000, 1 << 20).lines if attempt.logs.has_unsent else ()
    return [line.text.decode() for line in taken if line.stream is stream]


async def test_the_way_of_one_that_succeeds(bench: Bench) -> None:
    attempt, handle = await bench.running()
    running = attempt.observation()
    assert running.started_at == bench.clock.now()
    assert list(running.ports) == ["http"]
    handle.write(b"hello\nbye")
    await bench.clock.advance(2)
    handle.end(ExitReport(0, None, cpu_seconds=1.5, peak_memory_bytes=1000))
    await attempt.wait()
    end = attempt.observation()
    assert (end.state, end.exit_code, end.signal, end.error) == (TaskState.SUCCEEDED, 0, None, "")
    assert end.usage == TreeUsage(1.5, 0, 1000, 0)
    assert end.finished_at == bench.clock.now()
    assert lines(attempt, LogStream.STDOUT) == ["hello", "bye"]
    assert lines(attempt, LogStream.BUILD) == [f"fetching {SPEC.bundle_digest}"]
    assert end.log_lines == 3
    assert bench.changes == [TaskState.RUNNING, TaskState.RUNNING, TaskState.SUCCEEDED]


async def test_the_program_gets_a_private_copy_of_the_bundle(bench: Bench) -> None:
    attempt, handle = await bench.running()
    request = handle.request
    assert request.cwd.is_relative_to(bench.folder / UID)
    assert request.limits == limits_of(SPEC, bench.folder / UID, WorkerLimits())
    assert (request.cwd / "package" / "main.py").read_text() == "print()"
    assert (request.cwd / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (request.cwd / "link").readlink() == Path("package/main.py")
    (request.cwd / "run.sh").write_text("changed")
    assert (bench.bundles._folder / "run.sh").read_text() == "#!/bin/sh"
    for folder in (request.env["HOME"], request.env["TMPDIR"]):
        assert Path(folder).is_relative_to(bench.folder / UID)
        assert Path(folder).is_dir()
    assert request.argv == ("prog", "arg")
    assert request.stop_grace == GRACE
    handle.end(ExitReport(0, None))
    await attempt.wait()


async def test_the_port_is_free_to_be_bound_and_stays_leased(bench: Bench) -> None:
    attempt, handle = await bench.running()
    port = int(handle.request.env["IRIS_PORT_HTTP"])
    assert attempt.observation().ports == {"http": port}
    assert bench.ports.leased() == {port}
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", port)
    server.close()
    await server.wait_closed()
    handle.end(ExitReport(0, None))
    await attempt.wait()
    assert attempt.observation().ports == {"http": port}


async def test_its_python_environment_comes_first_and_nothing_else_changes(bench: Bench) -> None:
    plain, handle = await bench.running()
    handle.end(ExitReport(0, None))
    await plain.wait()
    assert bench.environments.asked == []
    attempt = bench.attempt(BUILT)
    await assert_eventually(lambda: len(bench.runtime.handles) == 2, "its tree")
    assert bench.environments.asked == [(BUILT.environment, bench.bundles._folder)]
    assert bench.environments.leased == 1
    before, after = (one.request.env for one in bench.runtime.handles)
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    changed.pop("IRIS_PORT_HTTP", None)
    assert changed == {"PATH": "/environment/bin:/usr/bin", "VIRTUAL_ENV": "/environment"}
    assert "building an environment" in lines(attempt, LogStream.BUILD)
    bench.runtime.handles[1].end(ExitReport(0, None))
    await attempt.wait()


async def test_set_up_commands_run_before_the_program_as_it_would(bench: Bench) -> None:
    attempt = bench.attempt(replace(BUILT, environment=EnvironmentSpec(setup=("make", "check"))))
    for number, command in enumerate(["make", "check"], start=1):
        handle = await bench.handle(number)
        assert handle.request.argv == ("/bin/sh", "-c", command)
        assert "IRIS_PORT_HTTP" in handle.request.env
        handle.begin()
        handle.write(f"{command} says hello\n".encode())
        await settle()
        assert attempt.observation().state is TaskState.BUILDING
        handle.end(ExitReport(0, None))
    await assert_eventually(lambda: len(bench.runtime.handles) == 3, "its program")
    handle = bench.runtime.handles[-1]
    assert handle.request.argv == ("prog", "arg")
    assert {one.request.cwd for one in bench.runtime.handles} == {handle.request.cwd}
    handle.write(b"hello\n")
    handle.end(ExitReport(0, None))
    await attempt.wait()
    assert attempt.observation().state is TaskState.SUCCEEDED
    assert lines(attempt, LogStream.STDOUT) == ["hello"]
    assert lines(attempt, LogStream.BUILD)[1:] == [
        "$ make",
        "make says hello",
        "$ check",
        "check says hello",
    ]


async def test_a_set_up_command_that_fails_ends_the_attempt(bench: Bench) -> None:
    attempt = bench.attempt(replace(SPEC, environment=EnvironmentSpec(setup=("make", "check"))))
    handle = await bench.handle()
    handle.write(b"no rule to make target\n")
    handle.end(ExitReport(2, None, cpu_seconds=0.5))
    await attempt.wait()
    end = attempt.observation()
    assert (end.state, end.exit_code, end.started_at) == (TaskState.FAILED, 2, None)
    assert end.error == (
        "The set-up command 'make' exited with code 2. Its last lines:\nno rule to make target"
    )
    assert len(bench.runtime.handles) == 1


async def test_stopped_during_set_up_it_is_killed_at_once(bench: Bench) -> None:
    attempt = bench.attempt(replace(SPEC, environment=EnvironmentSpec(setup=("make", "check"))))
    handle = await bench.handle()
    attempt.stop("not wanted")
    await attempt.wait()
    end = attempt.observation()
    assert (end.state, end.error) == (TaskState.KILLED, "not wanted")
    assert handle.stops == [("it is not wanted any more", timedelta(0))]
    assert len(bench.runtime.handles) == 1


async def test_what_the_task_made_read_only_is_removed_too(bench: Bench) -> None:
    attempt, handle = await bench.running()
    nested = handle.request.cwd / "a" / "b"
    nested.mkdir(parents=True)
    (nested / "file").write_text("x")
    nested.chmod(0o500)
    (handle.request.cwd / "a").chmod(0o000)
    elsewhere = bench.folder.parent / "elsewhere"
    elsewhere.mkdir(mode=0o500)
    (handle.request.cwd / "link-out").symlink_to(elsewhere)
    handle.end(ExitReport(0, None))
    await attempt.wait()
    assert elsewhere.stat().st_mode & 0o777 == 0o500


@pytest.mark.parametrize(
    ("report", "state", "error"),
    [
        (ExitReport(7, None), TaskState.FAILED, "prog exited with code 7."),
        (ExitReport(None, 11), TaskState.FAILED, "prog was killed by SIGSEGV (signal 11)."),
        (ExitReport(None, 9, peak_memory_bytes=1 << 30), TaskState.FAILED, "1 GiB"),
        (ExitReport(None, None, "its supervisor died"), TaskState.FAILED, "its supervisor died"),
        (ExitReport(0, None, "too long", exceeded="wall"), TaskState.FAILED, "too long"),
        (ExitReport(0, None, "enough", stopped=True), TaskState.KILLED, "enough"),
        (ExitReport(None, 15, "enough", stopped=True), TaskState.KILLED, "enough"),
    ],
)
async def test_how_it_ended_is_said_exactly(
    bench: Bench, report: ExitReport, state: TaskState, error: str
) -> None:
    attempt, handle = await bench.running()
    handle.end(report)
    await attempt.wait()
    end = attempt.observation()
    assert (end.state, end.exit_code, end.signal) == (state, report.exit_code, report.signal)
    assert error in end.error


async def test_a_program_that_cannot_be_executed_fails_with_the_reason(bench: Bench) -> None:
    attempt = bench.attempt()
    (await bench.handle()).fail(InvalidArgument("no such program.", hint="Is it installed?"))
    await attempt.wait()
    end = attempt.observation()
    assert (end.state, end.error) == (TaskState.FAILED, "no such program. Is it installed?")
    assert end.started_at is None
    assert (end.exit_code, end.signal) == (None, None)


def gate_of(bench: Bench, step: str) -> Gate:
    gates = {
        "bundle": bench.bundles.gate,
        "image": bench.images.gate,
        "environment": bench.environments.gate,
        "run": bench.runtime.gate,
    }
    return gates[step]


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_that_fails_is_the_reason(bench: Bench, step: str) -> None:
    gate_of(bench, step).error = NotFound(f"The {step} is not there.", hint="Upload it.")
    attempt = bench.attempt(BUILT)
    await attempt.wait()
    end = attempt.observation()
    assert (end.state, end.error) == (TaskState.FAILED, f"The {step} is not there. Upload it.")


async def test_a_disk_that_is_full_is_the_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copytree", full)
    attempt = bench.attempt()
    await attempt.wait()
    end = attempt.observation()
    assert end.state is TaskState.FAILED
    assert "No space left" in end.error


async def test_ports_that_are_used_up_are_the_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(name: str) -> None:
        raise ResourceExhausted(f"No port for {name}.")

    monkeypatch.setattr(bench.ports, "lease", none_left)
    attempt = bench.attempt()
    await attempt.wait()
    assert attempt.observation().error == "No port for http of /u/job/0."


async def test_a_bug_ends_the_attempt_and_is_said(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.images.gate.error = RuntimeError("oops")
    attempt = bench.attempt()
    await attempt.wait()
    end = attempt.observation()
    assert end.state is TaskState.FAILED
    assert "oops" in end.error
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("step", STEPS)
async def test_stopped_at_a_step_it_is_killed_at_once(bench: Bench, step: str) -> None:
    gate = gate_of(bench, step)
    gate.shut()
    attempt = bench.attempt(BUILT)
    await gate.reached()
    attempt.stop("not wanted")
    attempt.stop("another reason")
    await attempt.wait()
    end = attempt.observation()
    assert (end.state, end.error) == (TaskState.KILLED, "not wanted")
    assert end.started_at is None


async def test_stopped_while_its_folder_is_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    attempt = bench.attempt()
    loop = asyncio.get_running_loop()

    def copy(source: str, target: str, **_: object) -> None:
        copied.append(source)
        loop.call_soon_threadsafe(attempt.stop, "not wanted")
        while not attempt.task.done() and not stopping():
            pass
        Path(target).touch()

    def stopping() -> bool:
        return attempt._stop_reason is not None

    monkeypatch.setattr("shutil.copy", copy)
    await attempt.wait()
    assert attempt.observation().state is TaskState.KILLED
    assert len(copied) < 4


@pytest.mark.parametrize("turns", range(12))
async def test_stopped_at_any_moment_it_ends_as_killed(bench: Bench, turns: int) -> None:
    attempt = bench.attempt()
    for _ in range(turns):
        await asyncio.sleep(0)
    attempt.stop("not wanted")
    await attempt.wait()
    assert attempt.observation().state is TaskState.KILLED


async def test_stopping_what_runs_is_said_and_done(bench: Bench) -> None:
    attempt, handle = await bench.running()
    attempt.stop("not wanted")
    attempt.stop("now", timedelta(0))
    await attempt.wait()
    assert handle.stops[0] == ("not wanted", GRACE)
    assert handle.stops[1:] in ([], [("not wanted", timedelta(0))])
    assert lines(attempt, LogStream.SYSTEM) == [
        "Stopping: not wanted. SIGTERM, SIGKILL after 10 s."
    ]
    assert attempt.observation().state is TaskState.KILLED


async def test_a_grace_is_cut_short_but_never_made_longer(bench: Bench) -> None:
    attempt, handle = await bench.running()
    attempt.stop("not wanted", timedelta(hours=1))
    assert handle.stops == [("not wanted", GRACE)]
    await attempt.wait()


async def test_stopping_what_has_ended_changes_nothing(bench: Bench) -> None:
    attempt, handle = await bench.running()
    handle.end(ExitReport(0, None))
    await attempt.wait()
    attempt.stop("too late")
    assert attempt.observation().state is TaskState.SUCCEEDED


async def test_it_is_not_finished_before_its_lines_are_read(bench: Bench) -> None:
    attempt, handle = await bench.running()
    attempt.logs._capacity = 1
    handle.write(b"one\n")
    await assert_eventually(lambda: not attempt.logs.has_room, "full")
    handle.write(b"two\n")
    handle.end(ExitReport(0, None))
    await attempt.cleaned_up()
    # Everything is given back already; only the last line waits for room.
    assert list(bench.folder.iterdir()) == []
    assert bench.ports.leased() == frozenset()
    assert attempt.has_ended
    assert attempt.has_more_lines
    assert not attempt.is_finished
    assert attempt.observation().state is TaskState.RUNNING

    def deliver() -> bool:
        if attempt.logs.has_unsent:
            attempt.logs.take(10, 1000)
        attempt.logs.acknowledge(attempt.logs.next_index)
        return attempt.is_finished

    await assert_eventually(deliver, "finished")
    end = attempt.observation()
    assert (end.state, end.log_lines, end.logs_incomplete) == (TaskState.SUCCEEDED, 3, False)


async def test_lines_that_cannot_be_delivered_can_be_given_up(bench: Bench) -> None:
    attempt, handle = await bench.running()
    attempt.logs._capacity = 1
    handle.write(b"one\n")
    await assert_eventually(lambda: not attempt.logs.has_room, "full")
    handle.write(b"two\n")
    handle.end(ExitReport(3, None))
    await attempt.cleaned_up()
    attempt.abandon_logs()
    await attempt.wait()
    end = attempt.observation()
    assert (end.state, end.exit_code, end.logs_incomplete) == (TaskState.FAILED, 3, True)


async def test_usage_is_sampled_when_asked_for(bench: Bench) -> None:
    attempt, handle = await bench.running()
    handle.sample = TreeUsage(1.0, 2, 3, 4)
    assert attempt.observation().usage is None
    assert attempt.observation(with_usage=True).usage == handle.sample
    handle.end(ExitReport(0, None))
    await attempt.wait()


async def test_without_its_end_it_is_as_it_was_before(bench: Bench) -> None:
    attempt, handle = await bench.running()
    handle.end(ExitReport(1, None))
    await attempt.wait()
    before = attempt.observation(with_end=False)
    assert (before.state, before.exit_code, before.error) == (TaskState.RUNNING, None, "")


@pytest.mark.parametrize("step", [*STEPS, "running"])
async def test_when_its_loop_is_ended_it_leaves_nothing(bench: Bench, step: str) -> None:
    if step == "running":
        attempt, handle = await bench.running()
    else:
        gate_of(bench, step).shut()
        attempt = bench.attempt(BUILT)
        await gate_of(bench, step).reached()
    attempt.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt.wait()
    if step == "running":
        assert handle.stops == [("the worker is ending", timedelta(0))]


async def test_no_secret_is_in_a_line_of_any_stream(bench: Bench) -> None:
    secrets = {"HF_TOKEN": "hf-hunter22", "DB_PASSWORD": "line one\nline two", "PLAIN": "visible"}
    bench.tools = replace(bench.tools, secrets=SecretRules(always=("the-cluster-token",)))
    attempt = bench.attempt(replace(SPEC, env=secrets))
    await assert_eventually(lambda: bench.runtime.handles, "its tree")
    (handle,) = bench.runtime.handles
    handle.write(b"hf-hunter22 visible line o")
    await settle()
    handle.write(b"ne\nline two the-cluster-token")
    handle.request.say("the runtime saw hf-hunter22")
    attempt._say_build("installing with hf-hunter22")
    handle.end(ExitReport(0, None))
    await attempt.wait()
    assert lines(attempt, LogStream.STDOUT) == ["*** visible ***", "*** ***"]
    assert lines(attempt, LogStream.SYSTEM) == ["the runtime saw ***"]
    assert lines(attempt, LogStream.BUILD)[-1] == "installing with ***"


@pytest.mark.parametrize("environment", [None, EnvironmentSpec("3.11")])
async def test_a_function_is_called_by_the_tasks_own_python(
    bench: Bench, environment: EnvironmentSpec | None
) -> None:
    called = CallableEntrypoint(b"pickled", "3.11", "train.main")
    attempt = bench.attempt(
        replace(SPEC, entrypoint=Entrypoint(callable=called), environment=environment)
    )
    handle = await bench.handle()
    folder = bench.folder / UID
    python, *_, version, name, work, _ = handle.request.argv
    assert python == ("python3" if environment else sys.executable)
    assert (version, name, work) == ("3.11", "train.main", str(folder / "work"))
    (written,) = [Path(one) for one in handle.request.argv if one.startswith(f"{folder}/callable")]
    assert written.read_bytes() == b"pickled"
    handle.begin()
    handle.end(ExitReport(exit_code=3, signal=None))
    await attempt.wait()
    assert attempt.observation().error == "callable train.main exited with code 3."
    bench.assert_nothing_left()
