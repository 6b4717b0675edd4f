"""The page that says which test holds which promise says what the build knows."""

import re
from pathlib import Path

from absl import flags

_PAGE = flags.DEFINE_string("page", "", "The page, a Markdown file.")
_PROMISES = flags.DEFINE_multi_string("promise", [], "PROMISE=TEST,TEST..")

_ROW = re.compile(r"^\| ([^|\n]+) \|[^|\n]*\| ((?:`//[^`|\n]+`(?:, )?)+) \|$", re.M)


def test_the_page_names_every_promise_with_its_tests() -> None:
    written = {
        promise: re.findall("`(//[^`]+)`", tests)
        for promise, tests in _ROW.findall(Path(_PAGE.value).read_text())
    }
    known = {
        promise: tests.split(",")
        for promise, _, tests in (said.partition("=") for said in _PROMISES.value)
    }
    assert len(known) >= 9
    assert written == known
