"""The client against a controller over real gRPC: answers, errors, retries, and streams that break
and go on.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from iris_proto import job_pb2

from iris.bundle import BundleInfo
from iris.client.client import Client, ClientOptions
from iris.client.fake_controller import TOKEN, Cut, FakeController
from iris.client.views import BackUpView, ExplanationView, WaitingTasks
from iris.model.errors import (
    AlreadyExists,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from iris.model.ids import JobId, parse_job_id
from iris.model.job import Entrypoint, ExistingJobPolicy, JobSpec
from iris.model.pending import PendingCode, PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState
from iris.rpc.convert_job import job_spec_to_proto, pending_reason_to_proto
from iris.rpc.convert_values import timestamp_to_proto
from iris.testing.eventually import assert_eventually

JOB = parse_job_id("/ann/train")
SPEC = JobSpec(Entrypoint(("python3", "train.py")), Resources(1000, 1 << 20), env=(("A", "1"),))
# Short where a test waits for it to run out, long where it must not.
QUICK = ClientOptions(retry_for=timedelta(seconds=0.5), reconnect_for=timedelta(seconds=0.5))


@pytest_asyncio.fixture
async def controller() -> AsyncIterator[FakeController]:
    async with FakeController().serve() as fake:
        yield fake


@pytest_asyncio.fixture
async def client(controller: FakeController) -> AsyncIterator[Client]:
    async with Client.connect(controller.address, TOKEN) as connected:
        yield connected


def a_job(state: job_pb2.JobState = job_pb2.JOB_RUNNING, job_id: str = JOB) -> job_pb2.JobStatus:
    return job_pb2.JobStatus(job_id=job_id, spec=job_spec_to_proto(SPEC), state=state)


class TestCalls:
    async def test_launching_twice_is_one_job(self, client: Client) -> None:
        first, second = await client.launch(JOB, SPEC), await client.launch(JOB, SPEC)

        assert (first.created, second.created) == (True, False)
        assert first.job == second.job
        assert (first.job.job_id, first.job.state, first.job.spec) == (JOB, JobState.PENDING, SPEC)

    async def test_a_name_that_another_job_has_is_refused(self, client: Client) -> None:
        await client.launch(JOB, SPEC)
        with pytest.raises(AlreadyExists, match="is another job") as caught:
            await client.launch(JOB, replace(SPEC, replicas=2))
        assert caught.value.hint == "Choose another name."

    async def test_each_launch_has_a_name_and_keeps_it_when_it_is_made_again(
        self, client: Client, controller: FakeController
    ) -> None:
        controller.cuts["LaunchJob"] = [(0, Cut.UNAVAILABLE)]
        await client.launch(JOB, SPEC)
        await client.launch(JOB, SPEC)
        first, again, second = (request.request_id for request in controller.requests["LaunchJob"])
        assert first == again != second
        assert first
        assert second

    async def test_what_happens_to_a_job_of_that_name_is_said(
        self, client: Client, controller: FakeController
    ) -> None:
        for policy in ExistingJobPolicy:
            await client.launch(JOB, SPEC, policy=policy)
        assert [request.policy for request in controller.requests["LaunchJob"]] == [
            job_pb2.EXISTING_JOB_ERROR,
            job_pb2.EXISTING_JOB_KEEP,
            job_pb2.EXISTING_JOB_REPLACE,
        ]

    async def test_replacing_a_job_may_take_longer_than_a_call(
        self, client: Client, controller: FakeController
    ) -> None:
        for policy in ExistingJobPolicy:
            await client.launch(JOB, SPEC, policy=policy)
        *short, long = controller.seconds["LaunchJob"]
        assert max(short) < 125  # about what `call_timeout` is
        assert 200 < long < 310

    async def test_a_band_is_the_spec_s_or_left_open(
        self, client: Client, controller: FakeController
    ) -> None:
        spec = replace(SPEC, priority=PriorityBand.BATCH)
        await client.launch(JOB, spec)
        await client.launch(parse_job_id("/ann/other"), spec, inherit_priority=True)
        assert [request.spec.priority for request in controller.requests["LaunchJob"]] == [
            job_pb2.BATCH,
            job_pb2.PRIORITY_BAND_UNSPECIFIED,
        ]

    async def test_where_a_job_stands_and_why(
        self, client: Client, controller: FakeController
    ) -> None:
        await controller.put_job(a_job())
        submitted = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        reason = PendingReason(PendingCode.BUDGET_EXHAUSTED, "cpu", "2 cores", "1 core")
        controller.explanations[JOB] = job_pb2.JobExplanation(
            job_id=JOB,
            state=job_pb2.JOB_RUNNING,
            band=job_pb2.PRODUCTION,
            counts=[
                job_pb2.TaskCount(state=job_pb2.TASK_PENDING, tasks=3),
                job_pb2.TaskCount(state=job_pb2.TASK_RUNNING, tasks=0),
            ],
            waiting=[
                job_pb2.WaitingTasks(reason=pending_reason_to_proto(reason), tasks=3, first_index=7)
            ],
            retries=2,
            submitted_at=timestamp_to_proto(submitted),
            times_out_at=timestamp_to_proto(submitted + timedelta(hours=1)),
            summary="3 tasks wait",
            parent="/ann/whole",
            children=[f"{JOB}/one", f"{JOB}/two"],
        )
        seen = await client.explain(JOB)
        assert seen == ExplanationView(
            JOB,
            JobState.RUNNING,
            PriorityBand.PRODUCTION,
            counts=((TaskState.PENDING, 3),),
            waiting=(WaitingTasks(reason, 3, 7),),
            submitted_at=submitted,
            times_out_at=submitted + timedelta(hours=1),
            retries=2,
            summary="3 tasks wait",
            parent=parse_job_id("/ann/whole"),
            children=(parse_job_id(f"{JOB}/one"), parse_job_id(f"{JOB}/two")),
        )
        with pytest.raises(NotFound):
            await client.explain(parse_job_id("/ann/nothing"))

    async def test_a_back_up_says_where_it_is(self, client: Client) -> None:
        assert await client.back_up() == BackUpView("/state/backups/one.db", 4096)

    @pytest.mark.parametrize("how", [Cut.UNAVAILABLE, Cut.CANCELLED])
    async def test_a_call_is_made_again_while_the_controller_is_away(
        self, client: Client, controller: FakeController, how: Cut
    ) -> None:
        controller.cuts["LaunchJob"] = [(0, how), (0, how)]
        assert (await client.launch(JOB, SPEC)).created
        assert len(controller.requests["LaunchJob"]) == 3

    async def test_a_call_that_is_not_answered_is_given_time_and_not_made_again(
        self, controller: FakeController
    ) -> None:
        controller.cuts["LaunchJob"] = [(0, Cut.SILENCE)]
        options = replace(QUICK, call_timeout=timedelta(seconds=0.5))
        async with Client.connect(controller.address, TOKEN, options=options) as client:
            with pytest.raises(DeadlineExceeded, match=f"LaunchJob at {controller.address}"):
                await client.launch(JOB, SPEC)
        # None, where connecting took all the time.
        assert len(controller.requests["LaunchJob"]) <= 1

    async def test_a_controller_that_stays_away_is_an_error_in_the_end(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
        async with Client.connect(address, TOKEN, options=QUICK) as client:
            with pytest.raises(Unavailable, match=f"GetJob at {address}"):
                await client.get(JOB)

    async def test_errors_of_the_controller_are_not_tried_again(
        self, client: Client, controller: FakeController
    ) -> None:
        with pytest.raises(NotFound, match="There is no job /ann/train"):
            await client.get(JOB)
        assert len(controller.requests["GetJob"]) == 1

    async def test_a_wrong_token_opens_only_health(self, controller: FakeController) -> None:
        async with Client.connect(controller.address, "wrong") as stranger:
            assert (await stranger.health()).healthy
            with pytest.raises(Unauthenticated):
                await stranger.get(JOB)

    async def test_a_bad_id_is_refused_before_anything_is_sent(self, client: Client) -> None:
        with pytest.raises(InvalidArgument, match="'train' is not a job id"):
            await client.launch(JobId("train"), SPEC)

    @pytest.mark.parametrize("limit", [1, 4, 5, 100])
    async def test_lists_are_read_page_by_page(
        self, client: Client, controller: FakeController, limit: int
    ) -> None:
        for number in range(5):
            await controller.put_job(a_job(job_id=f"/ann/job-{number}"))
        await controller.put_job(a_job(job_id="/bob/job-9"))

        listed = [job.job_id for job in await client.list_jobs("/ann/", limit=limit)]

        assert listed == [f"/ann/job-{number}" for number in (4, 3, 2, 1, 0)][:limit]

    async def test_only_active_jobs(self, client: Client, controller: FakeController) -> None:
        await controller.put_job(a_job(job_pb2.JOB_SUCCEEDED, "/ann/done"))
        await controller.put_job(a_job(job_pb2.JOB_RUNNING, "/ann/runs"))
        assert [job.job_id for job in await client.list_jobs(active_only=True)] == ["/ann/runs"]

    async def test_terminate(self, client: Client, controller: FakeController) -> None:
        await controller.put_job(a_job())
        assert (await client.terminate(JOB, "enough")).state is JobState.KILLED
        assert controller.requests["TerminateJob"][0].reason == "enough"


class TestWatch:
    async def test_every_change_until_the_end(
        self, client: Client, controller: FakeController
    ) -> None:
        await controller.put_job(a_job(job_pb2.JOB_PENDING))
        states = []
        async for job in client.watch(JOB):
            states.append(job.state)
            if job.state is JobState.PENDING:
                await controller.set_state(JOB, job_pb2.JOB_RUNNING)
            elif job.state is JobState.RUNNING:
                await controller.set_state(JOB, job_pb2.JOB_SUCCEEDED)
        assert states == [JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED]

    @pytest.mark.parametrize("how", [Cut.UNAVAILABLE, Cut.CANCELLED, Cut.END])
    async def test_a_break_loses_no_end_and_repeats_nothing(
        self, client: Client, controller: FakeController, how: Cut
    ) -> None:
        await controller.put_job(a_job(job_pb2.JOB_PENDING))
        controller.cuts["WatchJob"] = [(1, how), (1, how), (0, how)]
        states = []
        async for job in client.watch(JOB):
            states.append(job.state)
            after = {JobState.PENDING: job_pb2.JOB_RUNNING, JobState.RUNNING: job_pb2.JOB_FAILED}
            if job.state in after:
                await controller.set_state(JOB, after[job.state])
        assert states == [JobState.PENDING, JobState.RUNNING, JobState.FAILED]

    async def test_a_controller_that_says_nothing_is_noticed(
        self, controller: FakeController
    ) -> None:
        await controller.put_job(a_job(job_pb2.JOB_SUCCEEDED))
        controller.cuts["WatchJob"] = [(0, Cut.SILENCE)]
        options = replace(
            QUICK, call_timeout=timedelta(seconds=0.2), reconnect_for=timedelta(seconds=30)
        )
        async with Client.connect(controller.address, TOKEN, options=options) as client:
            assert (await client.wait(JOB)).state is JobState.SUCCEEDED
        assert len(controller.requests["WatchJob"]) >= 2

    async def test_a_controller_that_stays_away_is_an_error_in_the_end(
        self, controller: FakeController
    ) -> None:
        await controller.put_job(a_job())
        controller.cuts["WatchJob"] = [(0, Cut.UNAVAILABLE)] * 100
        async with Client.connect(controller.address, TOKEN, options=QUICK) as client:
            with pytest.raises(Unavailable, match="cut by the test"):
                await client.wait(JOB)

    async def test_a_job_that_is_not_there(self, client: Client) -> None:
        with pytest.raises(NotFound):
            await client.wait(JOB)

    async def test_waiting_too_long_says_the_state(
        self, client: Client, controller: FakeController
    ) -> None:
        await controller.put_job(a_job())
        with pytest.raises(
            DeadlineExceeded,
            match=r"/ann/train had not ended after 0:00:01.5.*its state was: running",
        ):
            await client.wait(JOB, timedelta(seconds=1.5))


class TestLogs:
    async def test_what_there_is(self, client: Client, controller: FakeController) -> None:
        await controller.put_job(a_job())
        await controller.write(f"{JOB}/0", "one", "two", "three")
        await controller.write(f"{JOB}/0", "caf\xe9 \U0001f600", attempt=1, stream=job_pb2.STDERR)

        lines = [line async for line in client.tail_logs(JOB)]

        assert [(line.attempt, line.index, line.stream, line.text) for line in lines] == [
            (0, 0, "stdout", "one"),
            (0, 1, "stdout", "two"),
            (0, 2, "stdout", "three"),
            (1, 0, "stderr", "caf\xe9 \U0001f600"),
        ]
        assert {line.task_id for line in lines} == {f"{JOB}/0"}

    async def test_the_last_lines_of_one_task(
        self, client: Client, controller: FakeController
    ) -> None:
        await controller.put_job(a_job())
        for task in (0, 1):
            await controller.write(f"{JOB}/{task}", *(f"{task}-{number}" for number in range(5)))
        assert [line.text async for line in client.tail_logs(f"{JOB}/1", tail=2)] == ["1-3", "1-4"]

    @pytest.mark.parametrize("how", [Cut.UNAVAILABLE, Cut.CANCELLED])
    @pytest.mark.parametrize("tail", [0, 3])
    async def test_following_through_breaks(
        self, client: Client, controller: FakeController, how: Cut, tail: int
    ) -> None:
        """Lines are written before, between and after breaks; each arrives once, in order."""
        await controller.put_job(a_job())
        await controller.write(f"{JOB}/0", *(f"line {number}" for number in range(5)))
        controller.cuts["TailLogs"] = [(1, how), (0, how), (4, how)]
        written, read = 5, []
        async for line in client.tail_logs(JOB, follow=True, tail=tail):
            read.append(line.index)
            if written < 20:
                await controller.write(f"{JOB}/0", f"line {written}", f"line {written + 1}")
                written += 2
            elif line.index == written - 1:
                await controller.set_state(JOB, job_pb2.JOB_SUCCEEDED)
        assert read == list(range(5 - tail if tail else 0, written))
        assert len(controller.requests["TailLogs"]) == 4

    async def test_a_quiet_stream_is_renewed_when_it_is_old(
        self, controller: FakeController
    ) -> None:
        """That is no failure: it goes on for longer than failures may."""
        await controller.put_job(a_job())
        options = ClientOptions(
            stream_timeout=timedelta(seconds=0.1), reconnect_for=timedelta(seconds=0.3)
        )
        async with Client.connect(controller.address, TOKEN, options=options) as client:
            line = asyncio.ensure_future(anext(client.tail_logs(JOB, follow=True)))
            await assert_eventually(
                lambda: len(controller.requests["TailLogs"]) > 6, "streams begun anew"
            )
            await controller.write(f"{JOB}/0", "at last")
            assert (await line).text == "at last"

    async def test_bad_ids_are_refused(self, client: Client) -> None:
        with pytest.raises(InvalidArgument, match="'nonsense' is"):
            await anext(client.tail_logs("nonsense"))


class TestBundles:
    async def test_a_folder_is_sent_once(
        self, client: Client, controller: FakeController, tmp_path: Path
    ) -> None:
        (tmp_path / "main.py").write_text("print('hello')\n")
        (tmp_path / "big.bin").write_bytes(bytes(range(256)) * 20_000)
        measured: list[BundleInfo] = []

        first = await client.upload_bundle(tmp_path, measured=measured.append)
        second = await client.upload_bundle(tmp_path)

        assert (first.sent, second.sent) == (True, False)
        assert first.digest == second.digest == measured[0].digest
        assert (first.files, first.content_bytes) == (2, 15 + 256 * 20_000)
        assert list(controller.bundles) == [first.digest]

    async def test_an_archive_is_sent_as_it_is(
        self, client: Client, controller: FakeController, tmp_path: Path
    ) -> None:
        (tmp_path / "main.py").write_text("print('hello')\n")
        folder = await client.upload_bundle(tmp_path)
        archive = tmp_path / "bundle.tar.gz"
        archive.write_bytes(controller.bundles.pop(folder.digest))

        assert await client.upload_archive(archive) == folder
        assert controller.bundles[folder.digest] == archive.read_bytes()
        assert not (await client.upload_archive(archive)).sent

    async def test_an_upload_begins_anew_after_a_break(
        self, client: Client, controller: FakeController, tmp_path: Path
    ) -> None:
        (tmp_path / "main.py").write_text("print('hello')\n")
        controller.cuts["UploadBundle"] = [(0, Cut.UNAVAILABLE)]
        assert (await client.upload_bundle(tmp_path)).sent
        assert len(controller.requests["UploadBundle"]) == 2

    async def test_a_folder_that_cannot_be_packed(self, client: Client, tmp_path: Path) -> None:
        with pytest.raises(InvalidArgument, match="is not a folder"):
            await client.upload_bundle(tmp_path / "missing")


async def test_health(client: Client) -> None:
    health = await client.health()
    assert (health.cluster, health.version, health.healthy) == ("fake", "1.2.3", True)


async def test_tasks_and_attempts(client: Client, controller: FakeController) -> None:
    job = a_job(job_pb2.JOB_FAILED)
    job.counts.add(state=job_pb2.TASK_FAILED, tasks=1)
    task = job.tasks.add(task_id=f"{JOB}/0", index=0, state=job_pb2.TASK_FAILED, failures=1)
    task.attempts.add(attempt_uid="a-1", worker_id="w-1", state=job_pb2.TASK_FAILED, exit_code=7)
    task.attempts.add(
        attempt_uid="a-2", worker_id="w-2", number=1, state=job_pb2.TASK_FAILED, signal=9
    )
    await controller.put_job(job)

    view = await client.get(JOB)

    assert view.counts == ((TaskState.FAILED, 1),)
    assert [(one.worker_id, one.exit_code, one.signal) for one in view.tasks[0].attempts] == [
        ("w-1", 7, None),
        ("w-2", None, 9),
    ]
