"""Users: they submit jobs and terminate them, and ask again until they have an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.jobs import Job
from iris.controller.state.machine import ControllerState
from iris.controller.submission import Launch
from iris.model.errors import Internal, IrisError
from iris.model.ids import JobId
from iris.simulation.clock import Agenda, VirtualClock
from iris.simulation.controller import ControllerProcess
from iris.simulation.network import Network
from iris.simulation.scenario import JobPlan, Scenario

# A call without an answer is made again after so long.
_PATIENCE = 7.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a client knows of its job once it was taken.

    Attributes:
        number: The job's: names are used again, numbers are not.
        created: This request made it; otherwise it was there, and was kept.
    """

    plan: JobPlan
    job_id: JobId
    number: int
    created: bool


class ClientWitness(Protocol):
    """Who wants to know what users were told."""

    def accepted(self, accepted: Accepted) -> None:
        """A client has been told that its job is taken."""

    def refused(self, plan: JobPlan, error: IrisError) -> None:
        """A client has been told that its job is not taken, and gives up."""

    def terminating(self, job_id: JobId) -> None:
        """A client's wish to end a job is on its way, for the first time."""


class Clients:
    """All of a scenario.

    Attributes:
        unanswered: Calls that are still made.
    """

    def __init__(
        self,
        scenario: Scenario,
        network: Network,
        controller: Callable[[], ControllerProcess | None],
        *,
        agenda: Agenda,
        clock: VirtualClock,
        witness: ClientWitness,
    ) -> None:
        self.unanswered = 0
        self._network = network
        self._controller = controller
        self._agenda = agenda
        self._clock = clock
        self._witness = witness
        self._submitting = set(scenario.jobs)
        self._to_end: list[tuple[ControllerProcess, Job, Callable[[], None]]] = []
        for position, plan in enumerate(scenario.jobs):
            self._schedule(plan, f"request-{position}")

    def turned(self, process: ControllerProcess) -> None:
        """The state has changed: whoever waits for a job's end looks again."""
        waiting, self._to_end = self._to_end, []
        for of, job, ended in waiting:
            if of is not process:
                continue  # died; the client asks again
            there = process.state.jobs.get(job.job_id) is job
            if there and not job.record.state.is_terminal:
                self._to_end.append((of, job, ended))
            else:
                ended()

    def _schedule(self, plan: JobPlan, request_id: str) -> None:
        launch = Launch(plan.job_id, plan.spec, plan.policy, request_id)
        self.unanswered += 1
        self._agenda.at(plan.submit_at, lambda: self._submit(plan, launch))
        if plan.cancel_at is not None:
            self.unanswered += 1
            self._agenda.at(plan.cancel_at, lambda: self._cancel(plan))

    # --- submitting -----------------------------------------------------------------------------

    def _submit(self, plan: JobPlan, launch: Launch) -> None:
        again = self._agenda.after(_PATIENCE, lambda: self._submit(plan, launch))
        answered = False

        def hear(what: Accepted | IrisError) -> None:
            nonlocal answered
            if again.action is None or answered:
                return  # too late: it has asked again, and that answer counts
            answered = True
            again.cancel()
            self.unanswered -= 1
            self._submitting.discard(plan)
            if isinstance(what, Accepted):
                self._witness.accepted(what)
            else:
                self._witness.refused(plan, what)

        def answer(what: Accepted | IrisError) -> None:
            self._network.call(lambda: hear(what))

        def arrive() -> None:
            process = self._controller()
            if process is not None:
                self._launch(process, plan, launch, answer)

        self._network.call(arrive)

    def _launch(
        self,
        process: ControllerProcess,
        plan: JobPlan,
        launch: Launch,
        answer: Callable[[Accepted | IrisError], None],
    ) -> None:
        """As iris.controller.service.LaunchJob does."""
        known = process.state.jobs.get(launch.job_id)
        if known is not None and launch.accepts(known):
            answer(_accepted(plan, known, launch.made(known)))
            return

        def submitted(state: ControllerState) -> events.JobSubmitted | None:
            there = state.jobs.get(launch.job_id)
            if there is not None and launch.has_to_end(there):
                return None
            return events.JobSubmitted(
                self._clock.now(), launch.job_id, launch.spec, launch.request_id, launch.policy
            )

        def done(what: Effects | IrisError) -> None:
            if isinstance(what, IrisError):
                answer(what)
                return
            there = process.state.jobs.get(launch.job_id)
            if there is None:
                raise Internal(f"{launch.job_id} was taken and is not there.")
            if what.submitted or not launch.has_to_end(there):
                answer(_accepted(plan, there, bool(what.submitted) or launch.made(there)))
                return
            self._end(process, there, lambda: process.request(submitted, done))

        process.request(submitted, done)

    def _end(self, process: ControllerProcess, job: Job, ended: Callable[[], None]) -> None:
        self._witness.terminating(job.job_id)
        event = events.TerminateRequested(
            self._clock.now(), job.job_id, "another job takes its name"
        )
        process.request(lambda _: event, lambda _: None)
        self._to_end.append((process, job, ended))

    # --- terminating ----------------------------------------------------------------------------

    def _cancel(self, plan: JobPlan) -> None:
        again = self._agenda.after(_PATIENCE, lambda: self._cancel(plan))
        early = plan in self._submitting

        def hear() -> None:
            if again.action is None:
                return
            if early:
                return  # it may not have arrived then: another job of its name, or none, was meant
            again.cancel()
            self.unanswered -= 1

        def arrive() -> None:
            process = self._controller()
            if process is None:
                return
            self._witness.terminating(plan.job_id)
            event = events.TerminateRequested(self._clock.now(), plan.job_id, "cancelled")
            process.request(lambda _: event, lambda _: self._network.call(hear))

        self._network.call(arrive)


def _accepted(plan: JobPlan, job: Job, created: bool) -> Accepted:
    return Accepted(plan, job.job_id, job.record.number, created)
