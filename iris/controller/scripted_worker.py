"""For tests: a worker that does exactly what the test says, over a real stream."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from iris_proto import cluster_pb2, job_pb2, worker_pb2, worker_pb2_grpc

from iris.model.resources import GIB, Resources
from iris.rpc.channels import open_channel
from iris.rpc.convert_job import resources_to_proto

TOTAL = Resources(cpu_millis=4000, memory_bytes=8 * GIB, ports=100)


class ScriptedWorker:
    """One worker process. `connect` as often as wanted; `close` at the end.

    Attributes:
        specs: Every attempt that it was ever told to run.
        wanted: What it was last told to have.
        stops: What it was told to stop.
        acknowledged: Ends that it may forget.
        next_lines: By attempt, the index below which the controller has all lines.
        error: How the last stream ended; None while it lasts, or if it ended in good order.
    """

    def __init__(
        self,
        address: str,
        token: str,
        worker_id: str,
        *,
        incarnation: str = "one",
        slice_id: str = "slice-1",
        total: Resources = TOTAL,
        host: str = "127.0.0.1",
        problems: Iterable[cluster_pb2.HealthProblem] = (),
    ) -> None:
        self.worker_id = worker_id
        self.incarnation = incarnation
        self._hello = worker_pb2.Hello(
            worker_id=worker_id,
            incarnation_id=incarnation,
            slice_id=slice_id,
            scale_group="any",
            total=resources_to_proto(total),
            attributes={"slice-id": slice_id},
            host=host,
            isolation="none",
            version="test",
            health=worker_pb2.WorkerHealth(problems=problems),
        )
        self._channel = open_channel(address, token)
        self.specs: dict[str, worker_pb2.AttemptSpec] = {}
        self.wanted: set[str] = set()
        self.stops: set[str] = set()
        self.acknowledged: set[str] = set()
        self.next_lines: dict[str, int] = {}
        self.welcome: worker_pb2.Welcome | None = None
        self.complete_sets = 0
        self.error: BaseException | None = None
        self._call: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()

    async def connect(self, attempts: Iterable[worker_pb2.Observation] = ()) -> None:
        """A new stream, with a Hello that names these attempts.

        Returns once all desired is known.
        """
        hello = worker_pb2.Hello()
        hello.CopyFrom(self._hello)
        hello.attempts.extend(attempts)
        before = self.complete_sets
        await self.begin(worker_pb2.WorkerMessage(hello=hello))
        await self.until(lambda: self.complete_sets > before or self.error is not None)
        if self.error is not None:
            raise self.error

    async def begin(self, first: worker_pb2.WorkerMessage) -> None:
        """A new stream with this as its first message; returns at once."""
        self.error = None
        self._call = worker_pb2_grpc.WorkerServiceStub(self._channel).Attach()
        self._reader = asyncio.create_task(self._read(self._call))
        await self._send(first)

    async def disconnect(self) -> None:
        """The stream breaks."""
        if self._call is not None:
            self._call.cancel()
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    async def close(self) -> None:
        """The process is gone."""
        await self.disconnect()
        await self._channel.close(None)

    async def until(self, condition: Callable[[], object], timeout: float = 30) -> None:
        """Waits until the condition holds after some message. Fails after `timeout` seconds."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(condition)

    async def given(self, task_id: str, number: int = 0) -> str:
        """The uid of a task's attempt, once this worker was told to run it."""

        def find() -> str:
            return next(
                (u for u, s in self.specs.items() if (s.task_id, s.number) == (task_id, number)), ""
            )

        await self.until(find)
        return find()

    async def observe(self, *attempts: worker_pb2.Observation) -> None:
        """Reports these."""
        await self._send(worker_pb2.WorkerMessage(observed=worker_pb2.Observed(attempts=attempts)))

    async def heartbeat(self, *attempts: worker_pb2.Observation) -> None:
        """Says that it is there."""
        beat = worker_pb2.Heartbeat(running=attempts)
        await self._send(worker_pb2.WorkerMessage(heartbeat=beat))

    async def health(self, *problems: cluster_pb2.HealthProblem) -> None:
        """Says that it is not well, or is again."""
        health = worker_pb2.WorkerHealth(problems=problems)
        await self._send(worker_pb2.WorkerMessage(health=health))

    async def run(self, uid: str) -> None:
        """The attempt runs."""
        await self.observe(observation(uid, job_pb2.TASK_RUNNING))

    async def end(
        self, uid: str, state: job_pb2.TaskState = job_pb2.TASK_SUCCEEDED, **details: Any
    ) -> None:
        """The attempt has ended; returns once the controller has that for good."""
        await self.observe(observation(uid, state, **details))
        await self.until(lambda: uid in self.acknowledged)

    async def log(
        self,
        uid: str,
        first_index: int,
        *texts: str,
        time_ns: int = 0,
        stream: job_pb2.LogStream = job_pb2.STDOUT,
    ) -> None:
        """Sends lines; returns at once."""
        runs = [
            job_pb2.LogRun(
                time_ns=time_ns or first_index + position + 1,
                stream=stream,
                text=text.encode(),
            )
            for position, text in enumerate(texts)
        ]
        batch = worker_pb2.LogBatch(attempt_uid=uid, first_index=first_index, runs=runs)
        await self._send(worker_pb2.WorkerMessage(logs=batch))

    async def goodbye(self, reason: str = "test") -> None:
        """Leaves in good order; returns once the stream has ended."""
        await self._send(worker_pb2.WorkerMessage(goodbye=worker_pb2.Goodbye(reason=reason)))
        assert self._reader is not None
        await asyncio.wait_for(self._reader, 30)

    async def _send(self, message: worker_pb2.WorkerMessage) -> None:
        assert self._call is not None
        await self._call.write(message)

    async def _read(self, call: Any) -> None:
        try:
            async for message in call:
                async with self._changed:
                    self._take(message)
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        finally:
            async with self._changed:
                self._changed.notify_all()

    def _take(self, message: worker_pb2.ControllerMessage) -> None:
        match message.WhichOneof("body"):
            case "welcome":
                self.welcome = message.welcome
            case "acknowledge":
                self.acknowledged |= set(message.acknowledge.attempt_uids)
            case "logs":
                self.next_lines[message.logs.attempt_uid] = message.logs.next_index
            case "desired":
                self._desire(message.desired)

    def _desire(self, desired: worker_pb2.Desired) -> None:
        named = {attempt.attempt_uid for attempt in desired.run}
        for attempt in desired.run:
            if attempt.HasField("spec"):
                assert attempt.attempt_uid not in self.specs, "a spec came twice"
                self.specs[attempt.attempt_uid] = attempt.spec
            assert attempt.attempt_uid in self.specs, "an attempt without a spec"
        if desired.complete:
            self.wanted = named
            self.complete_sets += 1
        self.wanted = (self.wanted | named) - set(desired.stop)
        self.stops |= set(desired.stop)


def observation(uid: str, state: job_pb2.TaskState, **details: Any) -> worker_pb2.Observation:
    """One, with what else is named."""
    return worker_pb2.Observation(attempt_uid=uid, state=state, **details)
