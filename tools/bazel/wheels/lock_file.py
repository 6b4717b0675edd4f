"""Reads a hashed requirements file, the project's lock.

Run as a program by the stand-in's `pip` extension, which needs the distributions as JSON, and
imported by the test that holds requirements_lock.txt to its rules. Standard library only, since the
extension runs it before any wheel is there.

A lock is stricter than a requirements file: every line pins one version with `==` and has at least
one hash, and there are no options (an index or a find-links address is the machine's, not ours).
"""

import dataclasses
import json
import pathlib
import re
import sys

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)"
    r"(?:\[(?P<extras>[A-Za-z0-9._,\s-]*)\])?"
    r"\s*==\s*(?P<version>[A-Za-z0-9.!+_-]+)"
    r"\s*(?:;\s*(?P<marker>[^;]+?))?"
)
_HASH = re.compile(r"--hash=(?P<algorithm>[a-z0-9]+):(?P<digest>[0-9a-f]+)")
_DIGEST_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


class LockError(ValueError):
    """A line that a lock must not have. The message names the line and says what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pin:
    """One line of the lock."""

    name: str
    """As written."""
    version: str
    extras: tuple[str, ...]
    marker: str
    """An environment marker (PEP 508), or empty."""
    hashes: tuple[str, ...]
    """As `sha256:<hex>`."""
    line: int
    """Where it starts, from 1."""
    needed_by: tuple[str, ...] = ()
    """What the comments below it say it is there for ("via"); `-r FILE` for an input file."""

    @property
    def package(self) -> str:
        """The name as a Bazel package: lower case, runs of `-`, `_` and `.` as one `_`."""
        return re.sub(r"[-_.]+", "_", self.name).lower()

    @property
    def requirement(self) -> str:
        """The line as pip takes it, with hashes."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        marker = f" ; {self.marker}" if self.marker else ""
        hashes = "".join(f" --hash={value}" for value in self.hashes)
        return f"{self.name}{extras}=={self.version}{marker}{hashes}"


def parse_lock(text: str) -> list[Pin]:
    """Reads a lock.

    Args:
        text: the file's content.

    Returns:
        Its pins in order. One distribution has several if their markers differ.

    Raises:
        LockError: a line is no pin, has no hash or a bad one, or a pin occurs twice.
    """
    pins: list[Pin] = []
    seen: dict[tuple[str, str], int] = {}
    for number, logical, comments in _logical_lines(text):
        pin = dataclasses.replace(_parse_pin(number, logical), needed_by=_via(comments))
        key = (pin.package, pin.marker)
        if key in seen:
            raise LockError(f"line {number}: {pin.name} is pinned on line {seen[key]} already")
        seen[key] = number
        pins.append(pin)
    return pins


def _logical_lines(text: str) -> list[tuple[int, str, list[str]]]:
    """Joins continued lines; gives each its first line's number and the comments that follow it."""
    lines: list[tuple[int, str, list[str]]] = []
    parts: list[str] = []
    start = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith("#"):
            if lines and not parts:
                lines[-1][2].append(line.removeprefix("#").strip())
            continue
        line = re.sub(r"\s#.*", "", line).strip()
        if not line:
            continue
        start = start if parts else number
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            lines.append((start, " ".join(parts), []))
            parts = []
    if parts:
        raise LockError(f"line {start}: the last line ends in a backslash; the file is cut short")
    return lines


def _parse_pin(number: int, logical: str) -> Pin:
    if logical.startswith("-"):
        raise LockError(
            f"line {number}: {logical!r} is an option, and a lock has none: the index and its "
            "mirrors are the machine's own configuration"
        )
    requirement, *hashes = re.split(r"\s+(?=--)", logical)
    match = _PIN.fullmatch(requirement.strip())
    if match is None:
        raise LockError(f"line {number}: {requirement!r} does not pin one version (name==version)")
    if not hashes:
        raise LockError(f"line {number}: {match['name']} has no --hash=sha256:...")
    extras = [extra.strip() for extra in (match["extras"] or "").split(",") if extra.strip()]
    return Pin(
        name=match["name"],
        version=match["version"],
        extras=tuple(extras),
        marker=(match["marker"] or "").strip(),
        hashes=tuple(_parse_hash(number, option) for option in hashes),
        line=number,
    )


def _parse_hash(number: int, option: str) -> str:
    match = _HASH.fullmatch(option)
    if match is None:
        raise LockError(f"line {number}: {option!r} is not of the form --hash=sha256:<hex>")
    wanted = _DIGEST_LENGTHS.get(match["algorithm"])
    if wanted != len(match["digest"]):
        raise LockError(f"line {number}: {option!r} is no sha256, sha384 or sha512 digest")
    return f"{match['algorithm']}:{match['digest']}"


def _via(comments: list[str]) -> tuple[str, ...]:
    """The names in a `# via` block: on its own line, or one a line below it."""
    if not comments or not comments[0].startswith("via"):
        return ()
    names = [comments[0].removeprefix("via").strip(), *comments[1:]]
    return tuple(name for name in names if name)


def distributions(pins: list[Pin]) -> list[dict[str, object]]:
    """Groups pins by distribution, as the `pip` extension wants them."""
    grouped: dict[str, list[Pin]] = {}
    for pin in pins:
        grouped.setdefault(pin.package, []).append(pin)
    return [
        {
            "name": group[0].name,
            "package": package,
            "extras": sorted({extra for pin in group for extra in pin.extras}),
            "requirements": [pin.requirement for pin in group],
        }
        for package, group in grouped.items()
    ]


def main() -> None:
    try:
        pins = parse_lock(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    except LockError as error:
        sys.exit(str(error))
    json.dump(distributions(pins), sys.stdout)


if __name__ == "__main__":
    main()
