"""What still has to be said to one worker.

Kept as sets of what is to be, so it is bounded by what the
worker can have, however slowly it listens: what was said later replaces what was not sent yet.
"""

import asyncio
from collections.abc import Callable, Iterable

from iris_proto import worker_pb2

from iris.model.ids import AttemptUid, WorkerId

# Specs beyond this many bytes go into a further message; the bound on one message is 16 MiB and one
# spec has at most 1 MiB.
_SPEC_BYTES_PER_MESSAGE = 4 << 20

# Gives an attempt's spec, or None once the attempt is no longer wanted.
SpecSource = Callable[[AttemptUid], worker_pb2.AttemptSpec | None]


class Session:
    """One stream to one worker. For one event loop.

    Everything but `next_messages` returns at once. Orders that are given before `begin` are not
    sent: the complete set that `begin` is given has them.
    """

    def __init__(
        self,
        worker_id: WorkerId,
        incarnation_id: str,
        welcome: worker_pb2.Welcome,
        named: Iterable[AttemptUid],
    ) -> None:
        self.worker_id = worker_id
        self.incarnation_id = incarnation_id
        self._welcome: worker_pb2.Welcome | None = welcome
        # Attempts whose specs the worker has.
        self._has_spec = set(named)
        self._begun = False
        self._complete: list[AttemptUid] | None = None
        self._run: dict[AttemptUid, None] = {}
        self._stop: dict[AttemptUid, None] = {}
        self._acknowledge: dict[AttemptUid, None] = {}
        self._logs: dict[AttemptUid, int] = {}
        self._wake = asyncio.Event()
        self._closed = False
        self._error: Exception | None = None

    def begin(self, wanted: Iterable[AttemptUid], stopping: Iterable[AttemptUid]) -> None:
        """The worker is registered: it is welcomed and told all that it should have.

        `stopping` are active as well, but to be stopped. If the worker never heard of one, it is
        told to start and stop it, because only a worker can tell an attempt's end.
        """
        unheard = [uid for uid in stopping if uid not in self._has_spec]
        self._begun = True
        self._complete = [*wanted, *unheard]
        self._stop = dict.fromkeys(unheard)
        self._wake.set()

    def run(self, uid: AttemptUid) -> None:
        """The worker is to start this attempt."""
        if self._begun:
            self._run[uid] = None
            self._wake.set()

    def stop(self, uid: AttemptUid) -> None:
        """The worker is to stop this attempt."""
        if self._begun:
            self._stop[uid] = None
            self._wake.set()

    def acknowledge(self, uid: AttemptUid) -> None:
        """The attempt's end is stored. Also said if it was said before `begin`."""
        self._acknowledge[uid] = None
        self._wake.set()

    def acknowledge_logs(self, uid: AttemptUid, next_index: int) -> None:
        """The attempt's lines below `next_index` are stored."""
        self._logs[uid] = next_index
        self._wake.set()

    def close(self, error: Exception | None = None) -> None:
        """The stream ends, in good order or with this error; the first call counts."""
        if not self._closed:
            self._closed = True
            self._error = error
            self._wake.set()

    async def next_messages(self, spec_of: SpecSource) -> list[worker_pb2.ControllerMessage]:
        """Waits until there is something to say, and gives it all; nothing once it was closed.

        Raises what it was closed with.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._closed:
                if self._error is not None:
                    raise self._error
                return []
            if self._begun and (messages := self._take(spec_of)):
                return messages

    def _take(self, spec_of: SpecSource) -> list[worker_pb2.ControllerMessage]:
        messages: list[worker_pb2.ControllerMessage] = []
        if self._welcome is not None:
            messages.append(worker_pb2.ControllerMessage(welcome=self._welcome))
            self._welcome = None
        # What has begun is named before it is stopped: so a stop never comes before its start, and
        # the worker tells the end of all that it was ever told about.
        if self._complete is not None:
            messages += self._desired(self._complete, spec_of, complete=True)
            self._complete = None
        messages += self._desired(self._run, spec_of, complete=False)
        if self._stop:
            desired = worker_pb2.Desired(stop=list(self._stop))
            messages.append(worker_pb2.ControllerMessage(desired=desired))
        if self._acknowledge:
            done = worker_pb2.Acknowledge(attempt_uids=list(self._acknowledge))
            messages.append(worker_pb2.ControllerMessage(acknowledge=done))
            self._has_spec.difference_update(self._acknowledge)
        for uid, next_index in self._logs.items():
            logs = worker_pb2.LogAcknowledge(attempt_uid=uid, next_index=next_index)
            messages.append(worker_pb2.ControllerMessage(logs=logs))
        for said in (self._run, self._stop, self._acknowledge, self._logs):
            said.clear()
        return messages

    def _desired(
        self, uids: Iterable[AttemptUid], spec_of: SpecSource, *, complete: bool
    ) -> list[worker_pb2.ControllerMessage]:
        """Messages with the specs that the worker lacks. The complete set has to be in one message:
        where its specs are too many for one, the first of them go ahead as changes.
        """
        desired, size, messages = worker_pb2.Desired(), 0, []
        ahead: list[str] = []
        for uid in uids:
            if uid in self._has_spec:
                if complete:
                    desired.run.add(attempt_uid=uid)
                continue
            spec = spec_of(uid)
            if spec is None:
                continue
            if size > _SPEC_BYTES_PER_MESSAGE:
                messages.append(worker_pb2.ControllerMessage(desired=desired))
                ahead += [attempt.attempt_uid for attempt in desired.run]
                desired, size = worker_pb2.Desired(), 0
            desired.run.add(attempt_uid=uid, spec=spec)
            size += spec.ByteSize()
            self._has_spec.add(uid)
        if complete:
            desired.complete = True
            for name in ahead:
                desired.run.add(attempt_uid=name)
        if complete or desired.run:
            messages.append(worker_pb2.ControllerMessage(desired=desired))
        return messages
