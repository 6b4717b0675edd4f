"""A worker that writes for years does not fill the disk with it."""

import io
import logging
from pathlib import Path

from iris.platforms.local.bounded_log import BoundedFileHandler


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("worker", logging.INFO, __file__, 1, text, None, None)


def test_a_file_begins_anew_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    with path.open("a") as file:
        handler = BoundedFileHandler(file, most=1000)
        for number in range(100):
            handler.emit(record(f"line {number:03} {'x' * 91}"))
            assert path.stat().st_size <= 1200
    lines = path.read_text().splitlines()
    assert lines[0] == "earlier lines were dropped"
    assert lines[-1].startswith("line 099")


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    stream = io.StringIO()
    BoundedFileHandler(stream, most=1).emit(record("hello"))
    assert stream.getvalue() == "hello\n"
