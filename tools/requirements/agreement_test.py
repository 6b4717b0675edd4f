"""Tests that requirements.in and the lock agree, and that a disagreement would be found."""

import pathlib
import re

import pytest

from tools.requirements.agreement import disagreements

INPUT = pathlib.Path("requirements.in")
LOCK = pathlib.Path("requirements_lock.txt")
HASH = "--hash=sha256:" + "0" * 64

GOOD_INPUT = """
# A comment.
Absl_Py>=2,<3   # Flags.
pytest[extra]>=8,<10  # Tests.
"""
GOOD_LOCK = f"""
# Written by a program.
absl-py==2.5.1 \\
    {HASH} \\
    {HASH.replace("0", "1")}
    # via -r requirements.in
colorama==0.4.6 ; sys_platform == 'win32' \\
    {HASH}
    # via pytest
pytest[extra]==9.2.0 \\
    {HASH}
    # via
    #   -r requirements.in
    #   pytest-asyncio
"""


def test_requirements_and_lock_agree() -> None:
    problems = disagreements(INPUT.read_text(), LOCK.read_text())
    assert problems == [], "renew the lock: ./bazelw run //tools/requirements:update"


def test_the_lock_names_no_machine() -> None:
    for line in LOCK.read_text().splitlines():
        assert not re.search(r"\w+://|\bfile:|(^|[\s=])~?/\w", line), line


def test_what_agrees_agrees() -> None:
    assert disagreements(GOOD_INPUT, GOOD_LOCK) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Absl_Py>=2,<3", "Absl_Py>=3", "locked to 2.5.1"),
        ("Absl_Py>=2,<3", "Absl_Py", "no bound"),
        ("# Flags.", "", "no comment"),
        ("Absl_Py>=2,<3   # Flags.", "", "does not name it"),
        ("pytest[extra]", "pytest[extra,other]", "without its extras"),
        ("pytest[extra]", "absl.py", "named twice"),
        ("# A comment.", "rich>=1,<2  # Colour.", "rich is in requirements.in and not in the lock"),
        ("# A comment.", "--index-url=https://example.org", "no requirement"),
    ],
)
def test_a_changed_input_disagrees(old: str, new: str, problem: str) -> None:
    assert old in GOOD_INPUT
    assert problem in "\n".join(disagreements(GOOD_INPUT.replace(old, new), GOOD_LOCK))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("absl-py==2.5.1", "absl-py==3.0", "locked to 3.0"),
        ("absl-py==2.5.1", "absl-py>=2.5.1", "does not pin one version"),
        ("# via -r requirements.in", "# via pytest", "does not say so"),
        ("# via pytest\n", "# via click\n", "nothing that is asked for needs it"),
        ("# via pytest\n", "", "nothing that is asked for needs it"),
        ("# Written by a program.", "--index-url https://example.org/simple", "is an option"),
        ("# Written by a program.", "--find-links /srv/wheels", "is an option"),
        (f"pytest[extra]==9.2.0 \\\n    {HASH}", "pytest[extra]==9.2.0", "no --hash"),
    ],
)
def test_a_changed_lock_disagrees(old: str, new: str, problem: str) -> None:
    assert old in GOOD_LOCK
    assert problem in "\n".join(disagreements(GOOD_INPUT, GOOD_LOCK.replace(old, new)))
