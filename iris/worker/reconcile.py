"""What to start, stop and forget, from what the controller wants and what the worker has. No I/O.

Every message may arrive twice, late or after a reconnect, so each is compared with what is there;
applied again it changes nothing. An attempt that was forgotten is remembered by its uid for a
while: a request to run it that comes late must not run it again.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

from iris.model.errors import Internal
from iris.model.ids import AttemptUid

S = TypeVar("S")

# Uids of forgotten attempts that are remembered. Only those matter for which a message may still be
# under way, so those of the last minutes.
_MAX_REMEMBERED = 10_000


class Standing(Enum):
    """How far an attempt that the worker has is."""

    ACTIVE = auto()
    STOPPING = auto()
    FINISHED = auto()


@dataclass(frozen=True, slots=True)
class Wanted(Generic[S]):
    """An attempt that should be there; `spec` is None where the worker is expected to have it."""

    uid: AttemptUid
    spec: S | None


@dataclass(frozen=True, slots=True)
class Stop:
    """An attempt to be stopped, and why."""

    uid: AttemptUid
    reason: str


@dataclass(frozen=True, slots=True)
class Actions(Generic[S]):
    """What follows from one message."""

    start: tuple[tuple[AttemptUid, S], ...] = ()
    stop: tuple[Stop, ...] = ()


class Reconciler(Generic[S]):
    """Makes the worker's set of attempts equal to the controller's."""

    def __init__(self) -> None:
        self._standing: dict[AttemptUid, Standing] = {}
        self._forgotten: OrderedDict[AttemptUid, None] = OrderedDict()

    def standing(self, uid: AttemptUid) -> Standing | None:
        """Of an attempt; None for one that the worker does not have."""
        return self._standing.get(uid)

    def desired(
        self, *, complete: bool, run: Sequence[Wanted[S]], stop: Iterable[AttemptUid]
    ) -> Actions[S]:
        """The controller wants `run` there and `stop` not; if `complete`, nothing but `run`.

        Raises Internal, having changed nothing, if it names an attempt that is not here without
        saying what it is: the two sides then have lost each other and have to begin anew.
        """
        start = [wanted for wanted in run if self._is_new(wanted.uid)]
        for wanted in start:
            if wanted.spec is None:
                raise Internal(
                    f"The controller wants {wanted.uid} to run, which is not here, without a spec."
                )
        stops = [Stop(uid, "stopped on request") for uid in stop]
        if complete:
            named = {wanted.uid for wanted in run}
            strangers = [uid for uid in self._standing if uid not in named]
            stops += [Stop(uid, "the controller does not want it here") for uid in strangers]
        return Actions(
            tuple(self._begin(wanted) for wanted in start if self._is_new(wanted.uid)),
            tuple(one for one in stops if self._begin_stop(one.uid)),
        )

    def finished(self, uid: AttemptUid) -> None:
        """It is over; its end is kept until it is acknowledged."""
        self._standing[uid] = Standing.FINISHED

    def acknowledged(self, uids: Iterable[AttemptUid]) -> tuple[AttemptUid, ...]:
        """The controller has these ends for good: those of them that the worker may forget now.

        One that is not over here is kept, whatever the controller says.
        """
        forgotten = []
        for uid in uids:
            if self._standing.get(uid) is Standing.FINISHED:
                self.forget(uid)
                forgotten.append(uid)
        return tuple(forgotten)

    def forget(self, uid: AttemptUid) -> None:
        """It is over and nobody will ask for it."""
        self._standing.pop(uid, None)
        self._forgotten[uid] = None
        while len(self._forgotten) > _MAX_REMEMBERED:
            self._forgotten.popitem(last=False)

    def _is_new(self, uid: AttemptUid) -> bool:
        return uid not in self._standing and uid not in self._forgotten

    def _begin(self, wanted: Wanted[S]) -> tuple[AttemptUid, S]:
        assert wanted.spec is not None
        self._standing[wanted.uid] = Standing.ACTIVE
        return wanted.uid, wanted.spec

    def _begin_stop(self, uid: AttemptUid) -> bool:
        if self._standing.get(uid) is not Standing.ACTIVE:
            return False
        self._standing[uid] = Standing.STOPPING
        return True
