"""What has to go up the stream, in which order. No I/O, no time of its own.

Nothing is queued: what is sent is what is there when its turn comes, so a slow connection costs
detail, not memory. Of one attempt, all log lines are sent before its end. Attempts take turns.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Protocol

from iris_proto import worker_pb2

from iris.model.ids import AttemptUid
from iris.worker.attempts.model import Observation
from iris.worker.logs.log_buffer import LogBuffer
from iris.worker.stream import messages

# Bounds on one message, well within what a channel takes.
MAX_LINES_PER_BATCH = 20_000
MAX_BYTES_PER_BATCH = 1 << 20
MAX_OBSERVATIONS_PER_MESSAGE = 1_000
# Log batches in one turn; then what else there is gets its chance.
MAX_BATCHES_PER_TURN = 64


class Reported(Protocol):
    """What the outbox sees of an attempt."""

    @property
    def logs(self) -> LogBuffer:
        """Its lines."""

    @property
    def has_ended(self) -> bool:
        """Whether its processes are gone."""

    @property
    def is_finished(self) -> bool:
        """Whether it is over, with all its lines in `logs`."""

    @property
    def has_more_lines(self) -> bool:
        """Whether lines of it are still to be read or sent."""

    @property
    def logs_incomplete(self) -> bool:
        """Whether its lines were given up."""

    def observation(self, *, with_usage: bool = False, with_end: bool = True) -> Observation:
        """As it is now; without its end, as it was right before."""

    def abandon_logs(self) -> None:
        """Gives its lines up."""


class Outbox:
    """Keeps what has changed since it was sent. `attempts` is the worker's own, live."""

    def __init__(self, attempts: Mapping[AttemptUid, Reported]) -> None:
        self._attempts = attempts
        # Dicts for their order: whoever has waited longest is first.
        self._changed: dict[AttemptUid, None] = {}
        self._talking: dict[AttemptUid, None] = {}
        self._end_sent: set[AttemptUid] = set()
        self._withheld: set[AttemptUid] = set()
        # When the end of an attempt was first seen on this connection, in monotonic seconds.
        self._ended_at: dict[AttemptUid, float] = {}

    @property
    def has_lines_to_send(self) -> bool:
        """Whether the next turn has lines."""
        return bool(self._talking)

    @property
    def has_ends(self) -> bool:
        """Whether an attempt is over, and the controller is not told yet."""
        return any(self._attempts[uid].is_finished for uid in self._changed)

    @property
    def has_progress(self) -> bool:
        """Whether there is news of an attempt that goes on."""
        return any(not self._attempts[uid].has_ended for uid in self._changed)

    @property
    def is_settled(self) -> bool:
        """Whether the controller has all lines and ends that it is to get."""
        return all(
            attempt.logs.is_acknowledged and (uid in self._withheld or not attempt.is_finished)
            for uid, attempt in self._attempts.items()
        )

    def changed(self, uid: AttemptUid) -> None:
        """What is observed of that attempt is something else now."""
        if uid not in self._withheld:
            self._changed[uid] = None

    def has_lines(self, uid: AttemptUid) -> None:
        """That attempt has lines that were not sent."""
        self._talking[uid] = None

    def withhold(self, uid: AttemptUid) -> None:
        """Its end is not to be told: the worker ended it for reasons of its own."""
        self._withheld.add(uid)
        self._changed.pop(uid, None)

    def forget(self, uid: AttemptUid) -> None:
        """The attempt is no more."""
        self._changed.pop(uid, None)
        self._talking.pop(uid, None)
        self._ended_at.pop(uid, None)
        self._end_sent.discard(uid)
        self._withheld.discard(uid)

    def connected(self) -> list[Observation]:
        """A new connection: what its Hello says of every attempt. What was not acknowledged is sent
        again; the end of an attempt is part of it only if its lines need not be sent before.
        """
        self._changed.clear()
        self._talking.clear()
        self._ended_at.clear()
        self._end_sent.clear()
        seen = []
        for uid, attempt in self._attempts.items():
            attempt.logs.rewind()
            ended = attempt.is_finished and uid not in self._withheld
            with_end = ended and (attempt.logs.is_acknowledged or attempt.logs_incomplete)
            seen.append(attempt.observation(with_end=with_end))
            if with_end:
                self._end_sent.add(uid)
                continue
            if attempt.logs.has_unsent:
                self._talking[uid] = None
            if attempt.has_ended:
                self.changed(uid)
        return seen

    def turn(self) -> Iterator[worker_pb2.WorkerMessage]:
        """Messages to be sent now, made one by one as they are asked for."""
        yield from self._observations(ends=False)
        for uid in list(self._talking)[:MAX_BATCHES_PER_TURN]:
            attempt = self._attempts.get(uid)
            self._talking.pop(uid, None)
            if attempt is None or uid in self._end_sent or not attempt.logs.has_unsent:
                continue
            batch = attempt.logs.take(MAX_LINES_PER_BATCH, MAX_BYTES_PER_BATCH)
            if attempt.logs.has_unsent:
                self._talking[uid] = None
            yield messages.logs(uid, batch)
        yield from self._observations(ends=True)

    def heartbeat(self) -> worker_pb2.WorkerMessage:
        """Still here. Ends that were sent and not acknowledged are sent again in the next turn."""
        self._changed.update(dict.fromkeys(self._end_sent))
        return messages.heartbeat(
            attempt.observation(with_usage=True)
            for attempt in self._attempts.values()
            if not attempt.has_ended
        )

    def give_up_lines(self, now: float, patience: float) -> None:
        """Abandons the lines of attempts that ended `patience` seconds ago, on this connection, and
        whose end still waits for them.
        """
        for uid in tuple(self._changed):
            attempt = self._attempts[uid]
            if attempt.has_ended and attempt.has_more_lines and not attempt.logs_incomplete:
                if now - self._ended_at.setdefault(uid, now) >= patience:
                    attempt.abandon_logs()
            else:
                self._ended_at.pop(uid, None)

    def next_give_up(self, patience: float) -> float | None:
        """When `give_up_lines` will have something to do, in monotonic seconds."""
        waiting = [
            since
            for uid, since in self._ended_at.items()
            if not self._attempts[uid].logs_incomplete
        ]
        return min(waiting) + patience if waiting else None

    def _observations(self, *, ends: bool) -> Iterator[worker_pb2.WorkerMessage]:
        while uids := self._due(ends):
            for uid in uids:
                self._changed.pop(uid)
                if ends:
                    self._ended_at.pop(uid, None)
                    self._end_sent.add(uid)
            yield messages.observed(self._attempts[uid].observation() for uid in uids)

    def _due(self, ends: bool) -> list[AttemptUid]:
        due = (uid for uid in self._changed if self._is_due(uid, ends))
        return list(itertools.islice(due, MAX_OBSERVATIONS_PER_MESSAGE))

    def _is_due(self, uid: AttemptUid, ends: bool) -> bool:
        attempt = self._attempts[uid]
        if not attempt.is_finished:
            return not ends and not attempt.has_ended
        may_end = not attempt.logs.has_unsent or attempt.logs_incomplete
        return ends and may_end
