"""Ids from what people type, and names for jobs without one."""

import pytest

from iris.cli.errors import UsageError
from iris.cli.names import (
    default_name,
    new_job_id,
    program_name,
    resolve,
    resolve_job,
    short_name,
    user_name,
)
from iris.host.ids import RandomIds
from iris.model.ids import parse_job_id


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["python3", "train.py", "--epochs", "3"], "train"),
        (["python3.11", "-u", "src/train.py"], "train"),
        (["python3", "-m", "pkg.train"], "pkg.train"),
        (["python3", "-c", "print(1)"], "python3"),
        (["/usr/bin/python3"], "python3"),
        (["bash", "run.sh"], "run"),
        (["./my program.sh"], "my-program"),
        (["/opt/tool-1.2"], "tool-1.2"),
        (["./123"], "job"),
        (["..."], "job"),
        (["x" * 100], "x" * 40),
    ],
)
def test_what_a_program_is_called(argv: list[str], name: str) -> None:
    assert program_name(argv) == name
    parse_job_id(f"/ann/{default_name(argv, RandomIds())}")


def test_default_names_end_in_a_few_fresh_digits() -> None:
    names = {default_name(["true"], RandomIds()) for _ in range(50)}
    assert len(names) == 50
    assert {len(name) for name in names} == {len("true-") + 6}


@pytest.mark.parametrize(
    ("user", "name"),
    [("ann", "ann"), ("Ann Lee", "Ann-Lee"), ("DOM\\ann", "DOM-ann"), (".", "user")],
)
def test_users_become_a_part_of_an_id(user: str, name: str) -> None:
    assert user_name({"USER": user}) == name


def test_a_user_is_found_without_a_variable() -> None:
    assert user_name({})


def test_new_ids() -> None:
    assert new_job_id("ann", "run-7") == "/ann/run-7"
    assert new_job_id("ann", "/team/run-7") == "/team/run-7"


@pytest.mark.parametrize("name", ["", "a b", "7", "a//b", "/x", "-x"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a job"):
        new_job_id("ann", name)


@pytest.mark.parametrize(
    ("text", "full", "job"),
    [
        ("run-7", "/ann/run-7", "/ann/run-7"),
        ("run-7/2", "/ann/run-7/2", "/ann/run-7"),
        ("run-7/child", "/ann/run-7/child", "/ann/run-7/child"),
        ("/bob/run-7", "/bob/run-7", "/bob/run-7"),
        ("/bob/run-7/0", "/bob/run-7/0", "/bob/run-7"),
    ],
)
def test_jobs_and_tasks_by_name(text: str, full: str, job: str) -> None:
    assert resolve(text, "ann") == full
    assert resolve_job(text, "ann") == job


@pytest.mark.parametrize("text", ["", "a b", "/bob", "7"])
def test_what_is_no_job(text: str) -> None:
    with pytest.raises(UsageError, match="is no job or task"):
        resolve(text, "ann")


def test_short_names_resolve_to_the_same() -> None:
    for job_id in ("/ann/run-7", "/bob/run-7"):
        assert resolve(short_name(job_id, "ann"), "ann") == job_id
