"""What has to happen in time: the dead are given up, and earlier bands get what later ones hold."""

from collections import defaultdict

from iris.controller.brain import Turn
from iris.controller.state import events
from iris.model.ids import AttemptUid, JobId, job_of
from iris.model.resources import Resources
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.checkers.holdings import Holder, Holdings
from iris.simulation.checkers.placements import reservations
from iris.simulation.checkers.waiting import Alike, Waiting
from iris.simulation.controller import ControllerProcess
from iris.simulation.facts import Process

_EVERY_SECONDS = 5.0


class TheDeadAreGivenUp(Checker):
    """No attempt counts as running for long on a process that is dead."""

    invariant = "the dead are given up"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._dead: dict[Process, list[AttemptUid]] = {}
        self._up_since = 0.0
        self._looked_at = 0.0

    def recovered(self, process: ControllerProcess) -> None:
        """A controller gives everybody the usual time from its start."""
        self._up_since = self.evidence.now

    def process_ended(self, process: Process) -> None:
        """See Witness."""
        self._dead[process] = [
            attempt.uid
            for attempt in self.evidence.ledger.attempts.values()
            if attempt.state.is_active and attempt.incarnation_id == process.incarnation_id
        ]

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """See Checker."""
        now, attempts = self.evidence.now, self.evidence.ledger.attempts
        if now < self._looked_at + _EVERY_SECONDS:
            return
        self._looked_at = now
        patience = 2 * self.evidence.scenario.timing.lost_after + 30.0
        for dead, uids in tuple(self._dead.items()):
            there = [uid for uid in uids if uid in attempts and attempts[uid].state.is_active]
            if not there:
                del self._dead[dead]
                continue
            assert dead.died_at is not None
            since = max(dead.died_at, self._up_since)
            if now - since > patience:
                raise self.broken(
                    f"{there[0]} counts as {attempts[there[0]].state.name} on "
                    f"{dead.incarnation_id}, which has been dead for {now - dead.died_at:.0f} s"
                )


class EarlierBandsTakeTheirPlace(Checker):
    """Where work may be preempted, no kind of work waits for long without any of it being placed
    while later bands hold what it needs.
    """

    invariant = "earlier bands take the place of later ones"
    patience = 120.0

    def __init__(self, evidence: Evidence, holdings: Holdings, waiting: Waiting) -> None:
        super().__init__(evidence)
        self._holdings = holdings
        self._waiting = waiting
        self._since: dict[Alike, float] = {}
        self._looked_at = 0.0

    def crashed(self) -> None:
        """Nobody places while nobody decides."""
        self._since.clear()

    def committed(self, turn: Turn) -> None:
        """Whatever was placed has got on."""
        for event in turn.events:
            if isinstance(event, events.TasksAssigned):
                for job_id in {job_of(one.task_id) for one in event.assignments}:
                    self._since.pop(self._waiting.alike_of(job_id), None)

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """See Checker."""
        now = self.evidence.now
        if not self.evidence.scenario.policy.preemption or now < self._looked_at + _EVERY_SECONDS:
            return
        self._looked_at = now
        kept: dict[str, set[JobId]] = defaultdict(set)
        for one in reservations(process):
            for worker_id in one.workers:
                kept[worker_id].add(one.job_id)
        stuck = {alike for alike in self._waiting.alike() if self._is_held_up(alike, kept)}
        for alike in set(self._since) - stuck:
            del self._since[alike]
        for alike in stuck:
            since = self._since.setdefault(alike, now)
            if now - since > self.patience:
                raise self.broken(
                    f"{alike.name} ({alike.band.value}, needs {alike.need}) has waited for "
                    f"{now - since:.0f} s while later bands hold what it could run on"
                )

    def _is_held_up(self, alike: Alike, kept: dict[str, set[JobId]]) -> bool:
        copies = alike.spec.replicas if alike.is_gang else 1
        if self._holdings.within_budget(alike.user, alike.need, copies) < copies:
            return False
        rooms: dict[str, int] = defaultdict(int)
        for holder in self._holdings.workers.values():
            if not self._holdings.accepts(holder) or not alike.may_run_on(holder):
                continue
            if self._is_kept_for_others(alike, kept.get(holder.record.worker_id, set())):
                continue
            group = holder.attributes.get(alike.spec.gang.group_by, "") if alike.spec.gang else ""
            rooms[group] += alike.need.copies_in(self._room(alike, holder), copies)
        if alike.is_gang:
            return any(room >= copies for room in rooms.values())
        return any(rooms.values())

    def _is_kept_for_others(self, alike: Alike, kept: set[JobId]) -> bool:
        own = {job_id for job_id, _ in alike.tasks}
        jobs = self.evidence.ledger.jobs
        return any(
            other not in own and other in jobs and jobs[other].spec.priority.rank <= alike.band.rank
            for other in kept
        )

    def _room(self, alike: Alike, holder: Holder) -> Resources:
        """What is free there, and what later bands hold."""
        room, ledger = holder.free, self.evidence.ledger
        for uid, need in holder.held.items():
            attempt = ledger.attempts.get(uid)
            job = ledger.jobs.get(attempt.job_id) if attempt is not None else None
            if job is not None and alike.band.may_preempt(job.spec.priority):
                room += need
        return room


class EndsAreAcknowledged(Checker):
    """A worker that is heard gets an answer to the ends that it tells, and may forget them."""

    invariant = "ends are acknowledged"
    # So often an end is told again meanwhile that not all of it can be lost.
    patience = 120.0

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._up_since = 0.0

    def recovered(self, process: ControllerProcess) -> None:
        """See Checker."""
        self._up_since = self.evidence.now

    def ticked(self) -> None:
        """See Checker."""
        now = self.evidence.now
        for one in self.evidence.cloud.slices.values():
            for vm in one.vms_now:
                if vm.worker is None or not vm.worker.process.serving:
                    continue
                since = max(vm.worker.process.serving_since, self._up_since)
                ends = vm.worker.ends_before(now - self.patience)
                if ends and now - since > self.patience:
                    raise self.broken(
                        f"{vm.worker.process.incarnation_id} has told the end of {ends[0]} for "
                        f"more than {self.patience:g} s"
                    )
