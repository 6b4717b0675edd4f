"""The state machine, and all of Iris that it imports, knows neither clock nor chance nor the
outside.
"""

import ast
from importlib import util
from pathlib import Path

import iris.controller.state as room

ALLOWED = {
    "collections",
    "dataclasses",
    "decimal",
    "datetime",
    "enum",
    "heapq",
    "itertools",
    "math",
    "operator",
    "re",
    "sortedcontainers",
    "typing",
}
# Ways to the clock that an allowed module offers.
FORBIDDEN_CALLS = {"now", "utcnow", "today"}


def modules_of_the_room() -> list[str]:
    folder = Path(room.__path__[0])
    names = [
        path.stem for path in folder.glob("*.py") if not path.stem.endswith(("_test", "_fixture"))
    ]
    return [room.__name__, *(f"{room.__name__}.{name}" for name in names if name != "__init__")]


def source_of(module: str) -> ast.Module:
    found = util.find_spec(module)
    assert found is not None, module
    assert found.origin is not None, module
    return ast.parse(Path(found.origin).read_text())


def is_module(name: str) -> bool:
    try:
        return name.startswith("iris") and util.find_spec(name) is not None
    except ModuleNotFoundError:  # what it is said to be in is a module, not a package
        return False


def imports_of(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            names.add(module)
            for alias in node.names:
                if is_module(f"{module}.{alias.name}"):
                    names.add(f"{module}.{alias.name}")
    return names


def test_imports_go_nowhere_near_the_world() -> None:
    todo, seen = modules_of_the_room(), set()
    assert len(todo) > 5
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in imports_of(source_of(module)):
            if name.split(".")[0] == "iris":
                todo.append(name)
            else:
                assert name.split(".")[0] in ALLOWED, f"{module} imports {name}"
    assert "iris.model.states" in seen


def test_nobody_asks_for_the_time() -> None:
    for module in modules_of_the_room():
        for node in ast.walk(source_of(module)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in FORBIDDEN_CALLS, f"{module}:{node.lineno}"
