"""What is slow, ill or deaf holds up nobody but itself."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
from iris_proto import controller_pb2, controller_pb2_grpc

from iris.client import DecisionView, JobView
from iris.model.faults import Fault, FaultKind
from iris.model.fleet import VmState
from iris.model.ids import WorkerId
from iris.model.states import TaskState
from iris.rpc.auth import token_metadata
from iris.smoke.case import Case, check, check_equal
from iris.smoke.cases.scaling import slices_of
from iris.smoke.context import CaseContext
from iris.smoke.groups import HELD_UP, ILL
from iris.smoke.joined import joined_name, joined_worker
from iris.smoke.needs import FAULT_INJECTION, LOCAL_PROCESSES, group_need

# Longer than any run of the flow: what waits for it does not end.
_FOR_EVER = timedelta(hours=1)
_LOOKS_EVERY = timedelta(milliseconds=50)
# More than a connection takes before the client has read something: 64 KiB (RFC 9113, 6.9.2), if it asks for no more
# (https://grpc.github.io/grpc/core/group__grpc__arg__keys.html).
_SMALL_WINDOW = (("grpc.http2.lookahead_bytes", 1 << 16), ("grpc.http2.bdp_probe", 0))
_PADDING = tuple((f"PADDING_{number}", "x" * 50_000) for number in range(4))


async def held_up_slice(context: CaseContext) -> None:
    """A slice does not come up. The next one is bought all the same, and only that one."""
    await context.client.inject_fault(Fault(FaultKind.DELAY, HELD_UP.name, delay=_FOR_EVER))
    spec = HELD_UP.only(context.program("hello.py"))
    first = await context.launch(spec, suffix="first")
    (held,) = await context.until(lambda: slices_of(context, HELD_UP))
    context.did("slice held up", held.slice_id)
    second = await context.launch(spec, suffix="second")
    ran_on = set[str]()
    for job_id in (first, second):
        attempts = (await context.succeeded(job_id)).tasks[0].attempts
        ran_on.update(one.worker_id.rpartition("/")[0] for one in attempts)
    still = {one.slice_id: one.state for one in await slices_of(context, HELD_UP)}
    check_equal(still.get(held.slice_id), VmState.BOOTING, "the state of what is held up")
    bought = {one.slice_id for one in await _purchases(context)}
    check_equal(bought, {held.slice_id, *ran_on}, "the slices that were bought")
    await context.client.inject_fault(Fault(FaultKind.PREEMPT, held.slice_id))
    context.saw("held up", f"{held.slice_id}, until both jobs had run")
    context.saw("both ran on", ", ".join(sorted(ran_on)))


async def _purchases(context: CaseContext) -> list[DecisionView]:
    decisions = (await context.client.cluster_status()).decisions
    mine = [one for one in decisions if one.scale_group == HELD_UP.name]
    return [one for one in mine if one.action == "scale up"]


async def ill_worker(context: CaseContext) -> None:
    """A worker cannot write files any more. It says so and gets no work, which another worker is bought for, until
    it is well again.
    """
    joined = joined_worker(context, ILL, context.cluster.address, looks_every=_LOOKS_EVERY)
    async with joined as folder:
        spec = ILL.only(context.program("hello.py"))
        before = await context.run_to_success(spec, suffix="well")
        check_equal(_places(before), [joined_name(ILL)], "where a well one ran")
        # The file that it tries to write is a folder: as good as a full disk.
        obstacle = folder / "work" / ".health"
        await context.until(lambda: _made(obstacle))
        context.did("worker ill", joined_name(ILL))
        (problem,) = await context.until(lambda: _problems(context))
        job = await context.run_to_success(spec, suffix="ill")
        places = _places(job)
        check(joined_name(ILL) not in places, "no attempt on the worker that is ill", places)
        obstacle.rmdir()

        async def well() -> bool:
            return not await _problems(context)

        await context.until(well)
    context.saw("ill", problem)
    context.saw("ran instead on", places[-1])


def _made(obstacle: Path) -> bool:
    """Whether the folder could be made: not while the file is there, which is for a moment now and then."""
    try:
        obstacle.mkdir()
    except FileExistsError:
        return False
    return True


def _places(job: JobView) -> list[WorkerId]:
    return [attempt.worker_id for attempt in job.tasks[0].attempts]


async def _problems(context: CaseContext) -> list[str]:
    workers = (await context.client.cluster_status()).workers
    mine = [one for one in workers if one.worker_id == joined_name(ILL)]
    return [str(problem) for worker in mine for problem in worker.problems]


async def deaf_client(context: CaseContext) -> None:
    """A client watches a job and reads nothing of what it is sent, on a connection that stays open. Everybody else is
    served.
    """
    spec = replace(context.program("hold.py"), env=_PADDING)
    async with (
        context.running(spec, suffix="watched") as job_id,
        grpc.aio.insecure_channel(context.cluster.address, options=_SMALL_WINDOW) as channel,
    ):
        jobs: Any = controller_pb2_grpc.ControllerServiceStub(channel)
        deaf = jobs.WatchJob(
            controller_pb2.WatchJobRequest(job_id=job_id),
            metadata=(token_metadata(context.cluster.token),),
        )
        await deaf.initial_metadata()  # the controller has begun to answer
        context.did("client deaf")
        await context.client.terminate(job_id, "smoke: news for the deaf client")
        ended = await context.client.wait(job_id)
        check_equal(ended.tasks[0].state, TaskState.KILLED, "the state of the watched task")
        job = await context.run_to_success(context.program("hello.py"), suffix="beside")
        check(not deaf.done(), "a client that could still read", deaf)
        deaf.cancel()
    context.saw("served beside it", f"{job.job_id} on {job.tasks[0].attempts[-1].worker_id}")


BYSTANDER_CASES = (
    Case(
        "held-up-slice",
        "A slice that does not come up holds up no other one.",
        held_up_slice,
        needs=frozenset({FAULT_INJECTION, group_need(HELD_UP)}),
    ),
    Case(
        "ill-worker",
        "A worker that is ill gets no work.",
        ill_worker,
        needs=frozenset({LOCAL_PROCESSES, group_need(ILL)}),
    ),
    Case("deaf-client", "A client that does not read holds up nobody.", deaf_client),
)
