"""The proof's outcome: a short table for people, JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from tools.cache_proof.proof import Step

SCHEMA = 1
"""Of the JSON; counts breaking changes."""

_HEADER = (
    f"{'':2} {'step':8} {'actions':>7} {'hits':>6} {'tests':>6} {'hits':>6} {'seconds':>8}  claim"
)


def header() -> str:
    """The table's first line."""
    return _HEADER


def row(step: Step) -> str:
    """A line of the table, and one below it for each problem."""
    mark = "✗" if step.problems else "✓"
    line = (
        f"{mark:2} {step.name:8} {step.actions:7} {step.hits:6} {step.tests:6} {step.test_hits:6} "
        f"{step.seconds:8.1f}  {step.claim}"
    )
    return "\n".join([line, *(f"     {problem}" for problem in step.problems)])


def as_json(commit: str, scope: Sequence[str], steps: Sequence[Step], seconds: float) -> str:
    """One object: `passed` says all; a step for each row of the table."""
    report = {
        "schema": SCHEMA,
        "passed": bool(steps) and not any(step.problems for step in steps),
        "commit": commit,
        "scope": list(scope),
        "seconds": round(seconds, 1),
        "steps": [asdict(step) | {"seconds": round(step.seconds, 1)} for step in steps],
    }
    return json.dumps(report, indent=2)
