"""Tests of `${NAME}` in texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.config.variables import BadVariable, escape, expand, variables_in

_ENVIRONMENT = {"HOST": "lab-1", "EMPTY": "", "ODD": "${HOST}"}


@pytest.mark.parametrize(
    ("text", "expected", "names"),
    [
        ("plain", "plain", ()),
        ("${HOST}", "lab-1", ("HOST",)),
        ("a-${HOST}.b-${HOST}", "a-lab-1.b-lab-1", ("HOST",)),
        ("${HOST}${EMPTY}", "lab-1", ("HOST", "EMPTY")),
        ("${HOST:-other}", "lab-1", ("HOST",)),
        ("${EMPTY:-other}", "other", ("EMPTY",)),
        ("${UNSET:-other}", "other", ("UNSET",)),
        ("${UNSET:-}", "", ("UNSET",)),
        ("${UNSET:-a b:c-d}", "a b:c-d", ("UNSET",)),
        ("${ODD}", "${HOST}", ("ODD",)),
        ("$HOST costs $5", "$HOST costs $5", ()),
        ("$${HOST}", "${HOST}", ()),
        ("$$${HOST}", "$${HOST}", ()),
        ("$$", "$$", ()),
    ],
)
def test_what_a_text_becomes(text: str, expected: str, names: tuple[str, ...]) -> None:
    assert expand(text, _ENVIRONMENT) == expected
    assert variables_in(text) == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a-${UNSET}",
            "the environment variable UNSET is not set; set it, "
            "or write ${UNSET:-what holds without it}",
        ),
        (
            "${HOST",
            "'${' in '${HOST' is no variable; write ${NAME}, ${NAME:-what holds without it}, "
            "or $${ for a literal ${",
        ),
    ],
)
def test_what_stands_for_nothing(text: str, expected: str) -> None:
    with pytest.raises(BadVariable) as caught:
        expand(text, _ENVIRONMENT)
    assert str(caught.value) == expected


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A B}", "${A:=b}", "${A:-${B}}", "${A-b}"])
def test_more_of_the_shell_s_spellings_is_not_known(text: str) -> None:
    with pytest.raises(BadVariable):
        expand(text, _ENVIRONMENT)


@given(st.text("${}AB:-", max_size=12) | st.text())
def test_what_is_escaped_stays_itself_in_any_environment(text: str) -> None:
    assert expand(escape(text), {}) == text
    assert variables_in(escape(text)) == ()
