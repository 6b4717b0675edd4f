"""Slices on real SSH hosts: how they come up, what keeps them from it, and how they end."""

import asyncio
import contextlib
import os
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.processes import ProcessIdentity, descendants
from iris.model.errors import NotFound, ResourceExhausted
from iris.model.fleet import VmState
from iris.platforms.manual.hosts_fixture import (
    GROUP,
    World,
    claims_on,
    log_of,
    logs,
    stopped,
    until,
    worker_ids,
    workers_on,
)
from iris.testing.eventually import assert_eventually
from iris.testing.leaks import LeakCheck
from iris.testing.ssh_hosts import make_key, ssh_is_here

pytestmark = pytest.mark.skipif(not ssh_is_here(), reason="this machine has no sshd")


async def test_a_slice_comes_up_and_its_end_leaves_nothing(lab: World) -> None:
    check = LeakCheck()
    manager = lab.manager()
    group = await manager.create_vm_group({})
    assert group.status() is VmState.REQUESTING
    await until(group, VmState.READY)
    assert worker_ids(lab.controller) == [f"{group.slice_id}/0", f"{group.slice_id}/1"]
    hello = lab.controller.streams[0].hello
    assert (hello.slice_id, hello.scale_group, hello.host) == (
        group.slice_id,
        "lab",
        "127.0.0.1",
    )
    for vm in group.vms():
        log = log_of(vm.vm_id)
        steps = (
            "connecting to",
            "claimed",
            "shipping Iris to",
            "starting the worker",
            "registered",
        )
        places = [log.index(step) for step in steps]
        assert places == sorted(places)
    await group.terminate()
    await group.terminate()
    assert group.status() is VmState.TERMINATED
    assert group.problem() == ""
    assert [claims_on(host) + workers_on(host) for host in lab.hosts.hosts] == [[], [], []]
    await manager.stop()
    assert check.leftovers() == []


async def test_the_token_is_in_no_argument_and_no_environment(lab: World) -> None:
    group = await lab.manager().create_vm_group({})
    await until(group, VmState.READY)
    for host in lab.hosts.hosts[:2]:
        (worker,) = workers_on(host)
        for identity in (worker, *descendants(worker)):
            for what in ("cmdline", "environ"):
                told = Path(f"/proc/{identity.pid}/{what}").read_bytes()
                assert b"the-token" not in told, (what, told)


async def test_a_second_time_nothing_is_sent(lab: World) -> None:
    manager = lab.manager()
    for _ in range(2):
        group = await manager.create_vm_group({})
        await until(group, VmState.READY)
        await group.terminate()
    assert "it is there already" in logs(group)


async def test_too_few_hosts_are_told_with_the_numbers(lab: World) -> None:
    manager = lab.manager()
    group = await manager.create_vm_group({})
    with pytest.raises(
        ResourceExhausted, match="A slice needs 2 hosts; of 3, 1 are free, 2 in use"
    ):
        await manager.create_vm_group({})
    await group.terminate()
    await (await manager.create_vm_group({})).terminate()


async def test_commands_run_in_order_and_their_output_can_be_read(lab: World) -> None:
    options = lab.options(
        commands=("echo one $GREETING", "echo two >&2; echo end"), environment={"GREETING": "hello"}
    )
    group = await lab.manager(options).create_vm_group({})
    await until(group, VmState.READY)
    log = log_of(group.vm_ids()[0])
    places = [log.index(line) for line in ("one hello", "two", "end", "shipping Iris")]
    assert places == sorted(places)


async def test_a_command_that_fails_fails_the_slice_and_sets_the_host_aside(lab: World) -> None:
    command = "echo is there a disk; case $HOME in */h1/*) echo no disk >&2; exit 3;; esac"
    manager = lab.manager(lab.options(commands=(command,)))
    group = await manager.create_vm_group({})
    await until(group, VmState.FAILED)
    assert f"{group.slice_id}/1: bootstrap.commands[0] failed on host1" in group.problem()
    assert "exit status 3" in group.problem()
    assert "no disk" in log_of(f"{group.slice_id}/1")
    await group.terminate()
    assert "host1" in manager.set_aside()
    again = await manager.create_vm_group({})
    await until(again, VmState.READY)
    assert [vm.address for vm in again.vms()] == ["host0", "host2"]


async def test_a_command_that_hangs_is_ended_with_all_it_started(lab: World) -> None:
    options = lab.options(
        commands=("echo started; sleep 1000 & sleep 1000",), command_timeout=timedelta(seconds=0.3)
    )
    group = await lab.manager(options).create_vm_group({})
    await until(group, VmState.FAILED)
    assert "it did not end within 0.3 s" in group.problem()
    assert "started" in logs(group)
    await group.terminate()
    await assert_eventually(lambda: not _sleepers(lab), "no command is left")


async def test_output_can_be_read_while_a_command_runs(lab: World) -> None:
    options = lab.options(commands=("echo begun; until [ -e ~/go ]; do sleep 0.02; done",))
    group = await lab.manager(options).create_vm_group({})
    await assert_eventually(lambda: logs(group).count("begun") == 2, "both have begun")
    assert group.status() is VmState.BOOTING
    for host in lab.hosts.hosts:
        (host.home / "go").touch()
    await until(group, VmState.READY)
    for host in lab.hosts.hosts:
        (host.home / "go").unlink()


async def test_ending_while_it_comes_up_leaves_nothing(lab: World) -> None:
    options = lab.options(commands=("echo begun; sleep 1000",))
    group = await lab.manager(options).create_vm_group({})
    await assert_eventually(lambda: logs(group).count("begun") == 2, "both have begun")
    await group.terminate()
    await assert_eventually(lambda: not _sleepers(lab), "no command is left")


async def test_a_host_that_is_down_is_passed_over(lab: World) -> None:
    manager = lab.manager()
    with stopped(lab.hosts, lab.hosts.hosts[0]):
        group = await manager.create_vm_group({})
        await until(group, VmState.READY)
    assert sorted(vm.address for vm in group.vms()) == ["host1", "host2"]
    assert "refuses the connection" in manager.set_aside()["host0"]
    assert "host0 is set aside" in logs(group)


async def test_with_no_host_left_the_reasons_are_told(lab: World) -> None:
    manager = lab.manager()
    with contextlib.ExitStack() as stack:
        for host in lab.hosts.hosts[:2]:
            stack.enter_context(stopped(lab.hosts, host))
        group = await manager.create_vm_group({})
        await until(group, VmState.FAILED)
        assert "refuses the connection" in group.problem()
        await group.terminate()
        with pytest.raises(ResourceExhausted, match=r"2 set aside: host0 .*; host1 "):
            await manager.create_vm_group({})


async def test_a_host_is_tried_again_later(lab: World) -> None:
    manager = lab.manager(lab.options(set_aside=timedelta(0)))
    with stopped(lab.hosts, lab.hosts.hosts[0]):
        group = await manager.create_vm_group({})
        await until(group, VmState.READY)
        await group.terminate()
    three = replace(GROUP, vms_per_slice=3)
    other = await lab.manager(lab.options(), three).create_vm_group({})
    await until(other, VmState.READY)
    assert manager.set_aside() == {}


async def test_an_unknown_host_key_is_refused(lab: World) -> None:
    lab.hosts.forget_key(lab.hosts.hosts[1])
    try:
        manager = lab.manager()
        group = await manager.create_vm_group({})
        await until(group, VmState.READY)
        assert "host key of host1 is not known" in manager.set_aside()["host1"]
    finally:
        lab.hosts.remember_keys()


async def test_a_key_that_opens_nothing_is_told(lab: World, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    config = tmp_path / "config"
    text = lab.hosts.config_file.read_text()
    config.write_text(text.replace(str(lab.hosts.identity_file), str(tmp_path / "other")))
    options = lab.options()
    wrong = replace(options, ssh=replace(options.ssh, config_file=str(config)))
    group = await lab.manager(wrong).create_vm_group({})
    await until(group, VmState.FAILED)
    assert "does not let us in" in group.problem()
    await group.terminate()


@pytest.mark.parametrize(
    ("python", "said"),
    [("python9", "There is no python9 on host"), ("/bin/true", "/bin/true on host")],
)
async def test_a_host_without_python_is_told(lab: World, python: str, said: str) -> None:
    group = await lab.manager(lab.options(python=python)).create_vm_group({})
    await until(group, VmState.FAILED)
    assert said in group.problem()
    await group.terminate()


async def test_a_host_that_dies_while_it_comes_up_fails_the_slice(lab: World) -> None:
    options = lab.options(commands=("echo begun; sleep 1000",), unreachable_after=timedelta(0))
    manager = lab.manager(options)
    group = await manager.create_vm_group({})
    await assert_eventually(lambda: logs(group).count("begun") == 2, "both have begun")
    with stopped(lab.hosts, lab.hosts.hosts[1]):
        await until(group, VmState.FAILED)
        assert "connection to host1 was lost" in group.problem()
        await group.terminate()
        assert "could not be ended" in group.problem()
        assert list(manager.set_aside()) == ["host1"]
    assert claims_on(lab.hosts.hosts[1]) != []
    # The next process that has the host clears up.
    three = replace(GROUP, vms_per_slice=3)
    other = await lab.manager(lab.options(), three).create_vm_group({})
    await until(other, VmState.READY)
    assert f"ending what was left of {group.slice_id}/1" in logs(other)


async def test_a_worker_that_is_killed_fails_the_slice(lab: World) -> None:
    group = await lab.manager().create_vm_group({})
    await until(group, VmState.READY)
    (worker,) = workers_on(lab.hosts.hosts[1])
    os.kill(worker.pid, signal.SIGKILL)
    await until(group, VmState.FAILED)
    assert group.problem() == f"{group.slice_id}/1: its worker's process ended without a word"
    await group.terminate()
    assert claims_on(lab.hosts.hosts[0]) == []


async def test_a_worker_that_is_refused_says_so(lab: World) -> None:
    lab.controller.refuse_with = NotFound("no such slice")
    group = await lab.manager().create_vm_group({})
    await until(group, VmState.FAILED)
    assert "did not come up: no such slice" in group.problem()
    await group.terminate()


async def test_all_of_them_at_once(lab: World) -> None:
    manager = lab.manager(lab.options(), replace(GROUP, vms_per_slice=1))
    groups = [await manager.create_vm_group({}) for _ in range(3)]
    for group in groups:
        await until(group, VmState.READY)
    await asyncio.gather(*(group.terminate() for group in groups))
    assert await manager.discover_vm_groups() == ()


def _sleepers(lab: World) -> list[ProcessIdentity]:
    return [one for host in lab.hosts.hosts for one in workers_on(host, "sleep 1000")]
