"""Slices on real SSH hosts that outlive the process that made them, or the way to them."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from iris_proto import job_pb2, worker_pb2

from iris.host.processes import ProcessIdentity
from iris.model.errors import Unavailable
from iris.model.fleet import VmState
from iris.platforms.manual import ManualVmGroup, WorkerSettings
from iris.platforms.manual.hosts_fixture import (
    GROUP,
    World,
    claims_on,
    logs,
    stopped,
    until,
    workers_on,
)
from iris.testing.eventually import assert_eventually
from iris.testing.ssh_hosts import ssh_is_here

pytestmark = pytest.mark.skipif(not ssh_is_here(), reason="this machine has no sshd")


async def run_task(lab: World, group: ManualVmGroup) -> str:
    """A task on the slice's first VM that stays; its uid."""
    for stream in lab.controller.streams:
        if stream.hello.worker_id == f"{group.slice_id}/0" and not stream.over.is_set():
            stream.run(
                stay=worker_pb2.AttemptSpec(
                    task_id="/u/job/0",
                    job_id="/u/job",
                    num_tasks=1,
                    entrypoint=job_pb2.Entrypoint(argv=["sleep", "600"]),
                )
            )
            await stream.running("stay")
            return "stay"
    raise AssertionError("its worker is not here")


def last_hello(lab: World, worker_id: str) -> worker_pb2.Hello:
    return [one.hello for one in lab.controller.streams if one.hello.worker_id == worker_id][-1]


@contextlib.asynccontextmanager
async def running(lab: World) -> AsyncIterator[tuple[ManualVmGroup, list[ProcessIdentity]]]:
    """A slice of an earlier process, with a task, and its workers."""
    first = lab.manager()
    group = await first.create_vm_group({})
    await until(group, VmState.READY)
    await run_task(lab, group)
    before = [one for host in lab.hosts.hosts for one in workers_on(host)]
    await first.stop()
    yield group, before


async def test_a_new_process_finds_the_slice_with_its_tasks(lab: World) -> None:
    async with running(lab) as (group, before):
        hellos = len(lab.controller.streams)
        manager = lab.manager()
        (found,) = await manager.discover_vm_groups()
        assert (found.slice_id, found.created_at) == (group.slice_id, group.created_at)
        await until(found, VmState.READY)
        assert [vm.address for vm in found.vms()] == ["host0", "host1"]
        await assert_eventually(lambda: len(lab.controller.streams) == hellos + 2, "both are back")
        hello = last_hello(lab, f"{group.slice_id}/0")
        assert [one.attempt_uid for one in hello.attempts] == ["stay"]
        assert hello.attempts[0].state == job_pb2.TASK_RUNNING
        assert [one for host in lab.hosts.hosts for one in workers_on(host)] == before
        # It is told once, however often it is looked for.
        assert await manager.discover_vm_groups() == (found,)
        await found.terminate()
        assert found.status() is VmState.TERMINATED
        assert [claims_on(host) + workers_on(host) for host in lab.hosts.hosts] == [[], [], []]


async def test_one_host_that_is_away_when_the_slice_is_found_comes_back(lab: World) -> None:
    async with running(lab) as (_, before):
        with stopped(lab.hosts, lab.hosts.hosts[1]):
            (found,) = await lab.manager().discover_vm_groups()
            await assert_eventually(lambda: "host0 again" in logs(found), "one is found")
            assert found.status() is VmState.UNHEALTHY
            assert len(found.vms()) == 2
        await until(found, VmState.READY)
        assert [one for host in lab.hosts.hosts for one in workers_on(host)] == before


async def test_one_that_does_not_come_back_fails_the_slice(lab: World) -> None:
    async with running(lab):
        options = lab.options(unreachable_after=timedelta(seconds=0.2))
        with stopped(lab.hosts, lab.hosts.hosts[1]):
            (found,) = await lab.manager(options).discover_vm_groups()
            await until(found, VmState.FAILED)
            assert "host1 was out of reach for 0.2 s" in found.problem()
            await found.terminate()
            assert claims_on(lab.hosts.hosts[0]) == []


async def test_without_any_host_it_cannot_be_said_what_there_is(lab: World) -> None:
    with contextlib.ExitStack() as stack:
        for host in lab.hosts.hosts:
            stack.enter_context(stopped(lab.hosts, host))
        with pytest.raises(Unavailable, match=r"None of the hosts can be asked.*refuses"):
            await lab.manager().discover_vm_groups()


async def test_a_worker_that_ended_meanwhile_fails_the_slice(lab: World) -> None:
    async with running(lab) as (_, before):
        os.kill(before[1].pid, signal.SIGKILL)
        (found,) = await lab.manager().discover_vm_groups()
        await until(found, VmState.FAILED)
        assert "its worker's process ended without a word" in found.problem()


async def test_a_boot_that_was_cut_short_is_found_to_be_cleared_up(lab: World) -> None:
    first = lab.manager(lab.options(commands=("echo begun; sleep 1000",)))
    group = await first.create_vm_group({})
    await assert_eventually(lambda: logs(group).count("begun") == 2, "both have begun")
    await first.stop()
    (found,) = await lab.manager().discover_vm_groups()
    await until(found, VmState.FAILED)
    assert "its worker was never started" in found.problem()
    await found.terminate()
    assert [claims_on(host) for host in lab.hosts.hosts] == [[], [], []]


async def test_clusters_leave_each_other_s_hosts_alone(lab: World) -> None:
    ours = await lab.manager().create_vm_group({})
    await until(ours, VmState.READY)
    other = lab.manager(lab.options("other"))
    assert await other.discover_vm_groups() == ()
    theirs = await other.create_vm_group({})
    await until(theirs, VmState.FAILED)
    assert f"host0 is in use by the cluster 'test' ({ours.slice_id}/0)" in logs(theirs)
    await theirs.terminate()
    assert ours.status() is VmState.READY
    one = lab.manager(lab.options("third"), replace(GROUP, vms_per_slice=1))
    beside = await one.create_vm_group({})
    await until(beside, VmState.READY)
    assert beside.vms()[0].address == "host2"
    assert ours.status() is VmState.READY
    await ours.terminate()
    assert beside.status() is VmState.READY
    await beside.terminate()


async def test_a_connection_that_breaks_is_made_again(lab: World) -> None:
    group = await lab.manager().create_vm_group({})
    await until(group, VmState.READY)
    await run_task(lab, group)
    before = workers_on(lab.hosts.hosts[0])
    hellos = len(lab.controller.streams)
    with stopped(lab.hosts, lab.hosts.hosts[0]):
        await until(group, VmState.UNHEALTHY)
        assert "host0" in group.problem()
    await until(group, VmState.READY)
    assert group.problem() == ""
    await assert_eventually(lambda: len(lab.controller.streams) > hellos, "the worker is back")
    assert last_hello(lab, f"{group.slice_id}/0").attempts[0].attempt_uid == "stay"
    assert workers_on(lab.hosts.hosts[0]) == before


async def test_what_could_not_be_ended_is_ended_when_the_host_is_back(lab: World) -> None:
    options = lab.options(unreachable_after=timedelta(0), set_aside=timedelta(seconds=0.1))
    group = await lab.manager(options).create_vm_group({})
    await until(group, VmState.READY)
    with stopped(lab.hosts, lab.hosts.hosts[1]):
        await until(group, VmState.FAILED)
        await group.terminate()
        assert claims_on(lab.hosts.hosts[1]) != []
        assert workers_on(lab.hosts.hosts[1]) != []
    await assert_eventually(lambda: not claims_on(lab.hosts.hosts[1]), "it is given back")
    assert workers_on(lab.hosts.hosts[1]) == []


async def test_a_worker_on_its_own_ends_itself(lab: World) -> None:
    # This controller does not answer Health, which is what its workers ask for.
    options = lab.options(worker=WorkerSettings(lease=timedelta(seconds=1)))
    group = await lab.manager(options).create_vm_group({})
    await until(group, VmState.READY)
    await until(group, VmState.FAILED)
    assert "its controller was out of reach for 1 s" in group.problem()
    await assert_eventually(
        lambda: not [one for host in lab.hosts.hosts for one in workers_on(host)],
        "the other has ended as well",
    )
