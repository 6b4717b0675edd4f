"""The rooms of the project: who may import whom, and what the pure ones must not touch.

The rules are the data below. Bazel's visibility holds them too where a BUILD file is strict enough;
this holds them for every file, whatever the BUILD files say, and holds purity, which Bazel cannot.
"""

import ast
import dataclasses
import fnmatch
import pathlib
from collections.abc import Iterable, Iterator, Mapping

# A room may import itself and the rooms named here; the name of a room is the folder below iris/.
# Several rooms may name a common set, as long as everything goes down.
_FOUNDATION = frozenset({"model", "bundle", "host"})
_CONFIGURED = _FOUNDATION | {"config", "rpc"}
ROOMS: Mapping[str, frozenset[str]] = {
    "model": frozenset(),
    "bundle": frozenset({"model"}),
    "host": frozenset({"model"}),
    "config": frozenset({"model", "host"}),
    "rpc": frozenset({"model", "host", "config"}),
    "scheduler": frozenset({"model"}),
    "autoscaler": frozenset({"model", "host", "config", "platforms", "scheduler"}),
    "ssh": frozenset({"model", "host"}),
    "ship": frozenset({"model", "host"}),
    "platforms": _CONFIGURED | {"worker", "ssh", "ship"},
    "controller": _CONFIGURED | {"scheduler", "autoscaler"},
    "worker": _CONFIGURED,
    "lifecycle": _CONFIGURED | {"controller", "worker", "platforms", "autoscaler", "ssh", "ship"},
    "client": _CONFIGURED,
    "actor": _CONFIGURED | {"client"},
    "cli": _CONFIGURED | {"client", "lifecycle"},
    "smoke": _CONFIGURED | {"client", "lifecycle", "actor", "cli"},
    "simulation": _CONFIGURED | {"scheduler", "autoscaler", "controller", "worker", "platforms"},
}

# Seen by everything: the package's own files, such as iris/version.py.
ROOT = ""

# Single doors in walls: (importing module's prefix, imported module's prefix).
EXCEPTIONS: frozenset[tuple[str, str]] = frozenset(
    {
        # The smoke flow checks what a cluster left behind, as the tests do.
        ("iris.smoke", "iris.testing.leaks"),
    }
)

# What only tests may import, from any room: the room of their tools, and fakes beside the real thing.
TEST_ROOMS = frozenset({"testing"})
TEST_FILES = ("*_test.py", "fake_*.py", "scripted_*.py", "*_fixture.py", "conftest.py")

# Modules and packages that are pure: what they do follows from their arguments alone.
PURE = (
    "iris.model",
    "iris.scheduler",
    "iris.autoscaler.capacity",
    "iris.autoscaler.demand",
    "iris.autoscaler.fit",
    "iris.autoscaler.groups",
    "iris.autoscaler.health",
    "iris.autoscaler.memory",
    "iris.autoscaler.outlook",
    "iris.autoscaler.pace",
    "iris.autoscaler.packing",
    "iris.autoscaler.plan",
    "iris.autoscaler.serving",
    "iris.autoscaler.settings",
    "iris.autoscaler.supply",
    "iris.controller.state",
)

# What purity forbids: clocks, randomness, files, sockets, processes, threads, event loops, RPC. Of
# datetime and pathlib the values are harmless; their clock and file methods are named one by one.
IMPURE_MODULES = frozenset(
    {
        "asyncio",
        "concurrent",
        "ctypes",
        "fcntl",
        "glob",
        "grpc",
        "http",
        "io",
        "iris_proto",
        "logging",
        "multiprocessing",
        "os",
        "psutil",
        "random",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
    }
)
IMPURE_CALLS = frozenset({"open", "input", "print", "exec", "eval", "breakpoint", "__import__"})
IMPURE_METHODS = frozenset(
    {"now", "today", "utcnow", "read_text", "write_text", "read_bytes", "write_bytes"}
)


@dataclasses.dataclass(frozen=True, slots=True)
class Import:
    """One import of a file."""

    line: int
    module: str
    """As imported: `iris.model.ids`; of `from iris.model import ids` it is `iris.model.ids` too, as
    the file alone does not say whether `ids` is a module."""


def imports_of(tree: ast.Module, module: str) -> Iterator[Import]:
    """The imports of a file, wherever in it they are, as absolute names.

    Args:
        tree: the parsed file.
        module: its own dotted name, for relative imports; of a package, with `.__init__`.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(node.lineno, f"{base}.{alias.name}")


def violations(files: Mapping[str, str]) -> list[str]:
    """What is wrong, a line of text each.

    Args:
        files: path relative to the workspace -> source, of all Python files of iris/.
    """
    found: list[str] = []
    for path, text in sorted(files.items()):
        module = path.removesuffix(".py").replace("/", ".")
        tree = ast.parse(text, filename=path)
        for_tests = is_test(path)
        found += _room_violations(path, module, tree, for_tests=for_tests)
        if not for_tests and _is_below(module, PURE):
            found += _impurities(path, module, tree)
    return found


def unused_rules(files: Iterable[str]) -> list[str]:
    """Rules about modules that do not exist, which is how a rule silently stops to hold.

    Args:
        files: paths of all Python files of iris/.
    """
    modules = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in files
    }
    return [
        f"the pure module {name} does not exist"
        for name in PURE
        if not any(_is_below(module, (name,)) for module in modules)
    ]


def is_test(path: str) -> bool:
    """Whether a file is only for tests, by its name. (`x_under_test.py` is what a test is about.)"""
    name = path.rpartition("/")[2]
    matches = any(fnmatch.fnmatch(name, pattern) for pattern in TEST_FILES)
    return matches and not name.endswith("_under_test.py")


def _room(module: str) -> str:
    """The room of a module below iris; of iris's own files, ROOT."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else ROOT


def _is_below(module: str, prefixes: Iterable[str]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def _room_violations(path: str, module: str, tree: ast.Module, *, for_tests: bool) -> list[str]:
    room = _room(module)
    if room in TEST_ROOMS or room == ROOT:
        return []
    if room not in ROOMS:
        return [f"{path}: iris/{room} is no room that tools/lint/import_graph.py knows"]
    found = []
    for import_ in imports_of(tree, module):
        if not import_.module.startswith("iris."):
            continue
        if not for_tests and any(is_test(part + ".py") for part in import_.module.split(".")):
            found.append(f"{path}:{import_.line}: only tests may import {import_.module}")
            continue
        other = import_.module.split(".")[1]
        if other not in ROOMS and other not in TEST_ROOMS:
            continue  # a file of iris itself, such as iris.version
        allowed = {room} | ROOMS[room] | (TEST_ROOMS if for_tests else frozenset())
        excepted = any(
            _is_below(module, (source,)) and _is_below(import_.module, (target,))
            for source, target in EXCEPTIONS
        )
        if other not in allowed and not excepted:
            found.append(f"{path}:{import_.line}: {room} may not import {import_.module}")
    return found


def _impurities(path: str, module: str, tree: ast.Module) -> list[str]:
    found = [
        f"{path}:{import_.line}: a pure module may not import {import_.module}"
        for import_ in imports_of(tree, module)
        if import_.module.split(".")[0] in IMPURE_MODULES
    ]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            found.append(f"{path}:{node.lineno}: a pure module may not call {node.func.id}()")
        elif isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_METHODS:
            found.append(f"{path}:{node.lineno}: a pure module may not call .{node.func.attr}()")
    return found


def read_sources(root: pathlib.Path) -> dict[str, str]:
    """All Python files of iris/ below a root, for `violations`."""
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for path in sorted((root / "iris").rglob("*.py"))
    }
