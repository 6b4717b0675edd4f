"""Finds where a test is let out of the sandbox, made to run alone, or tried again until it passes.

BUILD files and rules are read as what they are, programs: Starlark's grammar is a part of Python's.
Of .bazelrc and shell scripts, words that look like flags are read.
"""

import ast
import re
from collections.abc import Iterator

# Tags that take a test out of the sandbox, off the cache, or let it run alone or again.
_TAGS = frozenset(
    {
        "exclusive",
        "exclusive-if-local",
        "external",
        "flaky",
        "local",
        "no-cache",
        "no-remote",
        "no-remote-cache",
        "no-sandbox",
        "requires-network",
    }
)
# Words that mean nothing else, wherever a string says them.
_UNMISTAKABLE = _TAGS - {"external", "local"}
_ATTRIBUTES = frozenset({"flaky", "local"})

_FLAGS = (
    re.compile(r"--flaky_test_attempts\b"),
    re.compile(r"--runs_per_test_detects_flakes\b"),
    re.compile(r"--test_strategy=exclusive\b"),
    re.compile(r"--sandbox_default_allow_network(?!=(false|no|0)\b)"),
    re.compile(r"--\w*strategy(_regexp)?=(\S*[=,])?(local|standalone)\b"),
    re.compile(r"--local_test_jobs=1\b"),
)


def lets_out_in_starlark(source: str) -> list[int]:
    """Lines of a BUILD file or of a .bzl file.

    Raises:
        SyntaxError: it is neither.
    """
    tree = ast.parse(source)
    lines = {node.lineno for node in _strings(tree) if node.value in _UNMISTAKABLE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not _is_repository_rule(node):
            lines |= {word.value.lineno for word in node.keywords if _is_switched_on(word)}
        for value in _tags_of(node):
            lines |= {one.lineno for one in _strings(value) if one.value in _TAGS}
    return sorted(lines)


def lets_out_in_flags(text: str) -> list[int]:
    """Lines of .bazelrc or of a shell script; comments do not count."""
    return [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if any(flag.search(line.partition("#")[0]) for flag in _FLAGS)
    ]


def _strings(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node


def _is_repository_rule(call: ast.Call) -> bool:
    # There `local` says that its inputs are this machine's; it is no test.
    return isinstance(call.func, ast.Name) and call.func.id == "repository_rule"


def _is_switched_on(word: ast.keyword) -> bool:
    is_off = isinstance(word.value, ast.Constant) and not word.value.value
    return word.arg in _ATTRIBUTES and not is_off


def _tags_of(node: ast.AST) -> Iterator[ast.expr]:
    """Values that are, or become, a target's tags."""
    if isinstance(node, ast.keyword) and node.arg == "tags":
        yield node.value
    if isinstance(node, ast.Assign) and any(
        isinstance(one, ast.Name) and "tags" in one.id.lower() for one in node.targets
    ):
        yield node.value
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "tags":
                yield value
