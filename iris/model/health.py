"""What keeps a worker from being well, as its checks found it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HealthProblem:
    """One of them.

    Attributes:
        check: Which of the worker's checks found it: "disk", "memory", "temp", "runtime", "clock".
        text: What it found and what it needs, with the numbers and what to do, for people.
    """

    check: str
    text: str

    def __str__(self) -> str:
        return f"{self.check}: {self.text}"


def problems_text(problems: tuple[HealthProblem, ...]) -> str:
    """All of them in one line; empty for none."""
    return "; ".join(map(str, problems))
