"""One stream of a worker, at the controller's end: what still has to be said to the worker.

The counterpart of iris.controller.session.Session for virtual time: the same sets and the same
order, messages that are values. Which session is told what is decided by the real `Sessions`.
"""

from collections.abc import Callable, Iterable

from iris.model.ids import AttemptUid, WorkerId
from iris.simulation.messages import (
    Acknowledge,
    Desired,
    Down,
    LinesTaken,
    RunSpec,
    Up,
    Welcome,
)
from iris.simulation.network import Stream

SpecSource = Callable[[AttemptUid], RunSpec | None]


class SimulatedSession:
    """See iris.controller.session.Session.

    Attributes:
        registered: The worker's Hello is committed; until then what else it says waits in
            `backlog`, as a stream's reader leaves it unread.
    """

    def __init__(
        self,
        worker_id: WorkerId,
        incarnation_id: str,
        stream: Stream,
        named: Iterable[AttemptUid],
        wake: Callable[["SimulatedSession"], None],
    ) -> None:
        self.worker_id = worker_id
        self.incarnation_id = incarnation_id
        self.stream = stream
        self.registered = False
        self.backlog: list[Up] = []
        self.closed = False
        self._wake = wake
        self._welcomed = False
        self._has_spec = set(named)
        self._begun = False
        self._complete: list[AttemptUid] | None = None
        self._run: dict[AttemptUid, None] = {}
        self._stop: dict[AttemptUid, None] = {}
        self._acknowledge: dict[AttemptUid, None] = {}
        self._lines: dict[AttemptUid, int] = {}

    def begin(self, wanted: Iterable[AttemptUid], stopping: Iterable[AttemptUid]) -> None:
        """See Session."""
        unheard = [uid for uid in stopping if uid not in self._has_spec]
        self._begun = True
        self._complete = [*wanted, *unheard]
        self._stop = dict.fromkeys(unheard)
        self._wake(self)

    def run(self, uid: AttemptUid) -> None:
        """See Session."""
        if self._begun:
            self._run[uid] = None
            self._wake(self)

    def stop(self, uid: AttemptUid) -> None:
        """See Session."""
        if self._begun:
            self._stop[uid] = None
            self._wake(self)

    def acknowledge(self, uid: AttemptUid) -> None:
        """See Session."""
        self._acknowledge[uid] = None
        self._wake(self)

    def acknowledge_lines(self, uid: AttemptUid, next_index: int) -> None:
        """See Session.acknowledge_logs."""
        self._lines[uid] = next_index
        self._wake(self)

    def close(self, error: Exception | None = None) -> None:
        """See Session."""
        if not self.closed:
            self.closed = True
            self.stream.close_controller()

    def flush(self, spec_of: SpecSource) -> None:
        """Says all there is to say."""
        if not self._begun or self.closed:
            return
        for message in self._take(spec_of):
            self.stream.down(message)

    def _take(self, spec_of: SpecSource) -> Iterable[Down]:
        if not self._welcomed:
            self._welcomed = True
            yield Welcome()
        # What has begun is named before it is stopped: so a stop never comes before its start.
        if self._complete is not None:
            complete, self._complete = self._complete, None
            yield Desired(self._wanted(complete, spec_of, complete=True), complete=True)
        if self._run:
            wanted = self._wanted(self._run, spec_of, complete=False)
            if wanted:
                yield Desired(wanted)
        if self._stop:
            yield Desired(stop=tuple(self._stop))
        if self._acknowledge:
            yield Acknowledge(tuple(self._acknowledge))
            self._has_spec.difference_update(self._acknowledge)
        for uid, next_index in self._lines.items():
            yield LinesTaken(uid, next_index)
        self._run.clear()
        self._stop.clear()
        self._acknowledge.clear()
        self._lines.clear()

    def _wanted(
        self, uids: Iterable[AttemptUid], spec_of: SpecSource, *, complete: bool
    ) -> tuple[tuple[AttemptUid, RunSpec | None], ...]:
        wanted: list[tuple[AttemptUid, RunSpec | None]] = []
        for uid in uids:
            if uid in self._has_spec:
                if complete:
                    wanted.append((uid, None))
                continue
            spec = spec_of(uid)
            if spec is not None:
                wanted.append((uid, spec))
                self._has_spec.add(uid)
        return tuple(wanted)
