"""A terminal sees what runs; a file sees plain lines."""

import io

from iris.smoke.case import CaseResult, Evidence, Verdict
from iris.smoke.live import LiveOutput

GOOD = CaseResult(
    "hello", "A program runs.", Verdict.PASSED, 1.0, 1.5, "", (Evidence("output", "hi"),)
)
BAD = CaseResult("gang", "A gang starts.", Verdict.FAILED, 1.0, 2.0, "expected 4; found 3")


def shown(*, is_terminal: bool) -> str:
    out = io.StringIO()
    live = LiveOutput(out, is_terminal=is_terminal)
    live.expect(2)
    live.say("cluster up")
    live.began("hello")
    live.began("gang")
    live.over(GOOD)
    live.over(BAD)
    live.close()
    return out.getvalue()


def test_elsewhere_than_on_a_terminal_there_are_plain_lines_with_the_evidence() -> None:
    assert shown(is_terminal=False).splitlines() == [
        "cluster up",
        "passed   hello (0.50 s): output: hi",
        "failed   gang (1.00 s): expected 4; found 3",
    ]


def test_a_terminal_shows_what_still_runs_and_how_far_it_is() -> None:
    text = shown(is_terminal=True)
    assert "0/2  hello, gang" in text
    assert "1/2  gang" in text
    assert text.endswith("\r\x1b[K")


def test_no_color_is_honoured(monkeypatch: object) -> None:
    monkeypatch.setenv("NO_COLOR", "1")  # type: ignore[attr-defined]
    assert "\x1b[3" not in shown(is_terminal=True)
