"""One stream to the controller, from its Hello to its end."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import grpc
import grpc.aio
from iris_proto import worker_pb2, worker_pb2_grpc

from iris.host.clock import Clock
from iris.model.errors import DeadlineExceeded, Internal, IrisError, Unavailable
from iris.model.health import HealthProblem
from iris.rpc.errors import from_wire
from iris.worker.stream import messages
from iris.worker.stream.messages import WelcomeTerms
from iris.worker.stream.outbox import Outbox

# Lines of attempts that go on are sent this often at most: many small messages cost both sides.
LINES_INTERVAL_SECONDS = 0.02
# Ends are told at once, but no more often than that.
ENDS_INTERVAL_SECONDS = 0.002
# That an attempt goes on is told this much later: many end before.
PROGRESS_SECONDS = 0.005
# The controller ends the stream when it has read the goodbye.
_GOODBYE_SECONDS = 1.0


class Downstream(Protocol):
    """Who takes what the controller says. Nothing here blocks."""

    def on_welcome(self, terms: WelcomeTerms) -> None:
        """The controller has taken the worker in."""

    def on_desired(self, message: worker_pb2.Desired) -> None:
        """What should run here. Raises IrisError for what makes no sense: the stream then ends."""

    def on_acknowledge(self, message: worker_pb2.Acknowledge) -> None:
        """Ends that the controller has for good."""

    def on_log_acknowledge(self, message: worker_pb2.LogAcknowledge) -> None:
        """Lines that the controller has for good."""


class CallFailed(Exception):
    """The call ended with an error: the controller's own, or that of the way to it."""

    def __init__(self, error: IrisError) -> None:
        super().__init__(str(error))
        self.error = error


class _Pace:
    """When what is to be sent next, in monotonic seconds."""

    def __init__(self, now: float, heartbeat_interval: float) -> None:
        self._heartbeat_interval = heartbeat_interval
        self._heartbeat_at = now + heartbeat_interval
        self._lines_at = now
        self._ends_at = now
        self._progress_at: float | None = None

    def beats(self, now: float) -> bool:
        """Whether it is time for a heartbeat, which is sent then."""
        if now < self._heartbeat_at:
            return False
        self._heartbeat_at = now + self._heartbeat_interval
        return True

    def is_due(self, outbox: Outbox, now: float) -> bool:
        """Whether a turn of the outbox is."""
        if self._progress_at is None and outbox.has_progress:
            self._progress_at = now + PROGRESS_SECONDS
        return (
            (outbox.has_ends and now >= self._ends_at)
            or (outbox.has_lines_to_send and now >= self._lines_at)
            or (self._progress_at is not None and now >= self._progress_at)
        )

    def sending(self, outbox: Outbox, now: float) -> None:
        """A turn begins."""
        self._progress_at = None
        self._ends_at = now + ENDS_INTERVAL_SECONDS
        if outbox.has_lines_to_send:
            self._lines_at = now + LINES_INTERVAL_SECONDS

    def next(self, outbox: Outbox, give_up_at: float | None) -> float:
        """When to look again, if nothing happens before."""
        times = [self._heartbeat_at]
        if give_up_at is not None:
            times.append(give_up_at)
        if outbox.has_lines_to_send:
            times.append(self._lines_at)
        if outbox.has_ends:
            times.append(self._ends_at)
        if self._progress_at is not None:
            times.append(self._progress_at)
        return min(times)


class Session:
    """Runs once. One event loop.

    Args:
        hello: Made at the last moment, as it says what there is.
        welcome_seconds: A controller that is there answers a Hello at once. One that does not may
            be half gone: the connection stands, but nobody is behind it.
        doing: Names the call and its target in errors.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        outbox: Outbox,
        downstream: Downstream,
        hello: Callable[[], worker_pb2.Hello],
        *,
        clock: Clock,
        welcome_seconds: float,
        doing: str,
    ) -> None:
        self._stub = worker_pb2_grpc.WorkerServiceStub(channel)
        self._outbox = outbox
        self._downstream = downstream
        self._hello = hello
        self._clock = clock
        self._welcome_seconds = welcome_seconds
        self._doing = doing
        self._wake = asyncio.Event()
        self._goodbye: str | None = None
        self._health: tuple[HealthProblem, ...] | None = None
        self.welcomed = False
        self.over = asyncio.Event()

    def wake(self) -> None:
        """The outbox has something."""
        self._wake.set()

    def report_health(self, problems: tuple[HealthProblem, ...]) -> None:
        """The worker's health is another than its Hello may have said."""
        self._health = problems
        self._wake.set()

    def leave(self, reason: str) -> None:
        """Sends what there is, then goodbye; `run` then returns."""
        self._goodbye = reason
        self._wake.set()

    async def run(self) -> None:
        """Until the worker leaves. Raises CallFailed when the call failed, another IrisError when
        the controller said what makes no sense.
        """
        call = self._stub.Attach()
        try:
            terms = await self._greet(call)
            self.welcomed = True
            self._downstream.on_welcome(terms)
            await self._converse(call, terms)
        except grpc.RpcError as error:
            raise CallFailed(from_wire(error, self._doing)) from error
        finally:
            call.cancel()
            self.over.set()

    async def _greet(self, call: Any) -> WelcomeTerms:
        try:
            async with asyncio.timeout(self._welcome_seconds):
                # A call that is over before it is written to says why when it is read from.
                with contextlib.suppress(asyncio.InvalidStateError):
                    await call.write(worker_pb2.WorkerMessage(hello=self._hello()))
                first = await call.read()
        except TimeoutError as error:
            problem = f"{self._doing}: no answer within {self._welcome_seconds:g} s."
            raise CallFailed(DeadlineExceeded(problem)) from error
        except asyncio.InvalidStateError as error:
            raise CallFailed(Unavailable(f"{self._doing}: the stream is over.")) from error
        if first is grpc.aio.EOF:
            raise CallFailed(Unavailable(f"{self._doing}: the controller ended the stream."))
        if not first.HasField("welcome"):
            raise Internal(f"{self._doing}: the first message is {first.WhichOneof('body')!r}.")
        return messages.welcome_from_proto(first.welcome)

    async def _converse(self, call: Any, terms: WelcomeTerms) -> None:
        """Both ways at once; the first to end ends the other."""
        sender = asyncio.create_task(self._send(call, terms), name="worker stream, up")
        receiver = asyncio.create_task(self._receive(call), name="worker stream, down")
        try:
            await asyncio.wait((sender, receiver), return_when=asyncio.FIRST_COMPLETED)
            if sender.done() and not sender.exception():
                with contextlib.suppress(TimeoutError):  # goodbye was said; it may be gone already
                    async with asyncio.timeout(_GOODBYE_SECONDS):
                        await asyncio.wait([receiver])
                return
            # Why the stream ended is what the receiver learns; a write only finds that it has.
            await asyncio.wait([receiver], timeout=_GOODBYE_SECONDS)
            if receiver.done():
                await receiver
            try:
                await sender
            except asyncio.InvalidStateError as error:  # written to after its end
                raise CallFailed(Unavailable(f"{self._doing}: the stream is over.")) from error
        finally:
            for task in (sender, receiver):
                task.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)

    async def _receive(self, call: Any) -> None:
        while (message := await call.read()) is not grpc.aio.EOF:
            body = message.WhichOneof("body")
            match body:
                case "desired":
                    self._downstream.on_desired(message.desired)
                case "acknowledge":
                    self._downstream.on_acknowledge(message.acknowledge)
                case "logs":
                    self._downstream.on_log_acknowledge(message.logs)
                case _:
                    raise Internal(f"{self._doing}: the controller sent {body!r} out of turn.")
        raise CallFailed(Unavailable(f"{self._doing}: the controller ended the stream."))

    async def _send(self, call: Any, terms: WelcomeTerms) -> None:
        """Whatever the outbox has, in turns; between them it waits for more, or for a deadline."""
        outbox, clock = self._outbox, self._clock
        patience = terms.log_flush_timeout.total_seconds()
        pace = _Pace(clock.monotonic(), terms.heartbeat_interval.total_seconds())
        while True:
            self._wake.clear()
            now = clock.monotonic()
            if pace.beats(now):
                await call.write(outbox.heartbeat())
            if self._health is not None:
                problems, self._health = self._health, None
                await call.write(messages.health(problems))
            outbox.give_up_lines(now, patience)
            if pace.is_due(outbox, now) or self._goodbye is not None:
                pace.sending(outbox, now)
                for message in outbox.turn():
                    await call.write(message)
            if self._goodbye is not None:
                await call.write(messages.goodbye(self._goodbye))
                await call.done_writing()
                return
            await self._wait_until(pace.next(outbox, outbox.next_give_up(patience)))

    async def _wait_until(self, deadline: float) -> None:
        """Returns then, or when woken."""
        seconds = deadline - self._clock.monotonic()
        if seconds <= 0 or self._wake.is_set():
            await asyncio.sleep(0)
            return
        waiting = (
            asyncio.ensure_future(self._wake.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        )
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
