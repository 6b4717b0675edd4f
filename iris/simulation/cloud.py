"""A simulated cloud: it sells slices of VMs, slowly, and takes them back when it likes.

It outlives every controller. A VM that is up has a worker's process, which dials the controller.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random

from iris.model.errors import DeadlineExceeded, IrisError, ResourceExhausted
from iris.model.fleet import ManagedVm, ScaleGroup, VmState, slice_attributes
from iris.model.ids import SliceId, WorkerId
from iris.model.tpu import tpu_topology
from iris.simulation.clock import Entry
from iris.simulation.scenario import FaultKind
from iris.simulation.weather import Weather
from iris.simulation.workers import Surroundings, WorkerProcess

_CALL_SECONDS = (0.2, 2.0)
# A slice that does not live long is there for so many seconds once it has come up.
_SHORT_LIFE = (1.0, 45.0)
# Of the VMs that die, the cloud notices so many.
_NOTICED = 0.5


@dataclass(slots=True, eq=False)
class SimulatedVm:
    """One machine.

    Attributes:
        starts: How many processes its worker has had.
    """

    worker_id: WorkerId
    state: VmState = VmState.BOOTING
    worker: WorkerProcess | None = None
    starts: int = 0


class SimulatedSlice:
    """A slice as its cloud sees it; what the autoscaler asks a VmGroupProtocol, it answers."""

    def __init__(
        self, group: ScaleGroup, slice_id: SliceId, created_at: datetime, asked_at: float
    ) -> None:
        self.group = group
        self.slice_id = slice_id
        self.created_at = created_at
        self.asked_at = asked_at
        self.vms_now = [
            SimulatedVm(WorkerId(f"{slice_id}/{number}")) for number in range(group.vms_per_slice)
        ]
        self.state = VmState.BOOTING
        self.why = ""
        self.terminating_since: float | None = None
        self.gone_at: float | None = None
        self.on_change: Callable[[], None] = lambda: None

    @property
    def scale_group(self) -> str:
        """See VmGroupProtocol."""
        return self.group.name

    def status(self) -> VmState:
        """See VmGroupProtocol."""
        return self.state

    def problem(self) -> str:
        """See VmGroupProtocol."""
        return self.why

    def vms(self) -> tuple[ManagedVm, ...]:
        """See VmGroupProtocol."""
        return tuple(ManagedVm(vm.worker_id, vm.state, vm.worker_id) for vm in self.vms_now)

    def note_health(self, problems: Mapping[WorkerId, str]) -> None:
        """See VmGroupProtocol. This cloud does not look into its machines."""


@dataclass(slots=True)
class CloudCounts:
    """What was asked of the cloud, and what came of it."""

    bought: int = 0
    refused: int = 0
    failed_boots: int = 0
    preempted: int = 0
    short_lived: int = 0
    given_back: int = 0
    timed_out: int = 0


@dataclass(frozen=True, slots=True)
class CloudCall:
    """Something about a request for a slice: it was "asked", "granted", "refused", or "timed out"
    for who asked. `number` is the request's.
    """

    what: str
    group: str
    at: float
    number: int


Done = Callable[["SimulatedSlice | IrisError"], None]
Listed = Callable[["list[SimulatedSlice] | IrisError"], None]


class Cloud:
    """All scale groups. A call ends by calling back, later; a caller that has died is not there to
    hear it, but what it bought is.

    Attributes:
        calls: What became of all requests for slices.
        refused: Groups of which a request was ever refused.
    """

    def __init__(
        self,
        groups: tuple[ScaleGroup, ...],
        around: Surroundings,
        weather: Weather,
        call_timeout: float,
    ) -> None:
        self.groups = {group.name: group for group in groups}
        self.slices: dict[SliceId, SimulatedSlice] = {}
        self.counts = CloudCounts()
        self.calls: list[CloudCall] = []
        self.refused: set[str] = set()
        self._requests = 0
        # (group, virtual seconds, wall clock): calls that were to create a slice and timed out, for
        # a caller that lived to see it.
        self.failed_calls: list[tuple[str, float, datetime]] = []
        self._callers_died = 0
        self._around = around
        self._weather = weather
        self._call_timeout = call_timeout
        self._numbers = dict.fromkeys(self.groups, 0)
        self._creating: list[tuple[str, Entry]] = []
        self._calls = around.chances.of("cloud")

    def of_group(self, group: str) -> Iterator[SimulatedSlice]:
        """The slices of a group that exist."""
        return (one for one in self.slices.values() if one.scale_group == group)

    def workers_with_attempts(self) -> list[WorkerId]:
        """Workers that have not forgotten all of their attempts."""
        return [
            vm.worker_id
            for one in self.slices.values()
            for vm in one.vms_now
            if vm.worker is not None and vm.worker.has_attempts
        ]

    # --- calls ----------------------------------------------------------------------------------

    def create(self, group: str, done: Done) -> None:
        """Buys one slice. ResourceExhausted when there is none, DeadlineExceeded when it took too
        long: the slice exists nevertheless, or never will (see VmManagerProtocol).
        """
        agenda = self._around.agenda
        self._requests += 1
        number = self._requests
        self._note("asked", group, number)
        seconds = self._call_seconds()
        late = seconds > self._call_timeout
        if late:
            self._time_out(f"Creating a slice of {group}", done)
            agenda.after(self._call_timeout, lambda: self._note("timed out", group, number))
            caller = self._callers_died
            agenda.after(self._call_timeout, lambda: self._note_failure(group, caller))
            if self._calls.random() < 0.5:
                return
            seconds = self._call_timeout / 2

        def answer() -> None:
            self._creating.remove((group, entry))
            if not self._has_left(group):
                self.counts.refused += 1
                self.refused.add(group)
                if not late:
                    self._note("refused", group, number)
                    done(ResourceExhausted(f"The quota for {group} is used up."))
                return
            made = self._make(group)
            if not late:
                self._note("granted", group, number)
                done(made)

        entry = agenda.after(seconds, answer)
        self._creating.append((group, entry))

    def being_created(self, group: str) -> int:
        """How many requests for slices of a group are under way."""
        return sum(name == group for name, _ in self._creating)

    def _note(self, what: str, group: str, number: int) -> None:
        self.calls.append(CloudCall(what, group, self._around.agenda.now, number))

    def _has_left(self, group: str) -> bool:
        """Whether there is another slice to sell."""
        if self._weather.amount(FaultKind.REFUSE_SLICES, group):
            return False
        scarcity = self._weather.amount(FaultKind.SCARCE_SLICES, group)
        most = int(self.groups[group].max_slices * (1 - scarcity))
        return not scarcity or sum(not one.state.is_gone for one in self.of_group(group)) < most

    def _note_failure(self, group: str, caller: int) -> None:
        if caller == self._callers_died:
            self.failed_calls.append((group, self._around.agenda.now, self._around.clock.now()))

    def caller_died(self) -> None:
        """Whoever bought is no more. What was being bought exists at once, or never will."""
        self._callers_died += 1
        for group, entry in self._creating:
            entry.cancel()
            if self._calls.random() < 0.5:
                self._make(group)
        self._creating.clear()

    def discover(self, group: str, done: Listed) -> None:
        """The slices of a group that exist."""
        seconds = self._call_seconds()
        if seconds > self._call_timeout:
            self._time_out(f"Listing the slices of {group}", done)
            return
        self._around.agenda.after(seconds, lambda: done(list(self.of_group(group))))

    def terminate(self, slice_id: SliceId, done: Callable[[IrisError | None], None]) -> None:
        """Ends a slice. Asked again for one that is gone, it says that it is."""
        seconds = self._call_seconds()
        one = self.slices.get(slice_id)
        if one is not None and one.terminating_since is None:
            one.terminating_since = self._around.agenda.now

        def answer() -> None:
            self._end(slice_id, VmState.TERMINATED, "")
            if seconds <= self._call_timeout:
                done(None)

        self._around.agenda.after(seconds, answer)
        if seconds > self._call_timeout:
            self._time_out(f"Ending {slice_id}", done)

    def _call_seconds(self) -> float:
        seconds = self._calls.uniform(*_CALL_SECONDS)
        return seconds + self._calls.random() * self._weather.amount(FaultKind.SLOW_CLOUD)

    def _time_out(self, what: str, done: Callable[[IrisError], None]) -> None:
        self.counts.timed_out += 1
        error = DeadlineExceeded(f"{what} did not end within {self._call_timeout:g} s.")
        self._around.agenda.after(self._call_timeout, lambda: done(error))

    # --- slices ---------------------------------------------------------------------------------

    def _make(self, group: str) -> SimulatedSlice:
        around = self._around
        self._numbers[group] += 1
        slice_id = SliceId(f"{group}-{self._numbers[group]}")
        one = SimulatedSlice(self.groups[group], slice_id, around.clock.now(), around.agenda.now)
        self.slices[slice_id] = one
        self.counts.bought += 1
        chance = around.chances.of("slice", slice_id)
        if chance.random() < self._weather.amount(FaultKind.FAIL_BOOTS, group):
            self._fail_boot(one, chance)
            return one
        seconds = chance.uniform(*around.timing.boot)
        for vm in one.vms_now:
            # The VMs of a slice come up one after the other.
            seconds += chance.uniform(0.0, 2.0)
            around.agenda.after(seconds, lambda vm=vm: self._boot(one, vm))  # type: ignore[misc]
        self._shorten(one, seconds)
        return one

    def _shorten(self, one: SimulatedSlice, boots_in: float) -> None:
        around = self._around
        share = self._weather.amount(FaultKind.SHORT_LIVED_SLICES, one.scale_group)
        chance = around.chances.of("short life", one.slice_id)
        if share and chance.random() < share:
            self.counts.short_lived += 1
            around.agenda.after(boots_in + chance.uniform(*_SHORT_LIFE), lambda: self.preempt(one))

    def _fail_boot(self, one: SimulatedSlice, chance: Random) -> None:
        """Half of those that fail say so; of the others one just hears nothing."""
        self.counts.failed_boots += 1
        if chance.random() < 0.5:
            seconds = chance.uniform(*self._around.timing.boot)
            self._around.agenda.after(
                seconds, lambda: self._lose(one, VmState.FAILED, "it did not boot")
            )

    def _boot(self, one: SimulatedSlice, vm: SimulatedVm) -> None:
        if one.gone_at is not None or vm.state is not VmState.BOOTING:
            return
        self._start(one, vm)
        vm.state = VmState.READY
        if all(other.state is VmState.READY for other in one.vms_now):
            one.state = VmState.READY
            one.on_change()

    def _start(self, one: SimulatedSlice, vm: SimulatedVm) -> None:
        around, number = self._around, one.vms_now.index(vm)
        vm.starts += 1
        group = one.group
        topology = tpu_topology(group.accelerator_variant).topology if group.is_tpu else ""
        process = around.facts.born(
            vm.worker_id,
            f"{vm.worker_id}#{vm.starts}",
            one.slice_id,
            group.vm,
            slice_attributes(group, one.slice_id, number, topology),
            around.agenda.now,
        )
        vm.worker = WorkerProcess(process, group.name, around)

    def restart_worker(
        self, one: SimulatedSlice, vm: SimulatedVm, seconds: float, *, politely: bool
    ) -> None:
        """Its process ends, and starts again under the same id so many seconds later."""
        if vm.worker is None:
            return
        worker, vm.worker = vm.worker, None
        if politely:
            worker.leave("it is started anew")
        else:
            worker.die()

        def start() -> None:
            if vm.state is VmState.READY and vm.worker is None:
                self._start(one, vm)

        self._around.agenda.after(seconds, start)

    def kill_vm(self, one: SimulatedSlice, vm: SimulatedVm) -> None:
        """It dies and does not come back. Of every second VM the cloud says so after a while; the
        others just are not heard of again.
        """
        if vm.state is not VmState.READY:
            return
        vm.state = VmState.FAILED
        self._kill(vm)
        if self._around.chances.of("notices", vm.worker_id).random() < _NOTICED:
            self._around.agenda.after(
                20.0, lambda: self._lose(one, VmState.FAILED, f"{vm.worker_id} died")
            )

    def preempt(self, one: SimulatedSlice) -> None:
        """The cloud wants it back."""
        if one.gone_at is None:
            self.counts.preempted += 1
            self._lose(one, VmState.PREEMPTED, "the cloud took it back")

    def _lose(self, one: SimulatedSlice, state: VmState, why: str) -> None:
        """It is no more, but is listed until somebody clears it away."""
        if one.gone_at is not None or one.state.is_gone:
            return
        one.state, one.why = state, why
        for vm in one.vms_now:
            vm.state = state
            self._kill(vm)
        one.on_change()

    def _end(self, slice_id: SliceId, state: VmState, why: str) -> None:
        one = self.slices.pop(slice_id, None)
        if one is None:
            return
        self.counts.given_back += 1
        one.gone_at = self._around.agenda.now
        one.state, one.why = state, why
        for vm in one.vms_now:
            vm.state = state
            self._kill(vm)
        one.on_change()

    def _kill(self, vm: SimulatedVm) -> None:
        worker, vm.worker = vm.worker, None
        if worker is not None:
            worker.die()
