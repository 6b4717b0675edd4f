"""report.json: a stable schema (`schema` counts its breaking changes) for programs that read runs."""

import dataclasses
import json
from enum import Enum

from iris.smoke.report.summary import FlowReport

SCHEMA = 1


def render_json(report: FlowReport) -> str:
    """The whole report."""
    document = {
        "schema": SCHEMA,
        "passed": report.passed,
        "headline": report.headline(),
        "started_at": report.started_at,
        "seconds": round(report.seconds, 3),
        "problem": report.problem,
        "milestones": [{"step": step, "at": round(at, 3)} for step, at in report.milestones],
        "environment": dict(report.environment),
        "repeat": report.repeat,
        "bounds": None if report.bounds is None else dataclasses.asdict(report.bounds),
        "cases": [
            dataclasses.asdict(result) | {"seconds": round(result.seconds, 3)}
            for result in report.results
        ],
        "files": list(report.files),
    }
    return json.dumps(document, indent=2, default=_plain) + "\n"


def _plain(value: object) -> str:
    return str(value.value) if isinstance(value, Enum) else str(value)
