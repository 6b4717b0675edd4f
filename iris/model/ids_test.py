"""Ids say what they name, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.model.errors import InvalidArgument
from iris.model.ids import (
    JobId,
    index_of,
    job_of,
    parent_of,
    parse_job_id,
    parse_job_or_task_id,
    task_id,
    user_of,
)

SEGMENTS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", fullmatch=True)
NAMES = SEGMENTS.filter(lambda name: not name.isdigit())
JOB_IDS = st.builds(
    lambda user, names: JobId("/".join(("", user, *names))),
    SEGMENTS,
    st.lists(NAMES, min_size=1, max_size=8),
)


@pytest.mark.parametrize(
    "text",
    ["/u/j", "/1/j", "/u/j/child", "/u/1a", "/u/j.v2_x-3", f"/u/{'x' * 63}", "/u" + "/j" * 8],
)
def test_is_a_job_id(text: str) -> None:
    assert parse_job_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/u",
        "u/j",
        "/u/",
        "/u//j",
        "/u/j/",
        "//j",
        "/u/5",
        "/u/j/0",
        "/u/j/0/k",
        "/u/-j",
        "/u/.j",
        "/u/j j",
        "/u/j\n",
        "/u/jé",
        "/u/..",
        f"/u/{'x' * 64}",
        "/u" + "/j" * 9,
    ],
)
def test_is_no_job_id(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_job_id(text)
    assert repr(text) in refusal.value.problem
    assert "/user/job" in refusal.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/u/j", ("/u/j", None)),
        ("/u/j/0", ("/u/j", 0)),
        ("/u/j/child/12", ("/u/j/child", 12)),
        ("/u/j/999999999", ("/u/j", 999_999_999)),
    ],
)
def test_job_or_task(text: str, expected: tuple[str, int | None]) -> None:
    assert parse_job_or_task_id(text) == expected


@pytest.mark.parametrize(
    "text", ["/u/0", "/u/j/00", "/u/j/-1", "/u/j/1/2", "0", f"/u/j/{'9' * 5000}", "/u/j/٣"]
)
def test_neither_job_nor_task(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_job_or_task_id(text)
    assert repr(text) in refusal.value.problem


@given(JOB_IDS, st.integers(0, 100_000))
def test_a_task_id_gives_back_what_it_was_made_of(job_id: JobId, index: int) -> None:
    task = task_id(job_id, index)
    assert (job_of(task), index_of(task)) == (job_id, index)
    assert parse_job_or_task_id(task) == (job_id, index)
    assert parse_job_or_task_id(job_id) == (job_id, None)


@given(JOB_IDS)
def test_parents_end_at_the_users_own_job(job_id: JobId) -> None:
    depth, job = 0, parent_of(job_id)
    while job is not None:
        assert parse_job_id(job) == job
        assert job_id.startswith(f"{job}/")
        depth, job = depth + 1, parent_of(job)
    assert depth == job_id.count("/") - 2


def test_user_of() -> None:
    assert user_of(JobId("/alice/train/eval")) == "alice"
