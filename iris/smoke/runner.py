"""Runs the cases: each phase's at once, each with a deadline of its own, and keeps what they found whatever happens."""

import asyncio
import time
import traceback
from collections.abc import Callable, Sequence

from iris.model.errors import IrisError
from iris.smoke.case import Case, CaseResult, CheckFailed, Mark, Phase, Verdict
from iris.smoke.context import CaseContext
from iris.smoke.live import LiveOutput


class CaseRunner:
    """Holds the results of one run of the flow. Use from one event loop.

    Args:
        case_timeout: Seconds for each case.
        began: `time.monotonic()` at which the flow began.
        live: Is told what begins and what is over.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        *,
        case_timeout: float,
        began: float,
        live: LiveOutput,
    ) -> None:
        self._cases = tuple(cases)
        self._case_timeout = case_timeout
        self._began = began
        self._live = live
        self._marks: list[Mark] = []
        self._results: dict[str, CaseResult] = {}

    def has_cases(self, phase: Phase) -> bool:
        """Whether anything is to be done in it."""
        return any(case.phase is phase for case in self._cases)

    async def run_phase(
        self, phase: Phase, *, offers: frozenset[str], make_context: Callable[[Case], CaseContext]
    ) -> bool:
        """Runs the cases of a phase at once; whether all of them were good. Cancelling it ends
        them all, noted as TIMEOUT.

        A case that needs more than the cluster `offers` is skipped, with that reason.
        """
        cases = [case for case in self._cases if case.phase is phase]
        async with asyncio.TaskGroup() as group:
            for case in cases:
                group.create_task(self._run(case, offers, make_context), name=f"case {case.name}")
        return all(self._results[case.name].verdict.is_good for case in cases)

    def record(self, result: CaseResult) -> None:
        """Adds the result of a case that runs outside of the cluster's life, as the teardown's does."""
        self._results[result.name] = result
        self._live.over(result)

    def marks(self) -> tuple[Mark, ...]:
        """What the cases did to the cluster, as far as they are over."""
        return tuple(self._marks)

    def results(self) -> tuple[CaseResult, ...]:
        """In the order of the cases; those whose turn never came are NOT_RUN."""
        names = [case.name for case in self._cases]
        missing = {
            case.name: CaseResult(case.name, case.what, Verdict.NOT_RUN) for case in self._cases
        }
        extra = [name for name in self._results if name not in missing]
        return tuple(self._results.get(name) or missing[name] for name in [*names, *extra])

    async def _run(
        self, case: Case, offers: frozenset[str], make_context: Callable[[Case], CaseContext]
    ) -> None:
        lacking = sorted(case.needs - offers)
        if lacking:
            now = self._elapsed()
            problem = f"this cluster has no {', '.join(lacking)}"
            self.record(CaseResult(case.name, case.what, Verdict.SKIPPED, now, now, problem))
            return
        context = make_context(case)
        self._live.began(case.name)
        started = self._elapsed()
        verdict, problem = Verdict.PASSED, ""
        try:
            async with asyncio.timeout(self._case_timeout):
                await case.run(context)
            if not context.evidence:
                verdict, problem = Verdict.ERROR, "the case recorded no evidence that anything ran"
        except CheckFailed as failure:
            verdict, problem = Verdict.FAILED, str(failure)
        except TimeoutError:
            verdict, problem = Verdict.TIMEOUT, f"not done within its {self._case_timeout:g} s"
        except asyncio.CancelledError:
            problem = "the flow's deadline, or an interruption, ended it"
            self._finish(case, context, Verdict.TIMEOUT, problem, started)
            raise
        except IrisError as error:
            verdict, problem = Verdict.FAILED, f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - it is the verdict
            verdict, problem = Verdict.ERROR, f"{type(error).__name__}: {error}"
            context.log_lines.extend(traceback.format_exc().splitlines())
        self._finish(case, context, verdict, problem, started)

    def _finish(
        self, case: Case, context: CaseContext, verdict: Verdict, problem: str, started: float
    ) -> None:
        self._marks.extend(context.marks)
        evidence, log_lines = tuple(context.evidence), tuple(context.log_lines)
        self.record(
            CaseResult(
                case.name,
                case.what,
                verdict,
                started,
                self._elapsed(),
                problem,
                evidence,
                log_lines,
            )
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._began
