"""One run of the flow as a value; the three renderings show this and nothing else."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from iris.smoke.bounds import BoundsReport
from iris.smoke.case import CaseResult, Verdict
from iris.smoke.history import History


@dataclass(frozen=True, slots=True)
class FlowReport:
    """All of it.

    Attributes:
        milestones: Seconds since the flow began at which each step of its critical path was done.
        environment: What it ran in and on: sandbox, processors, versions, seed.
        repeat: The command that runs the same again.
        seed: What the flow's random choices follow from.
        problem: What ended the flow early; empty if nothing did.
        shutdown_seconds: How long the cluster took to stop; None if it was not the flow's to stop.
        kept: Where the cluster can be found that was left running; empty if none was.
        history: What there was on the cluster, for the timeline.
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
    seed: int = 0
    shutdown_seconds: float | None = None
    kept: str = ""
    history: History = field(default_factory=History)

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

    def critical_path(self) -> str:
        """Each step with how long it took and, where cases ran in it, the one that ended last."""
        parts = []
        before = 0.0
        for step, at in self.milestones:
            inside = [one for one in self.results if before <= one.ended <= at and one.seconds]
            last = max(inside, key=lambda one: one.ended, default=None)
            name = step.removesuffix(" done")
            parts.append(f"{name} {at - before:.2f} s" + (f" ({last.name})" if last else ""))
            before = at
        return " → ".join(parts)

    def headline(self) -> str:
        """One line: verdict, counts, duration."""
        counts = Counter(result.verdict for result in self.results)
        parts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
        return (
            f"{'PASSED' if self.passed else 'FAILED'}: {', '.join(parts)} in {self.seconds:.1f} s"
        )
