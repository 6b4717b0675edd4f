"""Workers' streams: what they see goes to the loop and the log store, what they should do comes
back.

A worker is registered by its Hello. From then on the stream's reader turns each message into events
and log lines, in order, and its writer sends what the session has collected. When the stream ends,
however it does, the worker is only disconnected: it has `lost_after` to come back.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from functools import partial

from iris_proto import job_pb2, worker_pb2, worker_pb2_grpc

from iris.controller.convert_job import attempt_spec, observation_from_proto
from iris.controller.held_ends import HeldEnd
from iris.controller.log_store import LogRun, LogStore, count_lines
from iris.controller.loop import ControlLoop
from iris.controller.options import ControllerOptions
from iris.controller.session import Session
from iris.controller.state import events
from iris.controller.state.events import Observation
from iris.controller.state.jobs import Job
from iris.controller.state.machine import ControllerState
from iris.controller.watch import WatchHub
from iris.host.clock import Clock
from iris.model.errors import DeadlineExceeded, InvalidArgument
from iris.model.health import problems_text
from iris.model.ids import AttemptUid, SliceId, WorkerId
from iris.rpc.convert_fleet import problems_from_proto
from iris.rpc.convert_job import resources_from_proto
from iris.rpc.convert_values import duration_to_proto, timestamp_to_proto
from iris.rpc.scopes import task_token

_log = logging.getLogger(__name__)

# A stream that does not say who it is within this time is closed.
_HELLO_TIMEOUT = timedelta(seconds=30)


class WorkerService(worker_pb2_grpc.WorkerServiceServicer):
    """See worker.proto. For the event loop of the ControlLoop."""

    def __init__(
        self,
        loop: ControlLoop,
        logs: LogStore,
        hub: WatchHub,
        options: ControllerOptions,
        *,
        incarnation_id: str,
        clock: Clock,
    ) -> None:
        self._loop = loop
        self._logs = logs
        self._hub = hub
        self._options = options
        self._clock = clock
        self._welcome = worker_pb2.Welcome(
            controller_incarnation_id=incarnation_id,
            heartbeat_interval=duration_to_proto(options.heartbeat_interval),
            log_flush_timeout=duration_to_proto(options.log_flush_timeout),
        )

    async def Attach(
        self, request_iterator: AsyncIterator[worker_pb2.WorkerMessage], context: object
    ) -> AsyncIterator[worker_pb2.ControllerMessage]:
        """A worker's stream, from its Hello to its end."""
        requests = aiter(request_iterator)
        hello = await _hello(requests)
        session = Session(
            WorkerId(hello.worker_id),
            hello.incarnation_id,
            self._welcome_now(),
            [AttemptUid(attempt.attempt_uid) for attempt in hello.attempts],
        )
        reader = asyncio.create_task(self._read(session, hello, requests))
        try:
            while messages := await session.next_messages(self._spec_of):
                for message in messages:
                    yield message
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await self._loop.detach(session)

    async def _read(
        self,
        session: Session,
        hello: worker_pb2.Hello,
        requests: AsyncIterator[worker_pb2.WorkerMessage],
    ) -> None:
        """Takes what the worker says until it is done; whatever happens ends the session."""
        try:
            self._heard(session)
            await self._register(session, hello)
            async for message in requests:
                self._heard(session)
                if not await self._take(session, message):
                    break
            session.close()
        except Exception as error:  # noqa: BLE001 - the writer raises it as the call's outcome
            session.close(error)

    def _welcome_now(self) -> worker_pb2.Welcome:
        welcome = worker_pb2.Welcome(now=timestamp_to_proto(self._clock.now()))
        welcome.MergeFrom(self._welcome)
        return welcome

    def _heard(self, session: Session) -> None:
        self._loop.silence.heard(session.worker_id, self._clock.monotonic())

    async def _register(self, session: Session, hello: worker_pb2.Hello) -> None:
        seen = [_observation(attempt) for attempt in hello.attempts]
        event = events.WorkerAttached(
            at=self._loop.now(),
            worker_id=session.worker_id,
            incarnation_id=session.incarnation_id,
            slice_id=SliceId(hello.slice_id),
            scale_group=hello.scale_group,
            total=resources_from_proto(hello.total),
            attributes=tuple(sorted(hello.attributes.items())),
            host=hello.host,
            isolation=hello.isolation,
            version=hello.version,
            running=tuple(one.attempt_uid for one in seen if not one.state.is_terminal),
            ended=tuple(one.attempt_uid for one in seen if one.state.is_terminal),
            jitter=self._loop.jitter(),
            problems=problems_from_proto(hello.health.problems),
        )
        await self._loop.request(lambda _: event, session)
        _log.info("worker %s attached with %d attempts", session.worker_id, len(seen))
        for one in seen:
            if self._is_from(session, one.attempt_uid):
                # From where on its lines are wanted.
                next_index = await self._logs.next_index(one.attempt_uid)
                session.acknowledge_logs(one.attempt_uid, next_index)
        await self._observe(session, hello.attempts)

    async def _take(self, session: Session, message: worker_pb2.WorkerMessage) -> bool:
        """Deals with one message; False if it was the worker's last."""
        match message.WhichOneof("body"):
            case "observed":
                await self._observe(session, message.observed.attempts)
            case "heartbeat":
                await self._observe(session, message.heartbeat.running)
            case "logs":
                await self._store(session, message.logs)
            case "health":
                await self._note_health(session, message.health)
            case "goodbye":
                await self._loop.tell(
                    lambda _: events.WorkerLost(
                        self._loop.now(),
                        session.worker_id,
                        session.incarnation_id,
                        f"worker {session.worker_id} left: {message.goodbye.reason}",
                        self._loop.jitter(),
                    )
                )
                return False
            case other:
                raise InvalidArgument(f"A worker's message has the body {other!r}.")
        return True

    async def _note_health(self, session: Session, health: worker_pb2.WorkerHealth) -> None:
        problems = problems_from_proto(health.problems)
        said = problems_text(problems) or "well again"
        _log.warning("worker %s: %s", session.worker_id, said)
        await self._loop.tell(
            lambda _: events.WorkerHealthChanged(
                self._loop.now(), session.worker_id, session.incarnation_id, problems
            )
        )

    async def _observe(self, session: Session, attempts: Iterable[worker_pb2.Observation]) -> None:
        for attempt in attempts:
            seen = _observation(attempt)
            if seen.state.is_terminal:
                if await self._waits_for_logs(session, attempt, seen):
                    continue
                if not seen.logs_complete:
                    await self._say_missing(session, attempt)
            self._loop.held.drop(seen.attempt_uid)
            await self._loop.tell(partial(self._observed, session, seen))

    def _observed(
        self, session: Session, seen: Observation, state: ControllerState
    ) -> events.Event | None:
        worker, incarnation = session.worker_id, session.incarnation_id
        if seen.usage is not None:
            state.note_usage(seen.attempt_uid, seen.usage)
        if not state.is_news(worker, incarnation, seen):
            return None
        return events.AttemptObserved(
            self._loop.now(), worker, incarnation, seen, self._loop.jitter()
        )

    async def _waits_for_logs(
        self, session: Session, message: worker_pb2.Observation, seen: Observation
    ) -> bool:
        """Whether the end is held back until its lines are here.

        If nobody needs them, it is not.
        """
        uid = seen.attempt_uid
        known = self._loop.state.jobs.attempt(uid)
        if known is None or known.state.is_terminal or not self._is_from(session, uid):
            return False
        if not seen.logs_complete or not message.log_lines:
            return False
        if await self._logs.next_index(uid) >= message.log_lines:
            return False
        # The worker gives up in time by itself; this is for one that does not.
        patience = 2 * self._options.log_flush_timeout.total_seconds()
        until = self._clock.monotonic() + patience
        worker, incarnation = session.worker_id, session.incarnation_id
        self._loop.hold(HeldEnd(worker, incarnation, seen, message.log_lines, until))
        return True

    async def _say_missing(self, session: Session, message: worker_pb2.Observation) -> None:
        """The worker will send no more lines of an attempt that has ended: a line of ours says how
        many are missing, once, as it is then the last.
        """
        uid = AttemptUid(message.attempt_uid)
        known = self._loop.state.jobs.attempt(uid)
        if known is None or known.state.is_terminal or not self._is_from(session, uid):
            return
        next_index = await self._logs.next_index(uid)
        missing = message.log_lines - next_index
        if missing > 0:
            text = f"{missing} more lines were written and never arrived here."
            time_ns = int(self._clock.now().timestamp() * 1e9)
            run = LogRun(time_ns, job_pb2.SYSTEM, text.encode())
            with contextlib.suppress(OSError):  # a full disk; that they are not all there is known
                await self._logs.append(uid, next_index, [run])

    async def _store(self, session: Session, batch: worker_pb2.LogBatch) -> None:
        uid = AttemptUid(batch.attempt_uid)
        runs = [LogRun(run.time_ns, run.stream, run.text) for run in batch.runs]
        attempt = self._loop.state.jobs.attempt(uid)
        if attempt is None or not self._is_from(session, uid):
            # Nobody will ask for them: the worker need not keep them.
            session.acknowledge_logs(uid, batch.first_index + count_lines(runs))
            return
        try:
            next_index = await self._logs.append(uid, batch.first_index, runs)
        except OSError as error:
            # Not acknowledged, so the worker keeps them, and says in the end what is missing.
            _log.error("log lines of %s cannot be stored: %s", attempt.task_id, error)
            return
        session.acknowledge_logs(uid, next_index)
        self._hub.logs_grew(attempt.job_id, attempt.index)
        end = self._loop.held.lines_arrived(uid, next_index)
        if end is not None:
            self._loop.end_counts(end)

    def _is_from(self, session: Session, uid: AttemptUid) -> bool:
        attempt = self._loop.state.jobs.attempt(uid)
        return (
            attempt is not None
            and attempt.worker_id == session.worker_id
            and attempt.incarnation_id == session.incarnation_id
        )

    def _spec_of(self, uid: AttemptUid) -> worker_pb2.AttemptSpec | None:
        state = self._loop.state
        attempt = state.jobs.attempt(uid)
        job = state.jobs.get(attempt.job_id) if attempt is not None else None
        if attempt is None or job is None or not attempt.state.is_active:
            return None
        hosts = _hosts(state, job) if job.is_gang else ()
        token = task_token(self._options.token, uid)
        return attempt_spec(job.record, attempt, hosts, self._options.stop_grace, token)


async def _hello(requests: AsyncIterator[worker_pb2.WorkerMessage]) -> worker_pb2.Hello:
    """The first message. Raises InvalidArgument or DeadlineExceeded."""
    try:
        async with asyncio.timeout(_HELLO_TIMEOUT.total_seconds()):
            first = await anext(requests, None)
    except TimeoutError:
        raise DeadlineExceeded(f"No Hello within {_HELLO_TIMEOUT}.") from None
    if first is None or first.WhichOneof("body") != "hello":
        raise InvalidArgument("The stream does not begin with a Hello.")
    hello = first.hello
    if not hello.worker_id or not hello.incarnation_id:
        raise InvalidArgument(
            f"The Hello of worker {hello.worker_id!r}, incarnation {hello.incarnation_id!r}, "
            "does not say who it is.",
            hint="Both are needed.",
        )
    for name, amount in resources_from_proto(hello.total).amounts():
        if amount < 0:
            raise InvalidArgument(f"Worker {hello.worker_id} says it has {amount} of {name}.")
    return hello


def _observation(message: worker_pb2.Observation) -> Observation:
    return observation_from_proto(message, logs_complete=not message.logs_incomplete)


def _hosts(state: ControllerState, job: Job) -> list[str]:
    """Where the members of a gang run, in order of their indices."""
    hosts = []
    for task in job.tasks:
        attempt = state.jobs.attempt(task.attempt_uid) if task.attempt_uid else None
        worker = state.fleet.get(attempt.worker_id) if attempt else None
        hosts.append(worker.record.host if worker else "")
    return hosts
