"""The smoke flow as a program. Exit codes: 0 all good, 1 something failed, 2 bad input and nothing was started."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from absl import app

from iris.host.ids import RandomIds
from iris.model.errors import IrisError
from iris.smoke.flow import Flow
from iris.smoke.live import LiveOutput
from iris.smoke.options import SmokeOptions, options_from_flags
from iris.smoke.report.html_report import render_html
from iris.smoke.report.json_report import render_json
from iris.smoke.report.junit_report import render_junit
from iris.smoke.report.markdown_report import render_markdown
from iris.smoke.report.summary import FlowReport


def main(argv: list[str]) -> int:
    """Runs the flow as the flags say and writes the reports."""
    try:
        if len(argv) > 1:
            print(
                f"unexpected arguments: {argv[1:]}; everything is a flag, see --help",
                file=sys.stderr,
            )
            return 2
        options = options_from_flags()
        report = run_flow(options)
    except IrisError as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 2
    write_reports(report, options.report_dir, junit_copy=os.environ.get("XML_OUTPUT_FILE"))
    print(report.headline())
    if report.problem:
        print(f"problem: {report.problem}")
    if report.kept:
        print(f"the cluster was kept: {report.kept}")
    print(f"critical path: {report.critical_path()}")
    print(f"report: {options.report_dir / 'report.html'}")
    return 0 if report.passed else 1


def run_flow(options: SmokeOptions) -> FlowReport:
    """Runs the flow in a fresh event loop. SIGTERM and SIGINT end it early, but not its cleanup and report."""
    # Sockets may lie below it: the folder's name has to be short, which TEST_TMPDIR is not.
    state_dir = Path(tempfile.mkdtemp(prefix="iris-"))
    live = LiveOutput(sys.stdout)

    async def run() -> FlowReport:
        flow = Flow(options, state_dir=state_dir, ids=RandomIds(), live=live)
        task = asyncio.create_task(flow.run())
        loop = asyncio.get_running_loop()
        # The first one ends the work; the cleanup that follows is bounded and not to be ended.
        interrupt = once(task.cancel)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, interrupt)
        return await task

    report: FlowReport | None = None
    try:
        report = asyncio.run(run())
        return report
    finally:
        live.close()
        if report is None or not report.kept:
            shutil.rmtree(state_dir, ignore_errors=True)


def once(action: Callable[[], object]) -> Callable[[], None]:
    """Does it when first called, and nothing from then on."""
    actions = [action]

    def act() -> None:
        if actions:
            actions.pop()()

    return act


def write_reports(report: FlowReport, report_dir: Path, *, junit_copy: str | None) -> None:
    """Writes report.json, report.md, report.html and junit.xml, and a copy of the last where the
    build system wants it.
    """
    report_dir.mkdir(parents=True, exist_ok=True)
    junit = render_junit(report)
    (report_dir / "report.json").write_text(render_json(report))
    (report_dir / "report.md").write_text(render_markdown(report))
    (report_dir / "report.html").write_text(render_html(report))
    (report_dir / "junit.xml").write_text(junit)
    if junit_copy:
        Path(junit_copy).write_text(junit)


if __name__ == "__main__":
    app.run(main)
