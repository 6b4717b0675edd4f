"""The workers that are known, what is free on them, and the slices they belong to."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from iris.controller.state.records import WorkerRecord
from iris.model.ids import AttemptUid, SliceId, WorkerId
from iris.model.resources import Resources
from iris.scheduler.snapshot import WorkerView


@dataclass(slots=True)
class Worker:
    """One worker.

    Attributes:
        connected: It has a stream now.
        attempts: What is or may be running there, and what it occupies. Also attempts that were
            given up while the worker was away and that it still has.
    """

    record: WorkerRecord
    connected: bool = False
    attempts: dict[AttemptUid, Resources] = field(default_factory=dict)
    free: Resources = field(default_factory=Resources)
    view: WorkerView | None = None


@dataclass(slots=True)
class SliceOfWorkers:
    """A slice as far as its workers tell.

    Attributes:
        attempts: On all of its workers.
        idle_since: When the last attempt left, or the last worker came; None while there is one.
    """

    workers: dict[WorkerId, None] = field(default_factory=dict)
    attempts: int = 0
    idle_since: datetime | None = None
    draining: bool = False


class Fleet:
    """All workers and slices. Every change costs the same, however many there are."""

    def __init__(self) -> None:
        self._workers: dict[WorkerId, Worker] = {}
        self._slices: dict[SliceId, SliceOfWorkers] = {}

    def get(self, worker_id: WorkerId) -> Worker | None:
        """A worker, if it is known and not gone."""
        return self._workers.get(worker_id)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def __len__(self) -> int:
        return len(self._workers)

    def in_slice(self, slice_id: SliceId) -> Collection[WorkerId]:
        """The workers of a slice that are known."""
        known = self._slices.get(slice_id)
        return tuple(known.workers) if known else ()

    @property
    def slices(self) -> Mapping[SliceId, SliceOfWorkers]:
        """All slices that have workers, or are draining."""
        return self._slices

    def is_draining(self, worker: Worker) -> bool:
        """Whether its slice is to be given back."""
        known = self._slices.get(worker.record.slice_id)
        return known is not None and known.draining

    def put(self, record: WorkerRecord, at: datetime, *, connected: bool) -> Worker:
        """A worker that came, or came back with what it had."""
        worker = self._workers.get(record.worker_id)
        if worker is None:
            worker = self._workers[record.worker_id] = Worker(record)
            slice_ = self._slices.setdefault(record.slice_id, SliceOfWorkers())
            slice_.workers[record.worker_id] = None
            if not slice_.attempts:
                slice_.idle_since = at
        worker.record = record
        worker.connected = connected
        worker.free = record.total - sum(worker.attempts.values(), Resources())
        worker.view = None
        return worker

    def disconnect(self, worker: Worker) -> None:
        """Its stream broke."""
        worker.connected = False
        worker.view = None

    def remove(self, worker: Worker, at: datetime) -> None:
        """It is gone, and with it all that it had."""
        for uid in tuple(worker.attempts):
            self.give_back(worker.record.worker_id, uid, at)
        del self._workers[worker.record.worker_id]
        slice_ = self._slices[worker.record.slice_id]
        del slice_.workers[worker.record.worker_id]
        if not slice_.workers and not slice_.draining:
            del self._slices[worker.record.slice_id]

    def take(self, worker: Worker, uid: AttemptUid, resources: Resources) -> None:
        """Gives an attempt what it asks for."""
        worker.attempts[uid] = resources
        worker.free -= resources
        worker.view = None
        slice_ = self._slices[worker.record.slice_id]
        slice_.attempts += 1
        slice_.idle_since = None

    def give_back(self, worker_id: WorkerId, uid: AttemptUid, at: datetime) -> bool:
        """Frees what an attempt had, once: False if there was nothing (any more)."""
        worker = self._workers.get(worker_id)
        resources = worker.attempts.pop(uid, None) if worker else None
        if worker is None or resources is None:
            return False
        worker.free += resources
        worker.view = None
        slice_ = self._slices[worker.record.slice_id]
        slice_.attempts -= 1
        if not slice_.attempts:
            slice_.idle_since = at
        return True

    def drain(self, slice_id: SliceId) -> None:
        """The slice gets no more work, nor do workers of it that come later."""
        slice_ = self._slices.setdefault(slice_id, SliceOfWorkers())
        slice_.draining = True
        for worker_id in slice_.workers:
            self._workers[worker_id].view = None

    def forget_slice(self, slice_id: SliceId) -> None:
        """It no longer exists; its workers were removed before."""
        self._slices.pop(slice_id, None)

    def view(self, worker: Worker) -> WorkerView:
        """The worker for the scheduler; made anew only after a change."""
        if worker.view is None:
            reason = (
                "draining" if self.is_draining(worker) else "" if worker.connected else "silent"
            )
            worker.view = WorkerView(
                worker_id=worker.record.worker_id,
                total=worker.record.total,
                free=worker.free,
                attributes=dict(worker.record.attributes),
                accepting=not reason,
                not_accepting=reason,
            )
        return worker.view
