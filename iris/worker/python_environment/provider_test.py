"""Environments are really built by uv, without a network, once for all, and given up cleanly."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.clock import SystemClock
from iris.model.environment import EnvironmentSpec
from iris.model.errors import FailedPrecondition
from iris.testing.eventually import assert_eventually
from iris.worker.protocols import PythonEnvironmentLease, RunHandle, RunRequest
from iris.worker.python_environment import uv_program
from iris.worker.python_environment.provider import UvEnvironmentProvider
from iris.worker.python_environment.wheels_fixture import add_wheel, uv_lock
from iris.worker.runtime.process_runtime import ProcessRuntime

LOCKED = EnvironmentSpec(lock_file="lock.txt", wheelhouse="wheels")


class CountingRuntime(ProcessRuntime):
    """Knows what it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[RunRequest] = []
        self.handles: list[RunHandle] = []

    async def run(self, request: RunRequest) -> RunHandle:
        self.requests.append(request)
        handle = await super().run(request)
        self.handles.append(handle)
        return handle


class Bench:
    def __init__(self, root: Path) -> None:
        self.cache = root / "cache"
        self.bundle = root / "bundle"
        self.bundle.mkdir()
        self.runtime = CountingRuntime()
        self.said: list[str] = []
        self._providers: list[UvEnvironmentProvider] = []

    async def provider(
        self, *, max_bytes: int = 1 << 30, build_timeout: timedelta = timedelta(minutes=2)
    ) -> UvEnvironmentProvider:
        provider = UvEnvironmentProvider(
            self.cache,
            self.runtime,
            max_bytes=max_bytes,
            clock=SystemClock(),
            # Anything that asked an index would fail.
            variables={
                "PATH": f"{Path(sys.executable).resolve().parent}{os.pathsep}{os.defpath}",
                "UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple",
            },
            build_timeout=build_timeout,
        )
        await provider.start()
        self._providers.append(provider)
        return provider

    def lock(self, *lines: str) -> None:
        (self.bundle / "lock.txt").write_text("".join(lines))

    async def prepare(
        self, provider: UvEnvironmentProvider, spec: EnvironmentSpec = LOCKED, digest: str = "one"
    ) -> PythonEnvironmentLease:
        return await provider.prepare(spec, self.bundle, digest, self.said.append)

    def builds(self) -> int:
        return sum(request.name == "uv venv" for request in self.runtime.requests)

    def cached(self) -> list[str]:
        """Trees that are there, whole or not."""
        return sorted(path.name for path in self.cache.iterdir() if path.is_dir())

    async def close(self) -> None:
        for provider in self._providers:
            await provider.close()
        await self.runtime.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


def run(lease: PythonEnvironmentLease, *argv: str) -> str:
    program = [str(lease.path / "bin" / argv[0]), *argv[1:]]
    return subprocess.run(program, check=True, capture_output=True, text=True, env={}).stdout


async def test_it_is_built_from_the_wheelhouse_without_a_network(bench: Bench) -> None:
    bench.lock(
        add_wheel(bench.bundle / "wheels", "greeter", says="hello", requires="worlds>=1"),
        add_wheel(bench.bundle / "wheels", "worlds", says="world"),
    )
    lease = await bench.prepare(await bench.provider())
    code = "import greeter, worlds, sys; print(greeter.SAYS, worlds.SAYS, sys.prefix)"
    assert run(lease, "python", "-c", code) == f"hello world {lease.path}\n"
    # Its programs, too, know where it is: it was moved after it was built.
    assert run(lease, "greeter") == "hello\n"
    assert bench.said[0] == f"Building the Python environment {lease.path.name}."
    assert any("+ greeter==1.0" in line for line in bench.said)
    assert bench.said[-1].startswith(f"Python environment {lease.path.name}: built in ")
    assert bench.cached() == [lease.path.name]


async def test_a_uv_lock(bench: Bench) -> None:
    add_wheel(bench.bundle / "wheels", "greeter", says="hello")
    uv_lock(bench.bundle / "project", bench.bundle / "wheels", "greeter")
    spec = EnvironmentSpec(lock_file="project/uv.lock", wheelhouse="wheels")
    lease = await bench.prepare(await bench.provider(), spec)
    assert run(lease, "greeter") == "hello\n"


async def test_an_empty_one_of_a_version_that_is_there(bench: Bench) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    provider = await bench.provider()
    spec = EnvironmentSpec(python=version)
    lease = await provider.prepare(spec, None, "", bench.said.append)
    assert run(lease, "python", "-c", "import sys; print(*sys.version_info[:2], sep='.')") == (
        f"{version}\n"
    )


async def test_a_version_that_is_not_there_is_said_and_never_downloaded(bench: Bench) -> None:
    with pytest.raises(FailedPrecondition, match="uv venv exited with code"):
        await bench.prepare(await bench.provider(), EnvironmentSpec(python="3.99"))
    assert bench.cached() == []


async def test_all_who_ask_for_the_same_share_one_build(bench: Bench) -> None:
    bench.lock(add_wheel(bench.bundle / "wheels", "greeter"))
    provider = await bench.provider()
    logs: list[list[str]] = [[] for _ in range(10)]
    leases = await asyncio.gather(
        *(
            provider.prepare(LOCKED, bench.bundle, f"bundle {number % 3}", log.append)
            for number, log in enumerate(logs)
        )
    )
    assert len({lease.path for lease in leases}) == 1
    assert bench.builds() == 1
    assert all(log == logs[0] for log in logs)
    assert any("+ greeter==1.0" in line for line in logs[0])
    await bench.prepare(provider)
    assert bench.builds() == 1


async def test_another_lock_another_wheelhouse_or_another_python_is_another_one(
    bench: Bench,
) -> None:
    line = add_wheel(bench.bundle / "wheels", "greeter")
    bench.lock(line)
    provider = await bench.provider()
    first = await bench.prepare(provider)
    bench.lock(line, "# a comment\n")
    second = await bench.prepare(provider, digest="two")
    add_wheel(bench.bundle / "wheels", "unused")
    third = await bench.prepare(provider, digest="three")
    assert len({first.path, second.path, third.path}) == 3


async def test_a_wheel_that_is_not_what_the_lock_says_is_refused(bench: Bench) -> None:
    line = add_wheel(bench.bundle / "wheels", "greeter", says="hello")
    add_wheel(bench.bundle / "wheels", "greeter", says="something else")
    bench.lock(line)
    with pytest.raises(FailedPrecondition, match=r"uv pip exited with code 1(.|\n)*[Hh]ash"):
        await bench.prepare(await bench.provider())
    assert bench.cached() == []


async def test_what_is_not_pinned_with_a_hash_is_refused(bench: Bench) -> None:
    add_wheel(bench.bundle / "wheels", "greeter")
    bench.lock("greeter==1.0\n")
    with pytest.raises(FailedPrecondition, match="hash"):
        await bench.prepare(await bench.provider())


async def test_a_lock_file_reads_nothing_beside_it(bench: Bench) -> None:
    (bench.bundle / "more.txt").write_text(add_wheel(bench.bundle / "wheels", "greeter"))
    bench.lock("-r more.txt\n")
    with pytest.raises(FailedPrecondition, match=r"more\.txt"):
        await bench.prepare(await bench.provider())


async def test_nobody_writes_into_it(bench: Bench) -> None:
    bench.lock(add_wheel(bench.bundle / "wheels", "greeter"))
    lease = await bench.prepare(await bench.provider())
    modes = {
        path: stat.S_IMODE(path.lstat().st_mode)
        for path in [lease.path, *lease.path.rglob("*")]
        if not path.is_symlink()
    }
    assert [path for path, mode in modes.items() if mode & 0o222] == []
    assert [path for path in modes if path.name == "__pycache__"]  # it was compiled before


async def test_one_that_somebody_changed_is_built_anew(bench: Bench) -> None:
    bench.lock(add_wheel(bench.bundle / "wheels", "greeter", says="hello"))
    provider = await bench.provider()
    first = await bench.prepare(provider)
    (packages,) = first.path.glob("lib/python*/site-packages")
    packages.chmod(0o755)
    (packages / "intruder.py").write_text("")
    second = await bench.prepare(provider)
    assert second.path != first.path
    assert run(first, "greeter") == "hello\n"  # whoever uses it keeps it
    first.release()
    await assert_eventually(lambda: bench.cached() == [second.path.name], "the old one is gone")


async def test_one_whose_interpreter_is_gone_is_built_anew(bench: Bench) -> None:
    bench.lock(add_wheel(bench.bundle / "wheels", "greeter", says="hello"))
    provider = await bench.provider()
    first = await bench.prepare(provider)
    first.release()
    first.path.joinpath("bin").chmod(0o755)
    first.path.joinpath("bin/python").unlink()
    first.path.joinpath("bin/python").symlink_to("/nowhere/python")
    second = await bench.prepare(provider)
    assert run(second, "greeter") == "hello\n"


async def test_a_new_process_finds_it(bench: Bench) -> None:
    bench.lock(add_wheel(bench.bundle / "wheels", "greeter"))
    before = await bench.provider()
    (await bench.prepare(before)).release()
    await before.close()
    (bench.cache / ".making-left").mkdir()
    (bench.cache / ".making-left.scratch").mkdir()
    lease = await bench.prepare(await bench.provider())
    assert bench.builds() == 1
    assert bench.cached() == [lease.path.name]


async def test_the_least_recently_used_go_first_and_never_one_in_use(bench: Bench) -> None:
    line = add_wheel(bench.bundle / "wheels", "greeter")
    provider = await bench.provider(max_bytes=1)
    leases = []
    for number in range(2):
        bench.lock(line, f"# {number}\n")
        leases.append(await bench.prepare(provider, digest=str(number)))
    assert len(bench.cached()) == 2
    leases[0].release()
    bench.lock(line, "# last\n")
    last = await bench.prepare(provider, digest="last")
    assert bench.cached() == sorted([leases[1].path.name, last.path.name])


async def test_a_build_that_nobody_waits_for_is_given_up_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = ("/bin/sh", "-c", "trap '' TERM; sleep 600")
    monkeypatch.setattr(uv_program, "make_environment", lambda *_: endless)
    provider = await bench.provider()
    waiting = [asyncio.create_task(bench.prepare(provider, EnvironmentSpec("3.11"))) for _ in "ab"]
    await assert_eventually(lambda: bench.runtime.handles, "it is being built")
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    assert not waiting[1].done()
    waiting[1].cancel()
    await asyncio.wait(waiting)
    async with asyncio.timeout(30):
        await bench.runtime.handles[0].wait()
    await assert_eventually(lambda: bench.cached() == [], "nothing is left")
    monkeypatch.undo()
    bench.lock(add_wheel(bench.bundle / "wheels", "greeter"))
    await bench.prepare(provider)


async def test_a_build_may_take_only_so_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = ("/bin/sh", "-c", "echo begun; exec sleep 600")
    monkeypatch.setattr(uv_program, "make_environment", lambda *_: endless)
    provider = await bench.provider(build_timeout=timedelta(seconds=0.2))
    with pytest.raises(FailedPrecondition, match=r"did not end within 0:00:00\.2"):
        await bench.prepare(provider, EnvironmentSpec("3.11"))
    assert bench.cached() == []


async def test_output_without_end_is_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    flood = ("/bin/sh", "-c", "seq 12000; exit 3")
    monkeypatch.setattr(uv_program, "make_environment", lambda *_: flood)
    with pytest.raises(FailedPrecondition, match=r"exited with code 3(.|\n)*\n12000"):
        await bench.prepare(await bench.provider(), EnvironmentSpec("3.11"))
    assert bench.said[1:3] == ["1", "2"]
    assert bench.said[-2:] == ["10000", "2,000 more lines are left out."]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (EnvironmentSpec(lock_file="missing.txt"), "'missing.txt' cannot be read: No such file"),
        (EnvironmentSpec(lock_file="uv.lock"), "'pyproject.toml' cannot be read"),
        (EnvironmentSpec(lock_file="lock.txt", wheelhouse="none"), "wheelhouse 'none' cannot be"),
    ],
)
async def test_what_the_bundle_lacks_is_named(
    bench: Bench, spec: EnvironmentSpec, says: str
) -> None:
    bench.lock("")
    (bench.bundle / "uv.lock").write_text("")
    with pytest.raises(FailedPrecondition, match=says):
        await bench.prepare(await bench.provider(), spec)
    assert bench.runtime.requests == []
