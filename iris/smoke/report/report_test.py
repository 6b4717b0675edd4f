"""The three renderings say what was found, and only a run that proved something passes."""

import dataclasses
import json
import xml.etree.ElementTree as ET

import pytest

from iris.smoke.bounds import BoundsReport
from iris.smoke.case import CaseResult, Evidence, Verdict
from iris.smoke.report.json_report import render_json
from iris.smoke.report.junit_report import render_junit
from iris.smoke.report.markdown_report import render_markdown
from iris.smoke.report.summary import FlowReport

GOOD = CaseResult(
    "hello", "A program runs.", Verdict.PASSED, 1.0, 1.5, "", (Evidence("output", "hello | there"),)
)
BAD = CaseResult(
    "gang",
    "A gang starts.",
    Verdict.FAILED,
    1.0,
    2.0,
    "expected 4; found \x003",
    (),
    ("last \x07 line",),
)
SKIPPED = CaseResult("gpu", "A GPU computes.", Verdict.SKIPPED, problem="this cluster has no gpu")
HELD = BoundsReport(2, 512 << 20, 100 << 20, 9, 40, "")


def report_of(*results: CaseResult, **more: object) -> FlowReport:
    plain = FlowReport(
        results,
        "2026-01-01T00:00:00+00:00",
        3.21,
        (("cluster up", 0.5),),
        {"seed": "7"},
        "smoke --x",
        HELD,
    )
    return dataclasses.replace(plain, **more)


def test_a_run_passes_only_if_something_was_proved_and_nothing_went_wrong() -> None:
    assert report_of(GOOD, SKIPPED).passed
    assert not report_of(GOOD, BAD).passed
    assert not report_of(SKIPPED).passed
    assert not report_of().passed
    assert not report_of(GOOD, problem="interrupted").passed
    assert not report_of(GOOD, bounds=dataclasses.replace(HELD, violation="too much")).passed


@pytest.mark.parametrize(
    "verdict", [v for v in Verdict if v not in (Verdict.PASSED, Verdict.SKIPPED)]
)
def test_no_other_verdict_is_good(verdict: Verdict) -> None:
    assert not report_of(GOOD, dataclasses.replace(BAD, verdict=verdict)).passed


def test_headline_counts_verdicts() -> None:
    assert (
        report_of(GOOD, BAD, SKIPPED).headline() == "FAILED: 1 passed, 1 failed, 1 skipped in 3.2 s"
    )


def test_json_has_every_case_with_verdict_and_evidence() -> None:
    document = json.loads(render_json(report_of(GOOD, BAD)))
    assert (document["schema"], document["passed"]) == (1, False)
    assert [(case["name"], case["verdict"]) for case in document["cases"]] == [
        ("hello", "passed"),
        ("gang", "failed"),
    ]
    assert document["cases"][0]["evidence"] == [{"label": "output", "value": "hello | there"}]
    assert document["bounds"]["peak_memory"] == 100 << 20


def test_junit_is_xml_even_for_bytes_that_xml_cannot_hold() -> None:
    root = ET.fromstring(render_junit(report_of(GOOD, BAD, SKIPPED, problem="interrupted")))
    suite = root.find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    assert [case.get("name") for case in suite] == ["hello", "gang", "gpu", "flow"]


def test_markdown_tells_the_problem_or_the_evidence_and_how_to_run_it_again() -> None:
    text = render_markdown(report_of(GOOD, BAD))
    assert text.startswith("# Smoke flow: FAILED: 1 passed, 1 failed")
    assert "output: hello \\| there" in text
    assert "expected 4; found" in text
    assert "## Logs of gang" in text
    assert "smoke --x" in text
