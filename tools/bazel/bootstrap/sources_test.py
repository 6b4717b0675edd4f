"""Tests of reading the machine's apt sources."""

from pathlib import Path

import pytest

from tools.bazel.bootstrap.sources import (
    Archive,
    Source,
    debian_archives,
    parse_deb822_format,
    parse_one_line_format,
    read_sources,
)

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "deb http://mirror.example/debian bookworm main contrib",
            Source(
                ("http://mirror.example/debian",),
                ("bookworm",),
                ("main", "contrib"),
                "",
            ),
        ),
        (
            "deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/d/ trixie main # ours",
            Source(("https://mirror.example/d/",), ("trixie",), ("main",), "/k.gpg"),
        ),
        (
            'deb [ Signed-By="/with space.gpg" ] file:/srv/debian sid main',
            Source(("file:/srv/debian",), ("sid",), ("main",), "/with space.gpg"),
        ),
        (
            "deb [trusted=yes] http://mirror.example/flat ./",
            Source(("http://mirror.example/flat",), ("./",), (), ""),
        ),
    ],
)
def test_one_line_format(line: str, expected: Source) -> None:
    assert parse_one_line_format(f"\n{line}\n") == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "# deb http://mirror.example/debian bookworm main",
        "deb-src http://mirror.example/debian bookworm main",
        "deb",
        "deb http://mirror.example/debian",
        "debx http://mirror.example/debian bookworm main",
    ],
)
def test_one_line_format_ignores_what_is_no_binary_source(line: str) -> None:
    assert parse_one_line_format(line) == []


def test_deb822_format_reads_every_stanza() -> None:
    text = """\
Types: deb deb-src
# a comment within the stanza
URIs: http://mirror.example/debian
  http://second.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /k.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""

    assert parse_deb822_format(text) == [
        Source(
            ("http://mirror.example/debian", "http://second.example/debian"),
            ("bookworm", "bookworm-updates"),
            ("main",),
            "/k.gpg",
        ),
        Source(
            ("http://mirror.example/debian-security",),
            ("bookworm-security",),
            ("main",),
            "",
        ),
    ]


def test_deb822_format_keeps_a_key_block_as_apt_wants_it() -> None:
    block = (
        "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc=\n -----END PGP PUBLIC KEY BLOCK-----"
    )
    text = f"Types: deb\nURIs: http://m.example/d\nSuites: x\nComponents: main\nSigned-By:{block}\n"

    assert parse_deb822_format(text)[0].signed_by == block


@pytest.mark.parametrize("fields", ["Types: deb-src", "Types: deb\nEnabled: no", ""])
def test_deb822_format_ignores_other_and_disabled_stanzas(fields: str) -> None:
    text = f"{fields}\nURIs: http://m.example/d\nSuites: x\nComponents: main\n"

    assert parse_deb822_format(text) == []


def test_read_sources_takes_both_formats_and_only_active_files(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.example/debian a main\n")
    (parts / "b.list").write_text("deb http://two.example/debian b main\n")
    (parts / "c.sources").write_text(
        "Types: deb\nURIs: http://three.example/debian\nSuites: c\nComponents: main\n"
    )
    (parts / "d.sources.disabled").write_text("Types: deb\nURIs: http://four.example/debian\n")

    uris = [source.uris[0] for source in read_sources(tmp_path)]

    assert uris == [f"http://{name}.example/debian" for name in ("one", "two", "three")]


def test_read_sources_of_a_machine_without_any(tmp_path: Path) -> None:
    assert read_sources(tmp_path) == []


def _source(uri: str, suite: str = "bookworm", component: str = "main", key: str = "") -> Source:
    return Source((uri,), (suite,), (component,), key)


def test_archives_prefer_a_debian_mirror_and_leave_out_what_cannot_be_one() -> None:
    sources = [
        _source("https://tools.example/repository"),
        _source("http://mirror.example/debian-security", suite="bookworm-security"),
        _source("https://docker.example/linux", component="stable"),
        _source("cdrom:[Debian]/"),
        _source("http://mirror.example/debian"),
    ]

    archives = debian_archives(sources, [_KEYRING])

    assert [archive.uri for archive in archives] == [
        "http://mirror.example/debian",
        "https://tools.example/repository",
    ]


def test_archives_are_checked_with_their_own_key_first_and_asked_once() -> None:
    source = _source("http://mirror.example/debian", key="/own.gpg")

    assert debian_archives([source, source], [_KEYRING]) == [
        Archive("http://mirror.example/debian", "/own.gpg"),
        Archive("http://mirror.example/debian", str(_KEYRING)),
    ]


def test_an_archive_without_any_key_is_never_used() -> None:
    assert debian_archives([_source("http://mirror.example/debian")], []) == []
