"""Puts an old bug back into every Python process that starts with this folder's `sitecustomize` on its path.

Production code has no switch for it: a module is changed right after it was imported, from outside.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug.

    Attributes:
        what: What it was, as its users saw it.
        module: Where it is put back.
        case: The case of the smoke flow that has to notice.
        put_back: Changes the module.
    """

    what: str
    module: str
    case: str
    put_back: Callable[[ModuleType], None]


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the module as everybody else does, and changes it once it was loaded."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._bug.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._bug)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, bug: Bug) -> None:
        self._loader = loader
        self._bug = bug

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._bug.put_back(module)


def put_back(bug: Bug) -> None:
    """From now on this process has the bug, as soon as it imports the module."""
    sys.meta_path.insert(0, _Finder(bug))


def folder_for(folder: Path, name: str) -> Path:
    """Makes `folder` one that, on a Python's path, puts the bug of that name back into it."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "try:\n"
        "    from tests.bugs.put_back import put_back\n"
        "    from tests.bugs.numbered import BUGS\n"
        "except ImportError:\n"
        "    pass  # a program that has no part of Iris\n"
        "else:\n"
        f"    put_back(BUGS[{name!r}])\n"
    )
    return folder
