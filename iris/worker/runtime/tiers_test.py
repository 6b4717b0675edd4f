"""Each choice of means that this machine has: what a task sees of it, and that it leaves nothing."""

import os
import signal
from datetime import timedelta

from iris.testing.eventually import assert_eventually
from iris.worker.protocols import Limits
from iris.worker.runtime.cgroup_places import groups_in, own_hierarchies
from iris.worker.runtime.containment import CGROUPS, NAMESPACES
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.runtime.trees_fixture import (
    Output,
    alive,
    inner_pid,
    python,
    request,
    run,
    start_tree,
)

SOME = Limits(memory_bytes=1 << 30, cpu_millis=1000, processes=100)


def spawner_groups(pid: int) -> list[str]:
    """The groups of that spawner, each with the names of those below it."""
    return [
        f"{one.own}/{name}"
        for one in own_hierarchies()
        for name in groups_in(one.own)
        if name.startswith("iris-") and f"-{pid}-" in name
    ]


async def test_a_task_sees_who_and_where_it_is(
    runtime: ProcessRuntime, tiers: frozenset[str]
) -> None:
    code = (
        "import os, sys; print(os.getpid(), os.readlink('/proc/self'), os.getppid(), os.getuid(),"
        " os.getgid(), os.getsid(0), flush=True); sys.stdin.read(); os.kill(os.getpid(), 19)"
    )
    handle = await runtime.run(request(*python(code)))
    output = await Output.follow(handle)
    pid, by_proc, parent, user, group, session = map(int, (await output.line()).split())
    assert pid == by_proc == session == inner_pid(await handle.started())
    assert (user, group) == (os.getuid(), os.getgid())
    if NAMESPACES in tiers:
        assert (pid, parent) == (2, 1)
    handle.stop("enough", timedelta(0))
    await handle.wait()


async def test_a_task_cannot_end_what_holds_it(runtime: ProcessRuntime) -> None:
    code = (
        "import os, signal\n"
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGSTOP):\n"
        "    os.kill(os.getppid(), number) if os.getppid() == 1 else None\n"
        "print('alive')\n"
    )
    report, out, _ = await run(runtime, request(*python(code)))
    assert (report.exit_code, out) == (0, b"alive\n")


async def test_groups_are_there_as_long_as_their_attempt(
    runtime: ProcessRuntime, tiers: frozenset[str]
) -> None:
    handle = await runtime.run(request("sleep", "60", limits=SOME))
    await Output.follow(handle)
    await handle.started()
    spawner = runtime.spawner_pid
    groups = spawner_groups(spawner)
    assert bool(groups) == (CGROUPS in tiers)
    if " by cgroup" in runtime.isolation:
        assert any(groups_in(group) for group in groups)
    handle.stop("enough", timedelta(0))
    await handle.wait()
    assert not any(groups_in(group) for group in groups)
    await runtime.close()
    assert spawner_groups(spawner) == []


async def test_a_killed_supervisor_leaves_no_group(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn", limits=SOME)
    os.kill(handle.supervisor_pid, signal.SIGKILL)
    await handle.wait()
    assert alive(tree) == []
    assert not any(groups_in(group) for group in spawner_groups(runtime.spawner_pid))


async def test_what_dead_ones_left_goes_at_the_next_start(runtime: ProcessRuntime) -> None:
    """Supervisor and spawner are killed at once, so that neither can tidy up after the other."""
    handle, tree, output = await start_tree(runtime, "stubborn", limits=SOME)
    spawner = runtime.spawner_pid
    os.kill(spawner, signal.SIGSTOP)
    os.kill(handle.supervisor_pid, signal.SIGKILL)
    os.kill(spawner, signal.SIGKILL)
    await handle.wait()
    assert (await run(runtime, request("true", limits=SOME)))[0].exit_code == 0
    await assert_eventually(lambda: spawner_groups(spawner) == [], "no group of the dead")
    for one in alive(tree):  # where nothing but a walk could have found them
        os.kill(one.pid, signal.SIGKILL)
    await output.stdout.read()
    await output.stderr.read()


async def test_a_group_that_a_task_made_goes_too(
    runtime: ProcessRuntime, tiers: frozenset[str]
) -> None:
    code = (
        "import os\n"
        "for line in open('/proc/self/cgroup'):\n"
        "    for top in ('/sys/fs/cgroup/pids', '/sys/fs/cgroup'):\n"
        "        path = top + line.strip().split(':')[2]\n"
        "        if '/iris-' in path and os.path.isdir(path) and os.access(path, os.W_OK):\n"
        "            os.makedirs(path + '/own/inner', exist_ok=True); print('made')\n"
    )
    report, out, err = await run(runtime, request(*python(code), limits=SOME))
    assert (report.exit_code, err) == (0, b"")
    if "processes by cgroup" in runtime.isolation and os.path.isdir("/sys/fs/cgroup/pids"):
        assert b"made" in out
    assert not any(groups_in(group) for group in spawner_groups(runtime.spawner_pid))


async def test_a_stop_before_the_program_runs_is_not_lost(runtime: ProcessRuntime) -> None:
    # It takes a while until the program is found.
    path = "/nowhere:" * 10_000 + "/usr/bin:/bin"
    for _ in range(3):
        handle = await runtime.run(request("sleep", "60", env={"PATH": path}))
        await Output.follow(handle)
        handle.stop("enough")  # with a grace of a minute
        report = await handle.wait()
        assert (report.signal, report.error) == (signal.SIGTERM, "enough")
