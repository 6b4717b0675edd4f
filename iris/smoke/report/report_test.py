"""The three renderings say what was found, and only a run that proved something passes."""

import dataclasses
import html.parser
import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from iris.smoke.bounds import BoundsReport
from iris.smoke.case import CaseResult, Evidence, Mark, Verdict
from iris.smoke.history import History, Span
from iris.smoke.report.html_report import render_html
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
START = datetime(2026, 1, 1, tzinfo=UTC)
HISTORY = History(
    (
        Span("slice", "cpu-1f3a", "cpu", START, START + timedelta(seconds=2), "ready"),
        Span("worker", "cpu-1f3a/0", "cpu-1f3a", START, START + timedelta(seconds=2), "connected"),
        Span("attempt", "hello/0 #0", "cpu-1f3a/0", START, START + timedelta(seconds=1), "failed"),
    ),
    (Mark(START + timedelta(seconds=1), "worker-killed", "worker <killed>", "cpu-1f3a/0"),),
)
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
    assert (document["schema"], document["passed"]) == (2, False)
    assert [(case["name"], case["verdict"]) for case in document["cases"]] == [
        ("hello", "passed"),
        ("gang", "failed"),
    ]
    assert document["cases"][0]["evidence"] == [{"label": "output", "value": "hello | there"}]
    assert document["bounds"]["peak_memory"] == 100 << 20


# What programs may count on. A change that breaks one of them counts up SCHEMA; a new key does not.
SHAPE = {
    "schema": int,
    "passed": bool,
    "headline": str,
    "started_at": str,
    "seconds": float,
    "problem": str,
    "critical_path": str,
    "milestones": [{"step": str, "at": float}],
    "shutdown_seconds": float,
    "seed": int,
    "environment": {"processors": str},
    "repeat": str,
    "kept": str,
    "bounds": {
        "cpu_limit": int,
        "memory_limit": int,
        "peak_memory": int,
        "peak_processes": int,
        "samples": int,
        "violation": str,
    },
    "cases": [
        {
            "name": str,
            "what": str,
            "verdict": str,
            "started": float,
            "ended": float,
            "seconds": float,
            "problem": str,
            "evidence": [{"label": str, "value": str}],
            "log_lines": [str],
        }
    ],
    "history": {
        "spans": [
            {
                "kind": str,
                "name": str,
                "owner": str,
                "began": str,
                "ended": str,
                "state": str,
                "count": int,
            }
        ],
        "marks": [{"at": str, "case": str, "what": str, "subject": str}],
    },
    "files": [str],
}


def shape_of(value: object) -> object:
    if isinstance(value, dict):
        return {key: shape_of(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])]
    return type(value)


def test_the_shape_of_the_json_is_pinned() -> None:
    report = report_of(
        dataclasses.replace(GOOD, log_lines=("a line",)),
        files=("controller.log",),
        environment={"processors": "2"},
        shutdown_seconds=0.25,
        history=HISTORY,
    )
    assert json.loads(render_json(report))["schema"] == 2
    assert shape_of(json.loads(render_json(report))) == SHAPE


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


class Page(html.parser.HTMLParser):
    """What a page refers to, what it says, and whether every element is closed."""

    VOID = frozenset({"meta", "rect", "line", "circle"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_asks_nobody_for_anything() -> None:
    text = render_html(report_of(GOOD, BAD, SKIPPED, history=HISTORY))
    page = Page(text)
    assert page.open == []
    assert page.references == []
    assert "url(" not in text and "@import" not in text and "<script" not in text
    assert "http" not in text


def test_the_page_says_what_went_wrong_with_its_logs_and_what_was_proved() -> None:
    page = Page(render_html(report_of(GOOD, BAD, SKIPPED, problem="interrupted", history=HISTORY)))
    for said in (
        "Failed",
        "interrupted",
        "expected 4; found",
        "last",
        "hello | there",
        "smoke --x",
    ):
        assert said in page.text
    assert "What went wrong" not in Page(render_html(report_of(GOOD))).text


def test_the_timeline_shows_slices_attempts_and_faults_where_they_were() -> None:
    report = report_of(GOOD, seconds=4.0, started_at=START.isoformat(), history=HISTORY)
    text = render_html(report)
    assert '<rect class="frame slice" x="0.00%" width="50.00%"' in text
    assert '<rect class="attempt bad" x="0.00%" width="25.00%"' in text
    assert '<circle cx="25.00%"' in text
    assert "worker &lt;killed&gt;" in text
    assert "slice cpu-1f3a: 2.0 s" in text


def test_what_a_task_printed_cannot_become_part_of_the_page() -> None:
    evil = "<script>alert(1)</script>"
    bad = dataclasses.replace(BAD, problem=evil, log_lines=(evil,), name=evil, what=evil)
    assert "<script" not in render_html(report_of(bad, repeat=evil, problem=evil))


def test_the_critical_path_names_the_case_that_ended_last_in_each_step() -> None:
    report = report_of(GOOD, BAD, milestones=(("cluster up", 0.5), ("work done", 2.5)))
    assert report.critical_path() == "cluster up 0.50 s → work 2.00 s (gang)"
