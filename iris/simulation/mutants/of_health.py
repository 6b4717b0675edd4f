"""Bugs in what follows from a worker's health."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from unittest.mock import patch

from iris.controller.state.attachments import Attachments
from iris.controller.state.effects import Effects
from iris.controller.state.events import WorkerHealthChanged
from iris.controller.state.fleet import Fleet, Worker
from iris.simulation.mutants.mutant import Mutant
from iris.simulation.scenario import FaultKind, Scenario
from iris.simulation.workload import Size, scenario_of

_Patch = AbstractContextManager[object]


def _nobody_asks() -> _Patch:
    refusal = Fleet.refusal

    def careless(self: Fleet, worker: Worker) -> str:
        said = refusal(self, worker)
        return "" if said == "unhealthy" else said

    return patch.object(Fleet, "refusal", careless)


def _once_ill_always_ill() -> _Patch:
    changed = Attachments.health_changed

    def stubborn(self: Attachments, event: WorkerHealthChanged, effects: Effects) -> None:
        if event.problems:
            changed(self, event, effects)

    return patch.object(Attachments, "health_changed", stubborn)


def _drains_are_forgotten() -> _Patch:
    def only_slices(self: Fleet, worker: Worker) -> bool:
        known = self.slices.get(worker.record.slice_id)
        return known is not None and known.draining

    return patch.object(Fleet, "is_draining", only_slices)


def _only(kind: FaultKind) -> Iterable[Scenario]:
    size = Size(jobs=80, workers=24, faults=frozenset({kind}))
    for seed in range(1, 4):
        yield scenario_of(seed, size)


def _some_fall_ill() -> Iterable[Scenario]:
    return _only(FaultKind.UNHEALTHY_WORKERS)


def _some_are_drained() -> Iterable[Scenario]:
    return _only(FaultKind.DRAIN_WORKERS)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "workers that are not well get work",
        "A worker with a full disk goes on getting work, which fails there.",
        _nobody_asks,
        frozenset({"workers that are not well get no work"}),
        _some_fall_ill,
    ),
    Mutant(
        "drained workers get work",
        "A user drains a worker to end it, and it never comes to rest.",
        _drains_are_forgotten,
        frozenset({"workers that are not well get no work"}),
        _some_are_drained,
    ),
    Mutant(
        "who was ill is never believed again",
        "The disk has room again, and the worker stays idle until it is restarted.",
        _once_ill_always_ill,
        frozenset({"no ready task waits beside room"}),
        _some_fall_ill,
    ),
)
