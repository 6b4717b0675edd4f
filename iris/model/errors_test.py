"""One error class for each status, and texts that say what was wrong and what to do."""

import pytest

from iris.model.errors import (
    ERRORS_BY_CODE,
    DeadlineExceeded,
    ErrorCode,
    IrisError,
    NotFound,
    ResourceExhausted,
    Unavailable,
)


def test_every_status_has_one_class() -> None:
    assert set(ERRORS_BY_CODE) == set(ErrorCode)
    assert {error.code: error for error in IrisError.__subclasses__()} == ERRORS_BY_CODE


def test_names_are_those_on_the_wire() -> None:
    assert all(code.name == code.value for code in ErrorCode)


def test_what_a_retry_may_help() -> None:
    retryable = {error for error in ERRORS_BY_CODE.values() if error.retryable}
    assert retryable == {ResourceExhausted, Unavailable, DeadlineExceeded}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotFound("No job /u/a."), "No job /u/a."),
        (NotFound("No job /u/a.", hint="See job list."), "No job /u/a. See job list."),
    ],
)
def test_reads_as_text(error: IrisError, text: str) -> None:
    assert str(error) == text
    assert error.problem == "No job /u/a."
