"""What attempts that run have made known: endpoints, which vanish with them, and outputs, which
stay.

Both stand in the attempt's record; what is kept here beside it is only an order in which endpoints
are found by their names.
"""

from collections.abc import Iterator
from typing import TypeVar

from sortedcontainers import SortedDict

from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.jobs import JobTable
from iris.controller.state.records import AttemptRecord
from iris.model.errors import FailedPrecondition, NotFound, ResourceExhausted
from iris.model.ids import AttemptUid
from iris.model.published import MAX_ENDPOINTS, MAX_OUTPUTS, Endpoint, TaskOutput

Named = TypeVar("Named", Endpoint, TaskOutput)

# Its full name and its task's index, so that tasks may share a name.
Key = tuple[str, int]


class Published:
    """For one state."""

    def __init__(self, jobs: JobTable) -> None:
        self._jobs = jobs
        self._endpoints: SortedDict[Key, AttemptUid] = SortedDict()

    def endpoints(self, prefix: str) -> Iterator[tuple[AttemptRecord, Endpoint]]:
        """Those whose full name begins so, in order of their names."""
        for key in self._endpoints.irange(minimum=(prefix, -1)):
            if not key[0].startswith(prefix):
                return
            attempt = self._jobs.attempt(self._endpoints[key])
            assert attempt is not None, "it is known as long as it is active"
            for endpoint in attempt.endpoints:
                if full_name(attempt, endpoint) == key[0]:
                    yield attempt, endpoint

    def keys(self) -> dict[Key, AttemptUid]:
        """All that can be found."""
        return dict(self._endpoints)

    def restored(self, attempt: AttemptRecord) -> None:
        """An attempt was stored, and is active."""
        for endpoint in attempt.endpoints:
            self._endpoints[full_name(attempt, endpoint), attempt.index] = attempt.uid

    def ended(self, attempt: AttemptRecord) -> None:
        """Its endpoints are found no more."""
        for endpoint in attempt.endpoints:
            key = (full_name(attempt, endpoint), attempt.index)
            if self._endpoints.get(key) == attempt.uid:
                del self._endpoints[key]

    def register(self, event: events.EndpointRegistered, effects: Effects) -> None:
        """Raises NotFound, FailedPrecondition or ResourceExhausted."""
        attempt = self._active(event.attempt_uid)
        endpoints = _with(attempt.endpoints, event.endpoint)
        _check_room("endpoints", len(endpoints), MAX_ENDPOINTS)
        self._change(attempt, effects, endpoints=endpoints)
        self._endpoints[full_name(attempt, event.endpoint), attempt.index] = attempt.uid

    def unregister(self, event: events.EndpointUnregistered, effects: Effects) -> None:
        """Does nothing if there is none, or its attempt has ended."""
        attempt = self._jobs.attempt(event.attempt_uid)
        if attempt is None or not attempt.state.is_active:
            return
        left = tuple(one for one in attempt.endpoints if one.name != event.name)
        if left != attempt.endpoints:
            self.ended(attempt)
            self.restored(self._change(attempt, effects, endpoints=left))

    def publish(self, event: events.OutputPublished, effects: Effects) -> None:
        """Raises NotFound, FailedPrecondition or ResourceExhausted."""
        attempt = self._active(event.attempt_uid)
        outputs = _with(attempt.outputs, event.output)
        _check_room("outputs", len(outputs), MAX_OUTPUTS)
        self._change(attempt, effects, outputs=outputs)

    def _change(
        self,
        attempt: AttemptRecord,
        effects: Effects,
        **changes: tuple[Endpoint, ...] | tuple[TaskOutput, ...],
    ) -> AttemptRecord:
        return self._jobs.change_attempt(
            attempt, attempt.state, "it published something", effects, **changes
        )

    def _active(self, uid: AttemptUid) -> AttemptRecord:
        attempt = self._jobs.attempt(uid)
        if attempt is None:
            raise NotFound(f"There is no attempt {uid}.", hint="Its job may have been forgotten.")
        if not attempt.state.is_active:
            raise FailedPrecondition(
                f"Attempt {uid} of {attempt.task_id} is over: {attempt.state.value}.",
                hint="Endpoints and outputs are published while the task runs.",
            )
        return attempt


def full_name(attempt: AttemptRecord, endpoint: Endpoint) -> str:
    """`/alice/train/server`."""
    return f"{attempt.job_id}/{endpoint.name}"


def _with(known: tuple[Named, ...], new: Named) -> tuple[Named, ...]:
    """In order of the names; one of the same name is replaced."""
    named = {one.name: one for one in known} | {new.name: new}
    return tuple(named[name] for name in sorted(named))


def _check_room(what: str, count: int, most: int) -> None:
    if count > most:
        raise ResourceExhausted(
            f"The attempt has {most} {what} already.", hint="Take one back, or use a name again."
        )
