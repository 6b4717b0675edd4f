"""Streams become lines without losing a byte."""

import random

import pytest

from iris.worker.logs.lines import LineSplitter


def split(*chunks: bytes, max_line_bytes: int = 100) -> list[bytes]:
    splitter = LineSplitter(max_line_bytes)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines + splitter.end()


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], [b"one", b"two"]),
        ([b"one\ntw", b"o"], [b"one", b"two"]),
        ([b"no newline at the end"], [b"no newline at the end"]),
        ([b"\n\n"], [b"", b""]),
        ([b""], []),
        ([b"\xff\xfe\n\xc3"], [b"\xff\xfe", b"\xc3"]),
        ([b"carriage\r\n"], [b"carriage\r"]),
        ([b"o", b"n", b"e", b"\n"], [b"one"]),
    ],
)
def test_lines(chunks: list[bytes], lines: list[bytes]) -> None:
    assert split(*chunks) == lines


def test_a_line_that_is_too_long_becomes_several() -> None:
    assert split(b"abcdefgh\nx", max_line_bytes=3) == [b"abc", b"def", b"gh", b"x"]
    assert split(b"abcd", b"ef\n", max_line_bytes=3) == [b"abc", b"def"]


def test_one_that_just_fits_is_one() -> None:
    assert split(b"abc", b"\n", b"abc\n", max_line_bytes=3) == [b"abc", b"abc"]


def test_however_it_is_cut_the_text_is_the_same(test_seed: str) -> None:
    rng = random.Random(test_seed)
    for _ in range(200):
        text = bytes(rng.choice(b"ab\n\xff") for _ in range(rng.randrange(300)))
        cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(10)))
        ends = [*cuts, len(text)]
        chunks = [text[a:b] for a, b in zip([0, *cuts], ends, strict=True)]
        lines = split(*chunks, max_line_bytes=1000)
        assert b"\n".join(lines) == text.removesuffix(b"\n"), f"seed {test_seed}"


def test_what_is_held_is_bounded() -> None:
    splitter = LineSplitter(10)
    for _ in range(100):
        assert all(len(line) <= 10 for line in splitter.feed(b"x" * 25))
    assert len(splitter.end()[0]) <= 10
