"""report.json: a stable schema (`schema` counts its breaking changes) for programs that read runs."""

import dataclasses
import json
from datetime import datetime
from enum import Enum

from iris.smoke.report.summary import FlowReport

SCHEMA = 2


def render_json(report: FlowReport) -> str:
    """The whole report."""
    document = {
        "schema": SCHEMA,
        "passed": report.passed,
        "headline": report.headline(),
        "started_at": report.started_at,
        "seconds": round(report.seconds, 3),
        "problem": report.problem,
        "critical_path": report.critical_path(),
        "milestones": [{"step": step, "at": round(at, 3)} for step, at in report.milestones],
        "shutdown_seconds": _rounded(report.shutdown_seconds),
        "seed": report.seed,
        "environment": dict(report.environment),
        "repeat": report.repeat,
        "kept": report.kept,
        "bounds": None if report.bounds is None else dataclasses.asdict(report.bounds),
        "cases": [
            dataclasses.asdict(result) | {"seconds": round(result.seconds, 3)}
            for result in report.results
        ],
        "history": dataclasses.asdict(report.history),
        "files": list(report.files),
    }
    return json.dumps(document, indent=2, default=_plain) + "\n"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return str(value.value) if isinstance(value, Enum) else str(value)
