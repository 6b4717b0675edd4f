"""Tests of entries and of the digest over them."""

import hashlib
import random

import pytest

from iris.bundle.digest import Entry, EntryMode, check_link, check_path, describe
from iris.bundle.errors import InvalidBundle


def entry(path: str, content: bytes = b"", mode: EntryMode = EntryMode.FILE) -> Entry:
    return Entry(path, mode, hashlib.sha256(content).hexdigest(), len(content))


def test_the_digest_is_the_documented_one() -> None:
    hello = hashlib.sha256(b"hello\n").hexdigest()
    link = hashlib.sha256(b"a/hello.txt").hexdigest()
    expected = hashlib.sha256(
        b"iris bundle, version 1\n"
        + f"100644 {hello} a/hello.txt\0".encode()
        + f"120000 {link} b\0".encode()
    ).hexdigest()
    info = describe([entry("b", b"a/hello.txt", EntryMode.LINK), entry("a/hello.txt", b"hello\n")])
    assert info.digest == f"sha256:{expected}"
    assert (info.entries, info.content_bytes) == (2, 6 + 11)


def test_the_order_of_the_entries_does_not_matter(test_seed: str) -> None:
    entries = [entry(f"{name}", name.encode()) for name in ("a", "a.b", "a/b", "ab", "ä", "Z")]
    shuffled = entries[:]
    random.Random(test_seed).shuffle(shuffled)
    assert describe(shuffled) == describe(entries)


@pytest.mark.parametrize(
    "other",
    [
        [],
        [entry("a", b"2")],
        [entry("b", b"1")],
        [entry("a", b"1", EntryMode.EXECUTABLE)],
        [entry("a", b"1", EntryMode.LINK)],
        [entry("a", b"1"), entry("b", b"")],
    ],
)
def test_path_mode_and_content_each_matter(other: list[Entry]) -> None:
    assert describe(other).digest != describe([entry("a", b"1")]).digest


@pytest.mark.parametrize("path", ["a", "a/b", "...", "a b", ".hidden", "ünicode/ß", "-x", "a\\b"])
def test_paths_that_stay_inside(path: str) -> None:
    check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "./a",
        "a/.",
        "..",
        "../a",
        "a/../b",
        "a\0b",
        "\udc80",
        "x" * 256,
        "/".join(["y" * 200] * 30),
    ],
)
def test_paths_that_do_not(path: str) -> None:
    with pytest.raises(InvalidBundle):
        check_path(path)


@pytest.mark.parametrize(
    ("path", "target"),
    [("l", "a"), ("l", "a/b"), ("d/l", "../a"), ("d/e/l", "../../a/b"), ("l", "."), ("d/l", "..")],
)
def test_links_that_stay_inside(path: str, target: str) -> None:
    check_link(path, target)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("l", ""),
        ("l", "/etc/passwd"),
        ("l", ".."),
        ("l", "../a"),
        ("d/l", "../../a"),
        ("l", "a/../../b"),
        # With a link `here` -> `.` this one would lead above the root, though its text looks harmless.
        ("l", "here/.."),
        ("l", "a\0"),
        ("l", "\udc80"),
    ],
)
def test_links_that_do_not(path: str, target: str) -> None:
    with pytest.raises(InvalidBundle):
        check_link(path, target)
