"""The workers that are known, what is free on them, and the slices they belong to."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from iris.autoscaler.demand import SliceOccupancy
from iris.controller.state.records import WorkerRecord
from iris.controller.state.view_list import ViewList
from iris.model.health import problems_text
from iris.model.ids import AttemptUid, JobId, SliceId, WorkerId
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.scheduler.snapshot import WorkerView

_NOTHING = Resources()
UserBand = tuple[str, PriorityBand]


@dataclass(slots=True)
class Place:
    """What one attempt occupies.

    Attributes:
        since: When it was placed.
        in_gang: Whether it can only go together with the rest of its job.
        stopping: It is to stop, or was given up: what it occupies will be free soon.
    """

    resources: Resources
    job_id: JobId
    user: str
    band: PriorityBand
    since: datetime
    in_gang: bool = False
    stopping: bool = False


@dataclass(slots=True, eq=False)
class Worker:
    """One worker.

    Attributes:
        connected: It has a stream now.
        attempts: What is or may be running there, and what it occupies. Also attempts that were
            given up while the worker was away and that it still has.
        strangers: Attempts that it still has and that nobody knows any more, because their jobs
            were forgotten. What they occupy is not known either, so the worker takes no new work
            until it has stopped them ("clearing").
        attributes: The record's, as a mapping that stays the same object while they do.
    """

    record: WorkerRecord
    attributes: Mapping[str, str]
    connected: bool = False
    attempts: dict[AttemptUid, Place] = field(default_factory=dict)
    free: Resources = field(default_factory=Resources)
    releasing: Resources = field(default_factory=Resources)
    strangers: frozenset[AttemptUid] = frozenset()

    @property
    def is_closed(self) -> bool:
        """Whether it is connected, but not well or drained: it takes no new work."""
        return self.connected and (self.record.drained or bool(self.record.problems))


@dataclass(slots=True)
class SliceOfWorkers:
    """A slice as far as its workers tell.

    Attributes:
        attempts: On all of its workers.
        connected: How many of its workers have a stream.
        closed: How many of those are not well or drained.
        idle_since: When the last attempt left, or the last worker came; None while there is one.
    """

    workers: dict[WorkerId, None] = field(default_factory=dict)
    attempts: int = 0
    connected: int = 0
    closed: int = 0
    idle_since: datetime | None = None
    draining: bool = False


class Fleet:
    """All workers and slices. Every change costs the same, however many there are.

    Attributes:
        usage: What the attempts of each user hold, by band.
    """

    def __init__(self) -> None:
        self.usage: dict[UserBand, Resources] = {}
        self._workers: dict[WorkerId, Worker] = {}
        self._slices: dict[SliceId, SliceOfWorkers] = {}
        # How many attempts of each band a worker has, for workers that have any.
        self._bands: dict[PriorityBand, dict[WorkerId, int]] = {band: {} for band in PriorityBand}
        self._views: ViewList[Worker, WorkerView] = ViewList(self._view)
        self._occupancy: dict[SliceId, SliceOccupancy] = {}
        self._slices_changed: dict[SliceId, None] = {}

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

    def with_band(self, band: PriorityBand) -> Collection[WorkerId]:
        """The workers that have attempts of a band, in the order in which they came to have some."""
        return self._bands[band].keys()

    def occupancy(self) -> Mapping[SliceId, SliceOccupancy]:
        """Every slice that has workers. (What has no slice, such as a worker that was started by
        hand, is not among them.)
        """
        for slice_id in self._slices_changed:
            known = self._slices.get(slice_id)
            if slice_id and known is not None and known.workers:
                workers = 0 if known.draining else known.connected
                closed = 0 if known.draining else known.closed
                self._occupancy[slice_id] = SliceOccupancy(
                    workers, known.attempts, known.idle_since, closed, self._problems_in(known)
                )
            else:
                self._occupancy.pop(slice_id, None)
        self._slices_changed.clear()
        return dict(self._occupancy)

    def _problems_in(self, slice_: SliceOfWorkers) -> tuple[tuple[WorkerId, str], ...]:
        if not slice_.closed:
            return ()
        workers = (self._workers[worker_id] for worker_id in slice_.workers)
        return tuple(
            (one.record.worker_id, problems_text(one.record.problems))
            for one in workers
            if one.connected and one.record.problems
        )

    def is_draining(self, worker: Worker) -> bool:
        """Whether it, or its slice, is to get no more work."""
        known = self._slices.get(worker.record.slice_id)
        return worker.record.drained or (known is not None and known.draining)

    def put(self, record: WorkerRecord, at: datetime, *, connected: bool) -> Worker:
        """A worker that came, or came back with what it had."""
        worker = self._workers.get(record.worker_id)
        if worker is None:
            worker = self._workers[record.worker_id] = Worker(record, dict(record.attributes))
            slice_ = self._slices.setdefault(record.slice_id, SliceOfWorkers())
            slice_.workers[record.worker_id] = None
            if not slice_.attempts:
                slice_.idle_since = at
        elif worker.record.attributes != record.attributes:
            worker.attributes = dict(record.attributes)
        self._count(worker, -1)
        worker.record = record
        worker.connected = connected
        self._count(worker, 1)
        worker.free = record.total
        for place in worker.attempts.values():
            worker.free -= place.resources
        self._views.change(worker)
        return worker

    def disconnect(self, worker: Worker) -> None:
        """Its stream broke."""
        self._count(worker, -1)
        worker.connected = False
        self._views.change(worker)

    def note(self, worker: Worker, record: WorkerRecord) -> None:
        """Its health, or whether it is drained, is another now; the rest of the record is as it
        was.
        """
        self._count(worker, -1)
        worker.record = record
        self._count(worker, 1)
        self._views.change(worker)

    def remove(self, worker: Worker, at: datetime) -> None:
        """It is gone, and with it all that it had."""
        worker_id = worker.record.worker_id
        for uid in tuple(worker.attempts):
            self.give_back(worker_id, uid, at)
        del self._workers[worker_id]
        self._views.remove(worker)
        slice_ = self._changing(worker.record.slice_id)
        del slice_.workers[worker_id]
        self._count(worker, -1)
        if not slice_.workers and not slice_.draining:
            del self._slices[worker.record.slice_id]

    def take(self, worker: Worker, uid: AttemptUid, place: Place) -> None:
        """Gives an attempt what it asks for."""
        worker_id = worker.record.worker_id
        worker.attempts[uid] = place
        worker.free -= place.resources
        if place.stopping:
            worker.releasing += place.resources
        self._views.change(worker)
        self._use(place, taken=True)
        band = self._bands[place.band]
        band[worker_id] = band.get(worker_id, 0) + 1
        slice_ = self._changing(worker.record.slice_id)
        slice_.attempts += 1
        slice_.idle_since = None

    def will_stop(self, worker_id: WorkerId, uid: AttemptUid) -> None:
        """What an attempt occupies will be free soon."""
        worker = self._workers.get(worker_id)
        place = worker.attempts.get(uid) if worker else None
        if worker is not None and place is not None and not place.stopping:
            place.stopping = True
            worker.releasing += place.resources
            self._views.change(worker)

    def give_back(self, worker_id: WorkerId, uid: AttemptUid, at: datetime) -> bool:
        """Frees what an attempt had, once: False if there was nothing (any more)."""
        worker = self._workers.get(worker_id)
        place = worker.attempts.pop(uid, None) if worker else None
        if worker is None or place is None:
            return False
        worker.free += place.resources
        if place.stopping:
            worker.releasing -= place.resources
        self._views.change(worker)
        self._use(place, taken=False)
        band = self._bands[place.band]
        band[worker_id] -= 1
        if not band[worker_id]:
            del band[worker_id]
        slice_ = self._changing(worker.record.slice_id)
        slice_.attempts -= 1
        if not slice_.attempts:
            slice_.idle_since = at
        return True

    def drain(self, slice_id: SliceId) -> None:
        """The slice gets no more work, nor do workers of it that come later."""
        self._slices.setdefault(slice_id, SliceOfWorkers())
        slice_ = self._changing(slice_id)
        slice_.draining = True
        for worker_id in slice_.workers:
            self._views.change(self._workers[worker_id])

    def forget_slice(self, slice_id: SliceId) -> None:
        """It no longer exists; its workers were removed before."""
        self._slices.pop(slice_id, None)
        self._slices_changed[slice_id] = None

    def stranger_left(self, worker_id: WorkerId, incarnation_id: str, uid: AttemptUid) -> bool:
        """An attempt that nobody knows is over; whether it was the last that its worker had."""
        worker = self._workers.get(worker_id)
        if worker is None or worker.record.incarnation_id != incarnation_id:
            return False
        if uid not in worker.strangers:
            return False
        worker.strangers -= {uid}
        self._views.change(worker)
        return not worker.strangers

    def refusal(self, worker: Worker) -> str:
        """Why a worker takes no new work; empty if it does."""
        if self.is_draining(worker):
            return "draining"
        if not worker.connected:
            return "silent"
        if worker.record.problems:
            return "unhealthy"
        return "clearing" if worker.strangers else ""

    def views(self) -> Sequence[WorkerView]:
        """All workers for the scheduler. One that has not changed is the same object as before, at
        the same place.
        """
        return self._views.views()

    def _view(self, worker: Worker) -> WorkerView:
        refusal = self.refusal(worker)
        return WorkerView(
            worker.record.worker_id,
            worker.record.total,
            worker.free,
            worker.attributes,
            not refusal,
            refusal,
            worker.releasing,
            problems_text(worker.record.problems),
        )

    def _changing(self, slice_id: SliceId) -> SliceOfWorkers:
        """A slice that is known and of which something is about to change."""
        self._slices_changed[slice_id] = None
        return self._slices[slice_id]

    def _count(self, worker: Worker, sign: int) -> None:
        """Takes a worker out of its slice's counts before it changes, and in again afterwards."""
        slice_ = self._changing(worker.record.slice_id)
        slice_.connected += sign * worker.connected
        slice_.closed += sign * worker.is_closed

    def _use(self, place: Place, *, taken: bool) -> None:
        key = (place.user, place.band)
        used = self.usage.get(key, _NOTHING)
        used = used + place.resources if taken else used - place.resources
        if used == _NOTHING:
            self.usage.pop(key, None)
        else:
            self.usage[key] = used
