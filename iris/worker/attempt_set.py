"""All attempts that a worker has, kept equal to what the controller wants."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from iris_proto import worker_pb2

from iris.model.ids import AttemptUid
from iris.worker.attempts.attempt import Attempt, AttemptTools
from iris.worker.attempts.model import AttemptSpec, Observation
from iris.worker.reconcile import Reconciler
from iris.worker.stream.messages import wanted_from_proto
from iris.worker.stream.outbox import Outbox

_log = logging.getLogger(__name__)

# Ends that no controller acknowledges are kept up to this many; the oldest go first.
_MAX_FINISHED = 10_000


class AttemptSet:
    """Carries out what a Reconciler says. One event loop.

    Args:
        wake: Called when there is something to tell the controller.
        on_bug: Called with what must never happen: an exception out of an attempt.
    """

    def __init__(
        self,
        tools: AttemptTools,
        *,
        wake: Callable[[], None],
        on_bug: Callable[[BaseException], None],
    ) -> None:
        self._tools = tools
        self._wake = wake
        self._on_bug = on_bug
        self._attempts: dict[AttemptUid, Attempt] = {}
        self._finished: dict[AttemptUid, None] = {}
        self._reconciler: Reconciler[AttemptSpec] = Reconciler()
        self._accepting = True
        self._progress = asyncio.Event()
        self.outbox = Outbox(self._attempts)

    def apply(self, message: worker_pb2.Desired) -> None:
        """See Downstream.on_desired."""
        if not self._accepting:
            return
        actions = self._reconciler.desired(
            complete=message.complete,
            run=[wanted_from_proto(one) for one in message.run],
            stop=[AttemptUid(uid) for uid in message.stop],
        )
        for stop in actions.stop:
            self._attempts[stop.uid].stop(stop.reason)
        for uid, spec in actions.start:
            self._start(uid, spec)

    def acknowledge(self, uids: Iterable[str]) -> None:
        """The controller has these ends for good."""
        for uid in self._reconciler.acknowledged(map(AttemptUid, uids)):
            self._forget(uid)
        self._progress.set()

    def acknowledge_lines(self, uid: str, next_index: int) -> None:
        """The controller has the attempt's lines below that index for good."""
        attempt = self._attempts.get(AttemptUid(uid))
        if attempt is not None:
            attempt.logs.acknowledge(next_index)
        self._progress.set()

    def hello(self) -> list[Observation]:
        """What a new connection begins with."""
        return self.outbox.connected()

    async def stop_all(self, reason: str, *, grace: timedelta, flush_seconds: float) -> None:
        """Takes nothing new and ends what runs; returns once no process or folder of it is left.

        Those ends are not reported: for the controller the worker went away from under them. Their
        last lines have `flush_seconds` to be delivered.
        """
        self._accepting = False
        running = [attempt for attempt in self._attempts.values() if not attempt.is_finished]
        for attempt in running:
            if not attempt.has_ended:
                self.outbox.withhold(attempt.uid)
            attempt.stop(reason, grace)
        for attempt in running:
            await attempt.cleaned_up()
        if running:
            ends = [asyncio.ensure_future(attempt.wait()) for attempt in running]
            await asyncio.wait(ends, timeout=flush_seconds)
            for attempt in running:
                attempt.abandon_logs()
            await asyncio.wait(ends)

    async def settled(self) -> None:
        """Returns once the controller has every line and end that it is to get."""
        while not self.outbox.is_settled:
            self._progress.clear()
            await self._progress.wait()

    def _start(self, uid: AttemptUid, spec: AttemptSpec) -> None:
        def changed() -> None:
            if self._attempts[uid].is_finished:
                self._on_finished(uid)
            self.outbox.changed(uid)
            self._wake()

        def has_lines() -> None:
            self.outbox.has_lines(uid)
            self._wake()

        attempt = Attempt(uid, spec, self._tools, on_change=changed, on_lines=has_lines)
        attempt.task.add_done_callback(self._on_task_done)
        self._attempts[uid] = attempt
        self.outbox.changed(uid)
        self._wake()

    def _on_finished(self, uid: AttemptUid) -> None:
        self._reconciler.finished(uid)
        self._finished[uid] = None
        while len(self._finished) > _MAX_FINISHED:
            oldest = next(iter(self._finished))
            _log.error("attempt %s: its end was never acknowledged and is given up", oldest)
            self._reconciler.forget(oldest)
            self._forget(oldest)

    def _forget(self, uid: AttemptUid) -> None:
        self._attempts.pop(uid).logs.discard()
        self._finished.pop(uid, None)
        self.outbox.forget(uid)

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_bug(error)
