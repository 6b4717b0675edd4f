"""Thousands of random events; after each, everything that always holds is checked.

The seed is printed, and with the same seed the same happens again.
"""

import os
import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from iris.controller.state import events, invariants
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import JobRecord
from iris.controller.state.retry import RetryPolicy
from iris.controller.state.scenario import WORKER_TOTAL, Scenario, spec
from iris.controller.state.views import snapshot
from iris.model.ids import AttemptUid, JobId, SliceId, TaskId, WorkerId
from iris.model.states import TaskState

SEED = int(os.environ.get("TEST_RANDOM_SEED", "0"))
ENDS = (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.KILLED)


class RandomWorld:
    """Workers that do as they like, and what they truly have."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = Scenario(RetryPolicy(job_minimum=5, job_factor=2))
        self.incarnations: dict[str, int] = {}
        self.connected: set[str] = set()
        # What each worker's process has, and what of it has ended but is not acknowledged.
        self.has: dict[str, dict[AttemptUid, TaskState]] = {}
        self.terminal: dict[TaskId, TaskState] = {}
        self.ended: dict[AttemptUid, TaskState] = {}
        self.jobs = 0

    @property
    def state(self) -> ControllerState:
        return self.world.state

    def step(self) -> None:
        """One thing happens."""
        actions = {
            self.submit: 2 if self.jobs < 12 else 0,
            self.place: 8,
            self.progress: 12,
            self.attach: 4,
            self.detach: 2,
            self.restart_worker: 1,
            self.lose: 1,
            self.lose_slice: 0.5,
            self.terminate: 0.5,
            self.pass_time: 4,
            self.repeat_or_lie: 2,
        }
        self.chance.choices(list(actions), list(actions.values()))[0]()
        self.check()

    def check(self) -> None:
        invariants.check(self.state)
        for name in self.connected:
            worker = self.state.fleet.get(WorkerId(name))
            assert worker is not None, name
            for uid in worker.attempts:
                attempt = self.state.jobs.attempt(uid)
                assert attempt is not None
                occupies = attempt.state.is_active or uid in self.has[name]
                assert occupies, f"{uid} has ended and {name} does not have it"
        for job in self.state.jobs.newest_first():
            for task in job.tasks:
                name = TaskId(f"{job.job_id}/{task.index}")
                if task.state.is_terminal:
                    assert self.terminal.setdefault(name, task.state) is task.state, name
                else:
                    assert name not in self.terminal, name
                for attempt in self.state.jobs.attempts_of(job, task.index):
                    if attempt.state.is_terminal:
                        kept = self.ended.setdefault(attempt.uid, attempt.state)
                        assert kept is attempt.state, attempt.uid

    def submit(self) -> None:
        self.jobs += 1
        chance = self.chance
        job = spec(
            chance.randint(1, 5),
            gang=chance.random() < 0.4,
            failures=chance.randint(0, 2),
            preemptions=chance.choice((0, 2, 100)),
        )
        self.world.submit(job, f"/random/job{self.jobs}")

    def place(self) -> None:
        """First fit."""
        seen = snapshot(self.state.jobs, self.state.fleet)
        free = {view.worker_id: view.free for view in seen.workers if view.accepting}
        placed: list[tuple[TaskId, WorkerId]] = []
        for job in seen.jobs:
            trial = dict(free)
            places: list[tuple[TaskId, WorkerId]] = []
            for task in job.tasks:
                fitting = [name for name, has in trial.items() if job.resources.fits_in(has)]
                if fitting:
                    worker = self.chance.choice(fitting)
                    trial[worker] -= job.resources
                    places.append((task.task_id, worker))
            if job.gang is None or len(places) == len(job.tasks):
                free, placed = trial, placed + places
        if placed:
            effects = self.world.apply(
                events.TasksAssigned(
                    self.world.now,
                    tuple(
                        events.Assignment(task, worker, AttemptUid(f"a{len(self.world.log)}-{i}"))
                        for i, (task, worker) in enumerate(placed)
                    ),
                )
            )
            for name, uid in effects.run:
                if name in self.connected and self.chance.random() < 0.1:
                    self.connected.discard(name)  # before it had heard of it
                    self.world.detach(name, str(self.incarnations[name]))
                if name in self.connected:
                    self.has[name][uid] = TaskState.ASSIGNED

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

    def report(self, name: str, uid: AttemptUid) -> None:
        if name not in self.connected:
            return
        state = self.has[name][uid]
        effects = self.world.observe(
            uid,
            state,
            worker=name,
            incarnation=str(self.incarnations[name]),
            jitter=self.chance.random(),
        )
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
        name = f"w{self.chance.randint(0, 5)}"
        self.incarnations.setdefault(name, 0)
        has = self.has.setdefault(name, {})
        running = [uid for uid, state in has.items() if not state.is_terminal]
        ended = [uid for uid, state in has.items() if state.is_terminal]
        self.world.attach(
            name,
            incarnation=str(self.incarnations[name]),
            slice_id=f"s{int(name[1:]) // 2}",
            running=tuple(running),
            ended=tuple(ended),
        )
        self.connected.add(name)
        self.deliver_complete(name)
        for uid in (*running, *ended):
            if uid in has:
                self.report(name, uid)

    def deliver_complete(self, name: str) -> None:
        """The complete desired set: what is new begins, what is not named is stopped."""
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
            has[uid] = TaskState.KILLED

    def detach(self) -> None:
        if self.connected:
            name = self.chance.choice(sorted(self.connected))
            self.connected.discard(name)
            self.world.detach(name, str(self.incarnations[name]))

    def restart_worker(self) -> None:
        if self.incarnations:
            name = self.chance.choice(sorted(self.incarnations))
            self.connected.discard(name)
            self.incarnations[name] += 1
            self.has[name] = {}

    def lose(self) -> None:
        if self.incarnations:
            name = self.chance.choice(sorted(self.incarnations))
            self.connected.discard(name)
            self.world.lose(name, str(self.incarnations[name]))

    def lose_slice(self) -> None:
        number = self.chance.randint(0, 2)
        for name in (f"w{2 * number}", f"w{2 * number + 1}"):
            self.connected.discard(name)
            self.incarnations[name] = self.incarnations.get(name, 0) + 1
            self.has[name] = {}
        slice_id = SliceId(f"s{number}")
        self.world.apply(
            events.SliceGone(self.world.now, slice_id, "preempted", self.chance.random())
        )

    def terminate(self) -> None:
        if self.jobs:
            effects = self.world.terminate("", f"/random/job{self.chance.randint(1, self.jobs)}")
            self.obey(effects.stop)

    def pass_time(self) -> None:
        self.world.pass_time(self.chance.choice((0.1, 1, 30, 1000)))

    def repeat_or_lie(self) -> None:
        """An observation that was made before, or that was never true."""
        uids = [*sorted(self.ended), "no-such-attempt"]
        uid, state = self.chance.choice(uids), self.chance.choice((TaskState.RUNNING, *ENDS))
        attempt = self.state.jobs.attempt(AttemptUid(uid))
        before = attempt
        self.world.observe(uid, state, worker="" if attempt else "w0", jitter=0.5)
        after = self.state.jobs.attempt(AttemptUid(uid))
        if before is not None and before.state.is_terminal:
            assert after == before

    def finish(self) -> None:
        """Everything that runs is brought to its end, and nothing new goes wrong."""
        for _ in range(500):
            if all(job.record.state.is_terminal for job in self.state.jobs.newest_first()):
                break
            for name in [f"w{number}" for number in range(6)]:
                self.incarnations.setdefault(name, 0)
                self.has.setdefault(name, {})
                self.reattach(name)
                for uid, state in list(self.has[name].items()):
                    if not state.is_terminal:
                        self.has[name][uid] = TaskState.SUCCEEDED
                    if uid in self.has[name]:
                        self.report(name, uid)
            self.world.pass_time(1000)
            self.place()
            self.check()
        for job in self.state.jobs.newest_first():
            assert job.record.state.is_terminal, f"{job.job_id} never ends: {job.tasks}"
        for name in list(self.has):
            self.reattach(name)
            for uid in list(self.has[name]):
                self.report(name, uid)
        self.check()

    def reattach(self, name: str) -> None:
        has = self.has[name]
        self.world.attach(
            name,
            incarnation=str(self.incarnations[name]),
            slice_id=f"s{int(name[1:]) // 2}",
            running=tuple(uid for uid, state in has.items() if not state.is_terminal),
            ended=tuple(uid for uid, state in has.items() if state.is_terminal),
        )
        self.connected.add(name)
        self.deliver_complete(name)


def records(state: ControllerState) -> tuple[object, ...]:
    """Everything that is kept, without what does not have to survive."""

    def plain(record: JobRecord) -> JobRecord:
        return replace(record, version=0)

    jobs = sorted(state.jobs.newest_first(), key=lambda job: job.record.number)
    return (
        [plain(job.record) for job in jobs],
        [job.tasks for job in jobs],
        [sorted(job.held) for job in jobs],
        [[list(state.jobs.attempts_of(job, task.index)) for task in job.tasks] for job in jobs],
        {worker.record.worker_id: (worker.record, worker.free) for worker in state.fleet},
    )


@pytest.mark.parametrize("round_", range(12))
def test_what_always_holds_holds(round_: int) -> None:
    seed = SEED * 1000 + round_
    print(f"seed {seed} (TEST_RANDOM_SEED={SEED})")
    run = RandomWorld(seed)
    for _ in range(400):
        run.step()
    run.finish()
    assert run.ended, "nothing happened"
    for worker in run.state.fleet:
        assert worker.free == WORKER_TOTAL, "all has ended, so all is free"


@pytest.mark.parametrize("round_", range(4))
def test_the_same_events_give_the_same_state(round_: int) -> None:
    seed = SEED * 1000 + 100 + round_
    print(f"seed {seed} (TEST_RANDOM_SEED={SEED})")
    run = RandomWorld(seed)
    for _ in range(300):
        run.step()
    again = ControllerState(RetryPolicy(job_minimum=5, job_factor=2))
    for event in run.world.log:
        again.apply(event)
    assert records(again) == records(run.state)


@pytest.mark.parametrize("round_", range(4))
def test_a_restored_state_is_the_same_and_goes_on(round_: int) -> None:
    seed = SEED * 1000 + 200 + round_
    print(f"seed {seed} (TEST_RANDOM_SEED={SEED})")
    run = RandomWorld(seed)
    for _ in range(300):
        run.step()
    old = run.state
    jobs = sorted(old.jobs.newest_first(), key=lambda job: job.record.number)
    restored = ControllerState(RetryPolicy(job_minimum=5, job_factor=2))
    restored.restore(
        [job.record for job in jobs],
        {JobId(job.job_id): list(job.tasks) for job in jobs},
        [
            attempt
            for job in jobs
            for task in job.tasks
            for attempt in old.jobs.attempts_of(job, task.index)
        ],
        [worker.record for worker in old.fleet],
        run.world.now,
    )
    assert records(restored)[:4] == records(old)[:4]
    for before, after in zip(jobs, reversed(list(restored.jobs.newest_first())), strict=True):
        assert after.record.version > before.record.version
    run.world.state = restored
    run.connected.clear()
    run.finish()
