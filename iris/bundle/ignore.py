"""What of a folder is left out of its bundle.

In rising order of weight: what no job needs (DEFAULT_PATTERNS), each folder's .gitignore, each
folder's .irisignore, and a deeper folder's files over a higher one's. The patterns and their meaning
are git's: a later line wins, `!pattern` takes something back in, and what lies in a folder that is
left out cannot come back.
"""

import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

import pathspec

DEFAULT_PATTERNS = (
    ".git",
    ".hg",
    ".svn",
    "__pycache__/",
    "*.py[co]",
    ".venv/",
    "node_modules/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".DS_Store",
)


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """Where the rules of a folder come from."""

    patterns: tuple[str, ...] = DEFAULT_PATTERNS
    """As a .gitignore in the root would have them, below every file's weight."""
    files: tuple[str, ...] = (".gitignore", ".irisignore")
    """Names of files with patterns, in rising weight. They count in every folder."""
    bazel_links: bool = True
    """Whether links bazel-* in the root, which Bazel puts beside a workspace, are left out."""

    @staticmethod
    def nothing() -> "IgnoreRules":
        """Rules that leave nothing out."""
        return IgnoreRules(patterns=(), files=(), bazel_links=False)


@dataclass(frozen=True, slots=True)
class _Rules:
    """Patterns of one file (or the defaults), with the folder that they are relative to."""

    folder: str
    """Relative to the root, with a slash at its end unless it is the root: then empty."""
    spec: pathspec.GitIgnoreSpec


def walk(root: pathlib.Path, rules: IgnoreRules) -> Iterator[str]:
    """The files and links below a folder that its rules leave in, as relative paths with `/`.

    Sockets, pipes and devices are passed over, as git does. Links are not followed.

    Args:
        root: an existing folder.
        rules: what to leave out.

    Yields:
        Paths, in no order that may be relied on.

    Raises:
        OSError: a folder cannot be read.
    """
    defaults = [_Rules("", pathspec.GitIgnoreSpec.from_lines(rules.patterns))]
    pending: list[tuple[str, list[_Rules]]] = [("", defaults)]
    while pending:
        folder, inherited = pending.pop()
        found = sorted((root / folder).iterdir())
        active = inherited + _rules_of(root, folder, rules.files)
        for path in found:
            relative = folder + path.name
            if (
                rules.bazel_links
                and not folder
                and path.is_symlink()
                and path.name.startswith("bazel-")
            ):
                continue
            is_folder = path.is_dir() and not path.is_symlink()
            if _is_left_out(relative + "/" * is_folder, active):
                continue
            if is_folder:
                pending.append((relative + "/", active))
            elif path.is_symlink() or path.is_file():
                yield relative


def _rules_of(root: pathlib.Path, folder: str, names: tuple[str, ...]) -> list[_Rules]:
    found = []
    for name in names:
        file = root / folder / name
        if file.is_file():
            lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            found.append(_Rules(folder, pathspec.GitIgnoreSpec.from_lines(lines)))
    return found


def _is_left_out(path: str, rules: list[_Rules]) -> bool:
    """Whether the weightiest rule that says anything about a path says to leave it out."""
    for rule in reversed(rules):
        include = rule.spec.check_file(path.removeprefix(rule.folder)).include
        if include is not None:
            return include
    return False
