"""report.html, for people: one file without anything from elsewhere, light and dark, readable on a telephone."""

from collections.abc import Iterable
from datetime import datetime
from html import escape

from iris.model.resources import format_bytes
from iris.smoke.case import CaseResult, Evidence, Verdict
from iris.smoke.report.style import STYLE
from iris.smoke.report.summary import FlowReport
from iris.smoke.report.timeline import render_timeline

_ICONS = {Verdict.PASSED: "✓", Verdict.SKIPPED: "–", Verdict.NOT_RUN: "·"}
_LEGEND = (
    ("good", "succeeded"),
    ("bad", "failed"),
    ("moved", "preempted"),
    ("lost", "lost with its worker"),
    ("ended", "ended on request"),
)


def render_html(report: FlowReport) -> str:
    """The whole report."""
    verdict = "passed" if report.passed else "failed"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>Smoke flow {verdict}</title><style>{STYLE}</style></head>",
            f'<body class="{verdict}"><main>',
            *_header(report),
            *_failures(report),
            *_timeline(report),
            *_cases(report),
            *_steps(report),
            *_environment(report),
            "</main></body></html>",
            "",
        ]
    )


def _header(report: FlowReport) -> list[str]:
    counts = report.headline().partition(": ")[2].rpartition(" in ")[0]
    facts = [("cases", counts), ("took", f"{report.seconds:.1f} s")]
    if report.bounds is not None:
        peak, limit = (
            format_bytes(one) for one in (report.bounds.peak_memory, report.bounds.memory_limit)
        )
        if report.bounds.memory_limit < 1 << 60:
            facts.append(("memory at most", f"{peak} of {limit}"))
        else:
            facts.append(("memory at most", peak))
    if report.shutdown_seconds is not None:
        facts.append(("shut down in", f"{report.shutdown_seconds:.2f} s"))
    facts.append(("seed", str(report.seed)))
    return [
        "<header>",
        f'<p class="verdict">{"Passed" if report.passed else "Failed"}</p>',
        f'<h1>Smoke flow</h1><p class="when">{escape(report.started_at)}</p>',
        '<dl class="facts">',
        *(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts),
        "</dl></header>",
    ]


def _failures(report: FlowReport) -> Iterable[str]:
    problems = [text for text in (report.problem, _violation(report)) if text]
    bad = [result for result in report.results if not result.verdict.is_good]
    if not (problems or bad or report.kept):
        return
    yield '<section class="wrong"><h2>What went wrong</h2>'
    if not (problems or bad):
        yield "<p>Nothing.</p>"
    for text in problems:
        yield f"<article><h3>The flow itself</h3><p>{escape(text)}</p></article>"
    for result in bad:
        yield f"<article><h3>{escape(result.name)} <small>{result.verdict.value}</small></h3>"
        yield f'<p class="what">{escape(result.what)}</p><p>{escape(result.problem)}</p>'
        if result.log_lines:
            yield f"<pre>{escape(chr(10).join(result.log_lines))}</pre>"
        yield "</article>"
    if report.kept:
        yield f"<p>The cluster was kept: <code>{escape(report.kept)}</code></p>"
    yield "</section>"


def _violation(report: FlowReport) -> str:
    return report.bounds.violation if report.bounds else ""


def _timeline(report: FlowReport) -> Iterable[str]:
    picture = render_timeline(
        report.history,
        began=datetime.fromisoformat(report.started_at),
        seconds=report.seconds,
        milestones=report.milestones,
    )
    if not picture:
        return
    yield "<section><h2>What happened</h2>"
    yield '<p class="legend">'
    yield " ".join(f'<span><i class="{kind}"></i>{name}</span>' for kind, name in _LEGEND)
    yield '<span><i class="frame"></i>a slice, while it is there</span></p>'
    yield picture
    if report.history.marks:
        began = datetime.fromisoformat(report.started_at)
        yield '<ol class="faults">'
        for mark in report.history.marks:
            at = (mark.at - began).total_seconds()
            subject = f" <code>{escape(mark.subject)}</code>" if mark.subject else ""
            yield (
                f"<li><b>{escape(mark.what)}</b>{subject} "
                f"<small>{at:.1f} s, {escape(mark.case)}</small></li>"
            )
        yield "</ol>"
    yield "</section>"


def _cases(report: FlowReport) -> Iterable[str]:
    yield '<section><h2>Cases</h2><ul class="cases">'
    for result in report.results:
        yield _case(result, max(report.seconds, 0.001))
    yield "</ul></section>"


def _case(result: CaseResult, total: float) -> str:
    kind = {Verdict.PASSED: "good", Verdict.SKIPPED: "skip", Verdict.NOT_RUN: "skip"}.get(
        result.verdict, "bad"
    )
    left, width = result.started / total * 100, max(result.seconds / total * 100, 0.5)
    told = (
        "" if result.verdict is Verdict.PASSED else f'<p class="told">{escape(result.problem)}</p>'
    )
    return (
        f'<li class="{kind}"><span class="icon" title="{result.verdict.value}">{_ICONS.get(result.verdict, "✗")}</span>'
        f"<div><h3>{escape(result.name)}</h3>"
        f'<p class="what">{escape(result.what)}</p>{told}{_evidence(result.evidence)}</div>'
        f'<div class="time"><b>{result.seconds:.2f} s</b>'
        f'<span class="track"><span style="margin-left:{left:.1f}%;width:{width:.1f}%"></span></span></div></li>'
    )


def _evidence(evidence: Iterable[Evidence]) -> str:
    rows = "".join(
        f"<div><dt>{escape(one.label)}</dt><dd>{escape(one.value)}</dd></div>" for one in evidence
    )
    return f"<dl>{rows}</dl>" if rows else ""


def _steps(report: FlowReport) -> Iterable[str]:
    yield "<section><h2>Critical path</h2>"
    yield f'<p class="path">{escape(report.critical_path())}</p></section>'


def _environment(report: FlowReport) -> Iterable[str]:
    yield '<section><h2>Where, and how to run it again</h2><dl class="environment">'
    facts = dict(report.environment)
    if report.bounds is not None:
        bounds = report.bounds
        held = bounds.violation or "held"
        facts["bounds"] = (
            f"{held}; {bounds.cpu_limit} processors, at most {bounds.peak_processes} processes at a "
            f"time ({bounds.samples} looks)"
        )
    for name, value in facts.items():
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
    yield f"</dl><pre>{escape(report.repeat)}</pre></section>"
