"""For tests: a world in which anything may happen, from a seed."""

import random
from collections.abc import Callable, Iterable
from datetime import timedelta

from iris.controller.state import events
from iris.controller.state.checked_world_fixture import CheckedWorld
from iris.controller.state.effects import Effects
from iris.controller.state.scenario import WORKER_TOTAL, spec
from iris.model.errors import AlreadyExists, FailedPrecondition, NotFound
from iris.model.health import HealthProblem
from iris.model.ids import AttemptUid, JobId, SliceId, TaskId, WorkerId, job_of
from iris.model.job import ExistingJobPolicy, JobSpec
from iris.model.priority import PriorityBand
from iris.model.published import Endpoint, TaskOutput
from iris.model.states import TaskState

ENDS = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.KILLED)
_MOST_JOBS = 16


class RandomWorld(CheckedWorld):
    """Workers that do as they like."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.incarnations: dict[str, int] = {}
        self.names: list[JobId] = []
        self.unwell: dict[str, tuple[HealthProblem, ...]] = {}

    def step(self) -> None:
        """One thing happens."""
        actions: dict[Callable[[], None], float] = {
            self.submit: 2 if len(self.names) < _MOST_JOBS else 0,
            self.submit_again: 1,
            self.place: 8,
            self.preempt: 1,
            self.progress: 12,
            self.attach: 4,
            self.detach: 2,
            self.restart_worker: 1,
            self.lose: 1,
            self.drain: 0.3,
            self.change_health: 0.5,
            self.drain_worker: 0.3,
            self.lose_slice: 0.5,
            self.terminate: 0.5,
            self.prune: 0.5,
            self.pass_time: 4,
            self.repeat_or_lie: 2,
            self.publish: 2,
        }
        self.chance.choices(list(actions), list(actions.values()))[0]()
        self.check()
        if self.chance.random() < 0.5:
            self.end_turn()

    # --- jobs ------------------------------------------------------------------------------------

    def spec(self) -> JobSpec:
        """Any."""
        chance = self.chance
        gang = chance.random() < 0.4
        return spec(
            chance.randint(1, 5),
            gang=gang,
            failures=chance.randint(0, 2),
            preemptions=chance.choice((0, 2, 100)),
            band=chance.choice(list(PriorityBand)),
            max_task_failures=0 if gang else chance.choice((0, 0, 1, 3)),
            timeout=chance.choice((None, None, timedelta(seconds=40))),
            scheduling_timeout=chance.choice((None, None, timedelta(seconds=20))),
            outlives_parent=chance.random() < 0.3,
        )

    def submit(self) -> None:
        """A new name, of a child perhaps."""
        parents = [job.job_id for job in self.state.jobs.newest_first()]
        if parents and self.chance.random() < 0.4:
            above: str = self.chance.choice(parents)
        else:
            above = self.chance.choice(("/ann", "/bob"))
        name = JobId(f"{above}/job{len(self.names)}")
        if name.count("/") < 6:
            self.names.append(name)
            self.submit_as(name, ExistingJobPolicy.ERROR, "")

    def submit_again(self) -> None:
        """A name that was used before."""
        if self.names:
            policy = self.chance.choice(list(ExistingJobPolicy))
            self.submit_as(self.chance.choice(self.names), policy, self.chance.choice(("", "r1")))

    def submit_as(self, name: JobId, policy: ExistingJobPolicy, request_id: str) -> None:
        """Submits a job; a refusal changes nothing."""
        number = self.state.jobs.next_number
        event = events.JobSubmitted(self.world.now, name, self.spec(), request_id, policy)
        try:
            effects = self.apply(event)
        except (AlreadyExists, FailedPrecondition, NotFound):
            assert self.state.jobs.next_number == number
            return
        assert self.state.jobs.next_number == number + len(effects.submitted)

    def terminate(self) -> None:
        """A user ends a job."""
        jobs = list(self.state.jobs.newest_first())
        if jobs:
            job_id = self.chance.choice(jobs).job_id
            self.obey(self.apply(events.TerminateRequested(self.world.now, job_id, "")).stop)

    def prune(self) -> None:
        """Some of what ended a while ago is forgotten."""
        before = self.world.now - timedelta(seconds=self.chance.choice((0, 10, 100)))
        going = self.state.ended.prunable(before, self.chance.randint(1, 5))
        for job_id in going:
            job = self.state.jobs.get(job_id)
            assert job is not None
            assert job.record.finished_at is not None
            assert job.record.finished_at <= before
        if going:
            self.apply(events.JobsPruned(self.world.now, going))

    # --- the scheduler ---------------------------------------------------------------------------

    def place(self) -> None:
        """First fit."""
        seen = self.world.shown()
        free = {view.worker_id: view.free for view in seen.workers if view.accepting}
        placed: list[tuple[TaskId, WorkerId]] = []
        waiting = [(job, one.request) for one in seen.classes for job in one.jobs]
        for job, request in sorted(waiting, key=lambda pair: pair[0].number):
            trial = dict(free)
            places: list[tuple[TaskId, WorkerId]] = []
            for task in job.tasks:
                fitting = [name for name, has in trial.items() if request.resources.fits_in(has)]
                if fitting and (request.gang is not None or self.chance.random() < 0.9):
                    worker = self.chance.choice(fitting)
                    trial[worker] -= request.resources
                    places.append((task.task_id, worker))
            if request.gang is None or len(places) == len(job.tasks):
                free, placed = trial, placed + places
        if not placed:
            return
        assignments = tuple(
            events.Assignment(task, worker, AttemptUid(f"a{len(self.needs) + i}"))
            for i, (task, worker) in enumerate(placed)
        )
        for one in assignments:
            job_there = self.state.jobs.get(job_of(one.task_id))
            assert job_there is not None
            self.needs[one.attempt_uid] = job_there.record.spec.resources
        effects = self.apply(events.TasksAssigned(self.world.now, assignments))
        for name, uid in effects.run:
            if name in self.connected and self.chance.random() < 0.1:
                self.connected.discard(name)  # before it had heard of it
                self.detached(name)
            if name in self.connected:
                self.has[name][uid] = TaskState.ASSIGNED

    def preempt(self) -> None:
        """Something that runs makes room: an attempt, or a gang."""
        running = [
            (job, attempt.uid)
            for job in self.state.jobs.newest_first()
            for index in range(len(job.tasks))
            for attempt in self.state.jobs.attempts_of(job, index)
            if attempt.state.is_active
        ]
        if not running:
            return
        job, uid = self.chance.choice(running)
        uids = [other for of, other in running if of is job] if job.is_gang else [uid]
        named = tuple(events.Preempted(one, JobId("/ann/urgent")) for one in uids)
        self.obey(self.apply(events.TasksPreempted(self.world.now, named)).stop)

    # --- workers ---------------------------------------------------------------------------------

    def progress(self) -> None:
        """An attempt moves on, and its worker says so if it can."""
        busy = [
            (name, uid)
            for name, has in sorted(self.has.items())
            for uid, state in has.items()
            if not state.is_terminal
        ]
        if not busy:
            return
        name, uid = self.chance.choice(busy)
        nexts = {
            TaskState.ASSIGNED: (TaskState.BUILDING, TaskState.RUNNING, TaskState.FAILED),
            TaskState.BUILDING: (TaskState.RUNNING, TaskState.FAILED),
            TaskState.RUNNING: (TaskState.SUCCEEDED, *ENDS),
        }
        self.has[name][uid] = self.chance.choice(nexts[self.has[name][uid]])
        self.report(name, uid)

    def observe(self, name: str, uid: AttemptUid, state: TaskState) -> Effects:
        """A worker says how an attempt stands."""
        return self.apply(
            events.AttemptObserved(
                self.world.now,
                WorkerId(name),
                str(self.incarnations.get(name, 0)),
                events.Observation(uid, state),
                self.chance.random(),
            )
        )

    def report(self, name: str, uid: AttemptUid) -> None:
        """A worker says the truth, if it can."""
        if name not in self.connected:
            return
        state = self.has[name][uid]
        effects = self.observe(name, uid, state)
        acknowledged = (name, uid) in effects.acknowledge
        assert acknowledged == state.is_terminal
        if acknowledged:
            del self.has[name][uid]
        self.obey(effects.stop)

    def obey(self, stops: Iterable[tuple[str, AttemptUid]]) -> None:
        """Workers stop what they are told to at once or some day, as `progress` does."""
        for name, uid in list(stops):
            state = self.has.get(name, {}).get(uid)
            there = name in self.connected and state and not state.is_terminal
            if there and self.chance.random() < 0.5:
                self.has[name][uid] = self.chance.choice(ENDS)
                self.report(name, uid)

    def attach(self) -> None:
        """A worker dials in."""
        name = f"w{self.chance.randint(0, 5)}"
        uids = list(self.has.get(name, ()))
        self.reattach(name)
        for uid in uids:
            if uid in self.has[name]:
                self.report(name, uid)

    def reattach(self, name: str) -> None:
        """A worker dials in and hears what it should have."""
        self.incarnations.setdefault(name, 0)
        has = self.has.setdefault(name, {})
        self.apply(
            events.WorkerAttached(
                at=self.world.now,
                worker_id=WorkerId(name),
                incarnation_id=str(self.incarnations[name]),
                slice_id=SliceId(f"s{int(name[1:]) // 2}"),
                scale_group="cpu",
                total=WORKER_TOTAL,
                attributes=(("slice-id", f"s{int(name[1:]) // 2}"),),
                host="127.0.0.1",
                isolation="none",
                version="1",
                running=tuple(uid for uid, state in has.items() if not state.is_terminal),
                ended=tuple(uid for uid, state in has.items() if state.is_terminal),
                jitter=self.chance.random(),
                problems=self.unwell.get(name, ()),
            )
        )
        self.connected.add(name)
        self.deliver_complete(name)

    def deliver_complete(self, name: str) -> None:
        """The complete desired set: what is new begins, what is not named is stopped, at once or
        some day.
        """
        worker = self.state.fleet.get(WorkerId(name))
        assert worker is not None
        wanted = set()
        for uid in worker.attempts:
            attempt = self.state.jobs.attempt(uid)
            if attempt is not None and self.state.is_wanted(attempt):
                wanted.add(uid)
        has = self.has[name]
        for uid in sorted(wanted - set(has)):
            has[uid] = TaskState.ASSIGNED
        for uid in [uid for uid in has if uid not in wanted and not has[uid].is_terminal]:
            if self.chance.random() < 0.5:
                has[uid] = TaskState.KILLED

    def detached(self, name: str) -> None:
        """A stream broke."""
        incarnation = str(self.incarnations[name])
        self.apply(events.WorkerDetached(self.world.now, WorkerId(name), incarnation))

    def detach(self) -> None:
        """A worker's stream breaks."""
        if self.connected:
            name = self.chance.choice(sorted(self.connected))
            self.connected.discard(name)
            self.detached(name)

    def restart_worker(self) -> None:
        """A worker's process is another one now."""
        if self.incarnations:
            name = self.chance.choice(sorted(self.incarnations))
            self.connected.discard(name)
            self.incarnations[name] += 1
            self.has[name] = {}

    def lose(self) -> None:
        """A worker is given up. It may come back."""
        if self.incarnations:
            name = self.chance.choice(sorted(self.incarnations))
            self.connected.discard(name)
            incarnation = str(self.incarnations[name])
            self.apply(
                events.WorkerLost(
                    self.world.now, WorkerId(name), incarnation, "silent", self.chance.random()
                )
            )

    def drain(self) -> None:
        """A slice is to be given back. That it is gone may take a while."""
        slice_id = SliceId(f"s{self.chance.randint(0, 2)}")
        self.apply(events.SliceDraining(self.world.now, slice_id))

    def change_health(self) -> None:
        """A worker is well no more, or again. Perhaps it is one that is not there any more."""
        name = f"w{self.chance.randint(0, 5)}"
        self.unwell[name] = self.chance.choice(((), (HealthProblem("disk", "full"),)))
        incarnation = str(self.incarnations.get(name, 0))
        worker = WorkerId(name)
        self.apply(
            events.WorkerHealthChanged(self.world.now, worker, incarnation, self.unwell[name])
        )

    def drain_worker(self) -> None:
        """A user wants a worker to take no work, or to take some again."""
        workers = [worker.record.worker_id for worker in self.state.fleet]
        if workers:
            chosen, drain = self.chance.choice(workers), self.chance.random() < 0.5
            self.apply(events.WorkerDrainChanged(self.world.now, chosen, drain))

    def lose_slice(self) -> None:
        """The machines of a slice are gone for good."""
        self.lose_slice_of(self.chance.randint(0, 2))

    def lose_slice_of(self, number: int) -> None:
        """There may be others under the same names later."""
        for name in (f"w{2 * number}", f"w{2 * number + 1}"):
            self.connected.discard(name)
            self.incarnations[name] = self.incarnations.get(name, 0) + 1
            self.has[name] = {}
        slice_id = SliceId(f"s{number}")
        self.apply(events.SliceGone(self.world.now, slice_id, "preempted", self.chance.random()))

    def pass_time(self) -> None:
        """Some time passes, and what is due then is done."""
        self.world.now += timedelta(seconds=self.chance.choice((0.1, 1, 10, 30)))
        due = self.state.next_due()
        if due is None or due > self.world.now:
            return
        self.obey(self.apply(events.TimePassed(self.world.now)).stop)
        later = self.state.next_due()
        assert later is None or later > self.world.now, "what was due has been done"

    def repeat_or_lie(self) -> None:
        """An observation that was made before, or that was never true."""
        known = [uid for uid in sorted(self.ended) if not self._is_on_a_worker(uid)]
        uid = self.chance.choice([*known, AttemptUid("no-such-attempt")])
        before = self.state.jobs.attempt(uid)
        state = self.chance.choice((TaskState.RUNNING, *ENDS))
        self.observe(before.worker_id if before else "w0", uid, state)
        assert before is None or not before.state.is_terminal or self._same_end(uid, before.state)

    def _is_on_a_worker(self, uid: AttemptUid) -> bool:
        return any(uid in has for has in self.has.values())

    def _same_end(self, uid: AttemptUid, state: TaskState) -> bool:
        after = self.state.jobs.attempt(uid)
        return after is not None and after.state is state

    def publish(self) -> None:
        """A program registers an endpoint, takes one back, or publishes an output."""
        uid = self.chance.choice(sorted({*self.needs, AttemptUid("no-such-attempt")}))
        known = self.state.jobs.attempt(uid)
        name, now = self.chance.choice("ab"), self.world.now
        event: events.Event = self.chance.choice(
            (
                events.EndpointRegistered(
                    now, uid, Endpoint(name, f"w:{self.chance.randint(1, 9)}")
                ),
                events.EndpointUnregistered(now, uid, name),
                events.OutputPublished(now, uid, TaskOutput(name, "sha256:" + "0" * 64, 1)),
            )
        )
        try:
            self.apply(event)
        except (FailedPrecondition, NotFound):
            assert known is None or known.state.is_terminal
            assert self.state.jobs.attempt(uid) is known

    # --- the end ---------------------------------------------------------------------------------

    def finish(self) -> None:
        """Everything that runs is brought to its end, and nothing new goes wrong."""
        draining = [name for name, one in self.state.fleet.slices.items() if one.draining]
        for slice_id in draining:
            self.lose_slice_of(int(slice_id[1:]))
        self.unwell.clear()
        for worker in self.state.fleet:
            self.apply(
                events.WorkerDrainChanged(self.world.now, worker.record.worker_id, drain=False)
            )
        for _ in range(500):
            if not self.state.jobs.active:
                break
            self._end_all(TaskState.SUCCEEDED)
            self.world.now += timedelta(seconds=1000)
            self.apply(events.TimePassed(self.world.now))
            self.place()
            self.check()
        for job in self.state.jobs.newest_first():
            assert job.record.state.is_terminal, f"{job.job_id} never ends: {list(job.tasks)}"
        self._end_all(TaskState.KILLED)
        self.check()
        self.end_turn()

    def _end_all(self, end: TaskState) -> None:
        """Every worker is there, and tells the end of everything that it has."""
        for name in [f"w{number}" for number in range(6)]:
            self.reattach(name)
            for uid, state in list(self.has[name].items()):
                if not state.is_terminal:
                    self.has[name][uid] = end
                if uid in self.has[name]:
                    self.report(name, uid)
