"""One run of the flow as a value; the three renderings show this and nothing else."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from iris.smoke.bounds import BoundsReport
from iris.smoke.case import CaseResult, Verdict


@dataclass(frozen=True, slots=True)
class FlowReport:
    """All of it.

    Attributes:
        milestones: Seconds since the flow began at which each step of its critical path was done.
        environment: What it ran in and on: sandbox, processors, versions, seed.
        repeat: The command that runs the same again.
        problem: What ended the flow early; empty if nothing did.
    """

    results: tuple[CaseResult, ...]
    started_at: str
    seconds: float
    milestones: tuple[tuple[str, float], ...]
    environment: Mapping[str, str]
    repeat: str
    bounds: BoundsReport | None = None
    problem: str = ""
    files: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether every case that could run passed, at least one did, and nothing went wrong around them."""
        ran = any(result.verdict is Verdict.PASSED for result in self.results)
        held = self.bounds is None or not self.bounds.violation
        return (
            ran
            and held
            and not self.problem
            and all(result.verdict.is_good for result in self.results)
        )

    def headline(self) -> str:
        """One line: verdict, counts, duration."""
        counts = Counter(result.verdict for result in self.results)
        parts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
        return (
            f"{'PASSED' if self.passed else 'FAILED'}: {', '.join(parts)} in {self.seconds:.1f} s"
        )
