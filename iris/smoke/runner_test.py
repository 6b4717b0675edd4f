"""The runner keeps what cases found, whatever they do."""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from iris.model.errors import NotFound
from iris.smoke.case import Case, CaseResult, Evidence, Mark, Phase, Verdict, check, check_equal
from iris.smoke.context import CaseContext
from iris.smoke.live import LiveOutput
from iris.smoke.runner import CaseRunner


class Notes:
    """The part of a case's context that the runner reads."""

    def __init__(self) -> None:
        self.evidence: list[Evidence] = []
        self.log_lines: list[str] = []
        self.marks: list[Mark] = []

    def saw(self, label: str, value: object) -> None:
        self.evidence.append(Evidence(label, str(value)))


def make_context(_: Case) -> CaseContext:
    return cast(CaseContext, Notes())


def case(name: str, run: Callable[[CaseContext], Awaitable[None]], **more: object) -> Case:
    return Case(name, f"what {name} proves", run, **more)  # type: ignore[arg-type]


def runner_of(*cases: Case, case_timeout: float = 30) -> CaseRunner:
    return CaseRunner(
        cases, case_timeout=case_timeout, began=time.monotonic(), live=LiveOutput(io.StringIO())
    )


async def outcome(one: Case, **options: float) -> CaseResult:
    runner = runner_of(one, **options)
    await runner.run_phase(one.phase, offers=frozenset(), make_context=make_context)
    return runner.results()[0]


async def good(context: CaseContext) -> None:
    context.saw("output", "hello")


async def test_a_case_that_shows_evidence_passes() -> None:
    result = await outcome(case("good", good))
    assert (result.verdict, result.evidence) == (Verdict.PASSED, (Evidence("output", "hello"),))


async def test_a_case_without_evidence_does_not_pass() -> None:
    async def silent(_: CaseContext) -> None:
        pass

    result = await outcome(case("silent", silent))
    assert result.verdict is Verdict.ERROR
    assert "no evidence" in result.problem


async def test_a_failed_check_names_expected_and_found_and_keeps_evidence() -> None:
    async def bad(context: CaseContext) -> None:
        context.saw("first", 1)
        check_equal(3, 4, "the answer")

    result = await outcome(case("bad", bad))
    assert (result.verdict, result.problem) == (Verdict.FAILED, "the answer: expected 4; found 3")
    assert result.evidence


async def test_an_error_of_the_cluster_is_a_failure_and_a_bug_in_the_case_an_error() -> None:
    async def refused(_: CaseContext) -> None:
        raise NotFound("no job /a/b", hint="list them")

    async def broken(_: CaseContext) -> None:
        raise ZeroDivisionError("oops")

    assert (await outcome(case("refused", refused))).verdict is Verdict.FAILED
    result = await outcome(case("broken", broken))
    assert result.verdict is Verdict.ERROR
    assert any("ZeroDivisionError" in line for line in result.log_lines)


async def test_a_case_that_hangs_is_ended_by_its_deadline() -> None:
    async def hang(_: CaseContext) -> None:
        await asyncio.Event().wait()

    assert (await outcome(case("hang", hang), case_timeout=0.05)).verdict is Verdict.TIMEOUT


async def test_what_the_cluster_lacks_is_skipped_by_name() -> None:
    result = await outcome(case("needy", good, needs=frozenset({"gpu"})))
    assert (result.verdict, result.problem) == (Verdict.SKIPPED, "this cluster has no gpu")


async def test_cases_of_a_phase_run_at_once_and_those_never_reached_are_not_run() -> None:
    barrier = asyncio.Barrier(2)

    async def meet(context: CaseContext) -> None:
        await barrier.wait()
        context.saw("met", "yes")

    runner = runner_of(case("a", meet), case("b", meet), case("later", good, phase=Phase.SETTLE))
    assert await runner.run_phase(Phase.WORK, offers=frozenset(), make_context=make_context)
    assert [result.verdict for result in runner.results()] == [
        Verdict.PASSED,
        Verdict.PASSED,
        Verdict.NOT_RUN,
    ]


async def test_cancelling_the_phase_notes_every_case_as_timed_out() -> None:
    started = asyncio.Event()

    async def hang(_: CaseContext) -> None:
        started.set()
        await asyncio.Event().wait()

    runner = runner_of(case("hang", hang))
    phase = asyncio.create_task(
        runner.run_phase(Phase.WORK, offers=frozenset(), make_context=make_context)
    )
    await started.wait()
    phase.cancel()
    with pytest.raises(asyncio.CancelledError):
        await phase
    assert runner.results()[0].verdict is Verdict.TIMEOUT


def test_check_lets_true_things_pass() -> None:
    check(True, "nothing")
    check_equal(1, 1, "one")
