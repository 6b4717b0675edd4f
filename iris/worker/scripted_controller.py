"""A controller for the worker's tests: a real gRPC server that says what the test tells it to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import grpc.aio
from iris_proto import job_pb2, worker_pb2, worker_pb2_grpc

from iris.model.errors import IrisError, Unavailable
from iris.rpc.convert_values import duration_to_proto, timestamp_to_proto
from iris.rpc.server import bind, create_server
from iris.testing.eventually import assert_eventually

TOKEN = "the-token"
END_STATES = (job_pb2.TASK_SUCCEEDED, job_pb2.TASK_FAILED, job_pb2.TASK_KILLED)


class Stream:
    """One worker's stream, from the controller's side. `received` is all it said, in order."""

    def __init__(self, hello: worker_pb2.Hello) -> None:
        self.hello = hello
        self.received: list[worker_pb2.WorkerMessage] = []
        self.outgoing: asyncio.Queue[worker_pb2.ControllerMessage | IrisError | None] = (
            asyncio.Queue()
        )
        self.over = asyncio.Event()

    def send(self, **body: object) -> None:
        """`send(desired=...)`."""
        self.outgoing.put_nowait(worker_pb2.ControllerMessage(**body))  # type: ignore[arg-type]

    def run(self, **specs: worker_pb2.AttemptSpec | None) -> None:
        """Run these too; `uid=None` is one the worker has."""
        self.send(desired=worker_pb2.Desired(run=desired(specs)))

    def complete(self, **specs: worker_pb2.AttemptSpec | None) -> None:
        """These and no others."""
        self.send(desired=worker_pb2.Desired(complete=True, run=desired(specs)))

    def stop(self, *uids: str) -> None:
        """Stop these."""
        self.send(desired=worker_pb2.Desired(stop=uids))

    def acknowledge(self, *uids: str) -> None:
        """Their ends are here for good."""
        self.send(acknowledge=worker_pb2.Acknowledge(attempt_uids=uids))

    def acknowledge_logs(self, uid: str, next_index: int) -> None:
        """So many lines are here for good."""
        self.send(logs=worker_pb2.LogAcknowledge(attempt_uid=uid, next_index=next_index))

    def cut(self, error: IrisError | None = None) -> None:
        """Ends the stream, with an error or in good order."""
        self.outgoing.put_nowait(error)

    def observations(self, uid: str) -> list[worker_pb2.Observation]:
        """All there were of that attempt, without heartbeats."""
        return [
            seen
            for message in self.received
            for seen in message.observed.attempts
            if seen.attempt_uid == uid
        ]

    def health(self) -> list[list[str]]:
        """What was told of the worker's health, in order, its Hello first."""
        told = [self.hello.health, *(m.health for m in self.received if m.HasField("health"))]
        return [[f"{one.check}: {one.text}" for one in health.problems] for health in told]

    def end(self, uid: str) -> worker_pb2.Observation | None:
        """The attempt's end, if it was told."""
        ends = [seen for seen in self.observations(uid) if seen.state in END_STATES]
        return ends[0] if ends else None

    def lines(self, uid: str) -> dict[int, bytes]:
        """The attempt's lines by index. Fails if two lines had one."""
        found: dict[int, bytes] = {}
        for message in self.received:
            if message.logs.attempt_uid == uid:
                for at, text in enumerate(_texts(message.logs), start=message.logs.first_index):
                    assert found.setdefault(at, text) == text
        return found

    async def ended(self, uid: str) -> worker_pb2.Observation:
        """Waits for the attempt's end."""
        await assert_eventually(lambda: self.end(uid) is not None, f"the end of {uid}")
        end = self.end(uid)
        assert end is not None
        return end

    async def running(self, uid: str) -> None:
        """Waits until its program runs."""
        await assert_eventually(
            lambda: any(seen.state == job_pb2.TASK_RUNNING for seen in self.observations(uid)),
            f"{uid} running",
        )


def desired(
    specs: dict[str, worker_pb2.AttemptSpec | None],
) -> list[worker_pb2.DesiredAttempt]:
    """As it travels."""
    return [worker_pb2.DesiredAttempt(attempt_uid=uid, spec=spec) for uid, spec in specs.items()]


class ScriptedController(worker_pb2_grpc.WorkerServiceServicer):
    """Welcomes every worker, keeps its streams, and otherwise only does what it is told.

    Attributes:
        silent: Takes a Hello and does not answer.
        refuse_with: Answers every Hello with this.
        acknowledging: Acknowledges lines and ends as they come.
        now: What its clock says when it welcomes a worker; None: it does not say.
    """

    def __init__(
        self, heartbeat: timedelta = timedelta(seconds=60), flush: timedelta = timedelta(seconds=30)
    ) -> None:
        self.heartbeat = heartbeat
        self.flush = flush
        self.streams: list[Stream] = []
        self.silent = False
        self.refuse_with: IrisError | None = None
        self.acknowledging = True
        self.now: datetime | None = None
        self.on_message: Callable[[Stream, worker_pb2.WorkerMessage], None] = lambda *_: None
        self._server: grpc.aio.Server | None = None
        self.port = 0
        self.starts = 0

    @property
    def address(self) -> str:
        """Where it serves."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Serves; again on the same port after a `stop`."""
        self._server = create_server(TOKEN)
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(self, self._server)
        self.port = bind(self._server, "127.0.0.1", self.port)
        await self._server.start()
        self.starts += 1

    async def stop(self) -> None:
        """Dies: every stream breaks at once."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(None)

    async def stream(self, number: int = 0) -> Stream:
        """The worker's stream of that number, once it is there."""
        await assert_eventually(lambda: len(self.streams) > number, f"stream {number}")
        return self.streams[number]

    async def Attach(
        self,
        request_iterator: AsyncIterator[worker_pb2.WorkerMessage],
        context: object,
    ) -> AsyncIterator[worker_pb2.ControllerMessage]:
        """See worker.proto."""
        first = await anext(request_iterator)
        stream = Stream(first.hello)
        self.streams.append(stream)
        try:
            if self.silent:
                await asyncio.Event().wait()
            if self.refuse_with is not None:
                raise self.refuse_with
            yield self._welcome()
            reading = asyncio.create_task(self._read(stream, request_iterator))
            try:
                while (said := await stream.outgoing.get()) is not None:
                    if isinstance(said, IrisError):
                        raise said
                    yield said
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        finally:
            stream.over.set()

    def _welcome(self) -> worker_pb2.ControllerMessage:
        return worker_pb2.ControllerMessage(
            welcome=worker_pb2.Welcome(
                controller_incarnation_id=f"controller-{self.starts}",
                heartbeat_interval=duration_to_proto(self.heartbeat),
                log_flush_timeout=duration_to_proto(self.flush),
                now=timestamp_to_proto(self.now),
            )
        )

    async def _read(
        self, stream: Stream, requests: AsyncIterator[worker_pb2.WorkerMessage]
    ) -> None:
        async for message in requests:
            stream.received.append(message)
            self.on_message(stream, message)
            if self.acknowledging:
                self._acknowledge(stream, message)
            if message.HasField("goodbye"):
                stream.cut()
        stream.cut(Unavailable("The worker's side is over."))

    def _acknowledge(self, stream: Stream, message: worker_pb2.WorkerMessage) -> None:
        if message.HasField("logs"):
            batch = message.logs
            stream.acknowledge_logs(batch.attempt_uid, batch.first_index + len(_texts(batch)))
        ends = [seen.attempt_uid for seen in message.observed.attempts if seen.state in END_STATES]
        if ends:
            stream.acknowledge(*ends)


def _texts(batch: worker_pb2.LogBatch) -> list[bytes]:
    return [text for run in batch.runs for text in run.text.split(b"\n")]
