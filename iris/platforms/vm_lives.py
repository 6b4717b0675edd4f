"""Where the VMs of one slice stand: what every platform's slices have in common."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from iris.model.fleet import ManagedVm, VmState
from iris.model.ids import WorkerId
from iris.model.vm_states import VmLife, slice_state
from iris.platforms.init_log import InitLog, InitLogs

_UP = (VmState.READY, VmState.UNHEALTHY)


class VmLives:
    """The lives of a slice's VMs, each along the table of iris.model.vm_states, with their logs; whoever waits for a
    change is woken. Belongs to one event loop.

    A VM is READY only if the platform says so and its worker does not say that it is not well.

    Args:
        vm_ids: In order of their index; their workers have the same names.
        found: They exist, and were made by an earlier process.
    """

    def __init__(
        self,
        vm_ids: Sequence[str],
        now: Callable[[], datetime],
        logs: InitLogs,
        *,
        found: bool = False,
    ) -> None:
        self._vm_ids = tuple(vm_ids)
        self._now = now
        self._logs = logs
        self._log_of = [logs.of(vm_id) for vm_id in vm_ids]
        begun = VmLife.begun(now(), VmState.UNHEALTHY if found else VmState.REQUESTING)
        self._lives = [begun] * len(vm_ids)
        # What the platform says of those that are up, and what their workers say.
        self._said = [(begun.state, "")] * len(vm_ids)
        self._worker_says = [""] * len(vm_ids)
        self._steps = [""] * len(vm_ids)
        self._changed = asyncio.Event()

    @property
    def vm_ids(self) -> tuple[str, ...]:
        """Of all of them, in order."""
        return self._vm_ids

    @property
    def states(self) -> tuple[VmState, ...]:
        """Of all of them, in order."""
        return tuple(life.state for life in self._lives)

    def log(self, index: int) -> InitLog:
        """Of one of them."""
        return self._log_of[index]

    def problem_of(self, index: int) -> str:
        """What is wrong with one of them."""
        return self._lives[index].problem

    def set(self, index: int, state: VmState, problem: str = "") -> None:
        """What the platform says of one. Raises Internal for a state that cannot follow."""
        self._said[index] = (state, problem)
        self._look_at(index)

    def step(self, index: int, text: str) -> None:
        """What is done there now, while it comes up; stands in its log as well."""
        self._steps[index] = text
        self._log_of[index].add(text)

    def note_health(self, problems: Mapping[WorkerId, str]) -> None:
        """What is wrong with the workers; those that are not named are well."""
        for index, vm_id in enumerate(self._vm_ids):
            problem = problems.get(WorkerId(vm_id), "")
            if problem != self._worker_says[index]:
                self._worker_says[index] = problem
                if self._said[index][0] in _UP:
                    self._look_at(index)

    def status(self) -> VmState:
        """Of the slice."""
        return slice_state(life.state for life in self._lives)

    def problem(self) -> str:
        """What is wrong with any of them, by their names."""
        pairs = zip(self._vm_ids, self._lives, strict=True)
        return "; ".join(f"{vm_id}: {life.problem}" for vm_id, life in pairs if life.problem)

    def vms(self, addresses: Sequence[str]) -> tuple[ManagedVm, ...]:
        """All of them; `addresses` in the same order."""
        rows = zip(self._vm_ids, self._lives, self._steps, addresses, strict=True)
        return tuple(
            ManagedVm(
                vm_id,
                life.state,
                WorkerId(vm_id),
                address,
                life.problem,
                "" if life.state in _UP or life.state.is_gone else step,
                life.phases,
            )
            for vm_id, life, step, address in rows
        )

    async def wait_changed(self) -> None:
        """Returns after the next change."""
        await self._changed.wait()

    def forget(self) -> None:
        """The slice exists no more."""
        for vm_id in self._vm_ids:
            self._logs.gone(vm_id)

    def _look_at(self, index: int) -> None:
        state, problem = self._said[index]
        worker_says = self._worker_says[index]
        if worker_says and state in _UP:
            state, problem = VmState.UNHEALTHY, "; ".join(filter(None, (problem, worker_says)))
        before = self._lives[index]
        if (state, problem) == (before.state, before.problem):
            return
        self._lives[index] = before.after(state, self._now(), problem)
        self._log_of[index].add(f"{state.value}: {problem}" if problem else state.value)
        # Wakes all who wait now, and nobody who begins to wait afterwards.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
