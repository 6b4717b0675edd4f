"""JUnit XML, a testcase per case, as build systems read it (https://github.com/testmoapp/junitxml)."""

import re
import xml.etree.ElementTree as ET

from iris.smoke.case import CaseResult, Verdict
from iris.smoke.report.summary import FlowReport

# XML 1.0 allows no other control characters, not even escaped; a task may print any byte.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FAILURES = {
    Verdict.FAILED: "failure",
    Verdict.TIMEOUT: "failure",
    Verdict.ERROR: "error",
    Verdict.NOT_RUN: "error",
}


def render_junit(report: FlowReport) -> str:
    """The whole report; what went wrong outside of any case is a testcase `flow`."""
    suite = ET.Element(
        "testsuite", name="smoke", time=f"{report.seconds:.3f}", timestamp=report.started_at
    )
    for result in report.results:
        _add(suite, result)
    problem = report.problem or (report.bounds.violation if report.bounds else "")
    if problem:
        case = ET.SubElement(suite, "testcase", classname="smoke", name="flow", time="0")
        ET.SubElement(case, "error", message=_clean(problem))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    root = ET.Element("testsuites")
    root.append(suite)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add(suite: ET.Element, result: CaseResult) -> None:
    case = ET.SubElement(
        suite, "testcase", classname="smoke", name=result.name, time=f"{result.seconds:.3f}"
    )
    if tag := _FAILURES.get(result.verdict):
        detail = ET.SubElement(
            case, tag, message=_clean(f"{result.verdict.value}: {result.problem}")
        )
        detail.text = _clean("\n".join(result.log_lines))
    elif result.verdict is Verdict.SKIPPED:
        ET.SubElement(case, "skipped", message=_clean(result.problem))
    if result.evidence:
        output = "\n".join(f"{one.label}: {one.value}" for one in result.evidence)
        ET.SubElement(case, "system-out").text = _clean(output)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
