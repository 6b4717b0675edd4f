"""report.md, for people: verdict, what was proved by what, how long each step took, and how to run it again."""

from iris.model.resources import format_bytes
from iris.smoke.case import CaseResult, Verdict
from iris.smoke.report.summary import FlowReport

_MARKS = {Verdict.PASSED: "✓", Verdict.SKIPPED: "–"}


def render_markdown(report: FlowReport) -> str:
    """The whole report."""
    lines = [f"# Smoke flow: {report.headline()}", "", f"Started {report.started_at}.", ""]
    if report.problem:
        lines += [f"**The flow itself:** {_cell(report.problem)}", ""]
    lines += ["| | case | seconds | evidence, or what was wrong |", "|---|---|---|---|"]
    lines += [_row(result) for result in report.results]
    lines += ["", "## Critical path", ""]
    lines += [report.critical_path(), ""]
    lines += [f"- {at:6.2f} s  {step}" for step, at in report.milestones]
    if report.bounds:
        bounds = report.bounds
        held = f"**violated: {bounds.violation}**" if bounds.violation else "held"
        lines += [
            "",
            "## Bounds",
            "",
            f"- {held}: {bounds.cpu_limit} processors; {format_bytes(bounds.memory_limit)} memory for the whole tree",
            f"- peak {format_bytes(bounds.peak_memory)} in at most {bounds.peak_processes} processes"
            f" ({bounds.samples} samples)",
        ]
    lines += [
        "",
        "## Environment",
        "",
        *(f"- {name}: {value}" for name, value in report.environment.items()),
        f"- seed: {report.seed}",
    ]
    for result in report.results:
        if result.log_lines:
            lines += ["", f"## Logs of {result.name}", "", "```", *result.log_lines, "```"]
    lines += ["", "## Again", "", "```", report.repeat, "```", ""]
    return "\n".join(lines)


def _row(result: CaseResult) -> str:
    facts = "; ".join(f"{one.label}: {one.value}" for one in result.evidence)
    told = result.problem if result.problem else facts
    return (
        f"| {_MARKS.get(result.verdict, '✗')} {result.verdict.value} | **{result.name}**: {_cell(result.what)} "
        f"| {result.seconds:.2f} | {_cell(told)} |"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
