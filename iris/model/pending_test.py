"""A reason reads as one sentence, whatever parts it has."""

import pytest

from iris.model.pending import PendingCode, PendingReason

CODE = PendingCode.INSUFFICIENT_RESOURCE


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (PendingReason(CODE), "too little of a resource"),
        (PendingReason(CODE, "cpu"), "too little of a resource (cpu)"),
        (PendingReason(CODE, "cpu", "8 cores"), "too little of a resource (cpu): needs 8 cores"),
        (
            PendingReason(CODE, "cpu", "8 cores", "4 cores on w"),
            "too little of a resource (cpu): needs 8 cores, nearest is 4 cores on w",
        ),
        (
            PendingReason(CODE, nearest="4 cores on w"),
            "too little of a resource: nearest is 4 cores on w",
        ),
        (
            PendingReason(CODE, "cpu", "8 cores", hint="Ask for less."),
            "too little of a resource (cpu): needs 8 cores. Ask for less.",
        ),
    ],
)
def test_summary(reason: PendingReason, text: str) -> None:
    assert reason.summary() == text


def test_every_rule_reads_differently() -> None:
    assert len({code.value for code in PendingCode}) == len(PendingCode)
