"""Reads where the machine's own apt gets its packages from, in both formats apt knows.

The project names no mirror: a locked-down machine reaches the one its administrator configured, and
that one serves every suite of the archive, not only the machine's own.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

_SECTION_BREAK = ""
_DISABLED = {"no", "false", "0"}


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of the machine's apt sources, for binary packages."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str
    """A path, several paths, a fingerprint, a whole key block, or nothing."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A place that may serve Debian, and the keys that its index must be signed with."""

    uri: str
    signed_by: str


def read_sources(folder: Path) -> list[Source]:
    """All enabled entries below an apt configuration folder (`/etc/apt`), in apt's order."""
    sources: list[Source] = []
    main = folder / "sources.list"
    parts = sorted((folder / "sources.list.d").glob("*"))
    for path in [main, *parts]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".list":
            sources += parse_one_line_format(text)
        elif path.suffix == ".sources":
            sources += parse_deb822_format(text)
    return sources


def parse_one_line_format(text: str) -> list[Source]:
    """Parses `deb [options] uri suite component...` lines; other lines are not for us."""
    sources = []
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        kind, _, rest = line.partition(" ")
        if kind != "deb":
            continue
        options, rest = _split_options(rest.strip())
        uri, *names = rest.split() or [""]
        if uri and names:
            signed_by = options.get("signed-by", "")
            sources.append(Source((uri,), (names[0],), tuple(names[1:]), signed_by))
    return sources


def _split_options(rest: str) -> tuple[dict[str, str], str]:
    if not rest.startswith("["):
        return {}, rest
    inside, _, after = rest[1:].partition("]")
    try:
        words = shlex.split(inside)
    except ValueError:
        words = inside.split()
    options = {}
    for word in words:
        name, _, value = word.partition("=")
        options[name.lower()] = value
    return options, after.strip()


def parse_deb822_format(text: str) -> list[Source]:
    """Parses stanzas of `Field: value` lines with continuation lines, separated by empty lines."""
    sources = []
    fields: dict[str, str] = {}
    current = ""
    for line in [*text.splitlines(), _SECTION_BREAK]:
        if line.startswith("#"):
            continue
        if not line.strip():
            sources += _source_of_stanza(fields)
            fields, current = {}, ""
        elif line[0] in " \t":
            if current:
                fields[current] += "\n" + line
        else:
            name, _, value = line.partition(":")
            current = name.strip().lower()
            fields[current] = value.strip()
    return sources


def _source_of_stanza(fields: dict[str, str]) -> list[Source]:
    if "deb" not in fields.get("types", "").split():
        return []
    if fields.get("enabled", "yes").strip().lower() in _DISABLED:
        return []
    return [
        Source(
            uris=tuple(fields.get("uris", "").split()),
            suites=tuple(fields.get("suites", "").split()),
            components=tuple(fields.get("components", "").split()),
            signed_by=fields.get("signed-by", "").rstrip(),
        )
    ]


def debian_archives(sources: list[Source], keyrings: list[Path]) -> list[Archive]:
    """The places worth asking for another suite of Debian, most promising first.

    Args:
        sources: The machine's own apt sources.
        keyrings: Debian's keyrings on this machine; the entry's own `Signed-By` goes before them,
            because a mirror may be signed anew by the company that runs it. A place for which
            there is no key at all is left out: nothing unsigned is ever used.
    """
    found: dict[Archive, None] = {}
    for source in sources:
        if "main" not in source.components:
            continue
        if all("security" in suite for suite in source.suites):
            continue
        keys = [source.signed_by, *(str(path) for path in keyrings)]
        for uri in source.uris:
            if uri.startswith("cdrom:"):
                continue
            found.update(dict.fromkeys(Archive(uri, key) for key in keys if key))
    return sorted(found, key=lambda archive: "debian" not in archive.uri.lower())
