"""Tokens of tasks, and what callers may do."""

import contextvars

import pytest

from iris.model.errors import PermissionDenied
from iris.model.ids import AttemptUid, JobId
from iris.rpc.scopes import (
    TaskScope,
    attempt_of_token,
    check_is_attempt,
    check_may_change,
    check_may_read,
    enter_scope,
    task_token,
)

CLUSTER = "the-cluster's"
UID = AttemptUid("attempt-1.of.some")
SCOPE = TaskScope(UID, JobId("/ann/train"))


def test_a_token_names_its_attempt() -> None:
    token = task_token(CLUSTER, UID)
    assert attempt_of_token(CLUSTER, token) == UID
    assert CLUSTER not in token


@pytest.mark.parametrize(
    "token",
    [
        "",
        CLUSTER,
        "task.",
        "task..",
        f"task.{UID}",
        f"task.{UID}.",
        task_token(CLUSTER, UID).removeprefix("task."),
        task_token(CLUSTER, UID).replace("of", "in"),
        task_token(CLUSTER, UID).upper(),
        task_token("another's", UID),
        "task.ü.ü\udcff",
    ],
)
def test_nothing_else_is_one(token: str) -> None:
    assert attempt_of_token(CLUSTER, token) is None


def in_scope(scope: TaskScope | None, check: object, *arguments: str) -> bool:
    """Whether the check lets it pass."""

    def run() -> bool:
        enter_scope(scope)
        try:
            check(*arguments, "touch")  # type: ignore[operator]
        except PermissionDenied:
            return False
        return True

    return contextvars.copy_context().run(run)


@pytest.mark.parametrize(
    ("job_id", "change", "read"),
    [
        ("/ann/train", False, True),
        ("/ann/train/eval", True, True),
        ("/ann/train/eval/deep", True, True),
        ("/ann/trainer", False, False),
        ("/ann", False, False),
        ("/ann/", False, False),
        ("", False, False),
    ],
)
def test_only_what_is_below_its_job_is_a_tasks(job_id: str, change: bool, read: bool) -> None:
    assert in_scope(SCOPE, check_may_change, job_id) == change
    assert in_scope(SCOPE, check_may_read, job_id) == read
    assert in_scope(None, check_may_change, job_id)
    assert in_scope(None, check_may_read, job_id)


def test_it_speaks_for_itself() -> None:
    assert in_scope(SCOPE, check_is_attempt, UID)
    assert not in_scope(SCOPE, check_is_attempt, "another")
    assert in_scope(None, check_is_attempt, "another")
