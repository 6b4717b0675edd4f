"""Makes an unpacked tree of Debian packages work from any folder instead of from `/`.

Four things in it name places below `/`: symbolic links, the loader and libraries of programs (the
machine's own may be too old for them), the list of jars that Bazel's server is started with, and
the jars' own references to each other. All are turned towards the folder the tree will end up in.

The tree is prepared under one name and then renamed, so functions take both: `tree` is where the
files are now, `root` where they will be.
"""

import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tools.bazel.bootstrap.commands import Commands
from tools.bazel.bootstrap.errors import BootstrapError

_PATCH_SECONDS = 120.0

CLASSPATH = Path("usr/share/bazel/bazel_classpath_debian_depends.txt")
"""Lists the jars that the Bazel client puts before its own on the server's class path."""

BUILD_LABEL = Path("usr/share/bazel/build-label.txt")
"""Holds Bazel's version, e.g. `7.7.1`."""

_BUILD_DATA_JAR = Path("usr/share/java/iris-bazel-build-data.jar")


def relocate(tree: Path, root: Path, commands: Commands) -> None:
    """Does all of it. Files are changed in place; `tree` is useless if this fails."""
    make_links_relative(tree)
    patch_programs(tree, root, commands)
    rewrite_classpath(tree, root)


def make_links_relative(tree: Path) -> int:
    """Points every absolute symbolic link to the same path inside the tree.

    Returns:
        How many there were.
    """
    changed = 0
    for folder, folder_names, file_names in os.walk(tree):
        up = "../" * len(Path(folder).relative_to(tree).parts)
        for name in [*folder_names, *file_names]:
            link = Path(folder, name)
            if not link.is_symlink() or not (target := link.readlink()).is_absolute():
                continue
            link.unlink()
            link.symlink_to(f"{up}{target.relative_to('/')}")
            changed += 1
    return changed


def java_home(tree: Path) -> Path:
    """The Java runtime in the tree.

    Raises:
        BootstrapError: There is none, or more than one.
    """
    homes = [
        path.parent.parent
        for path in tree.glob("usr/lib/jvm/*/bin/java")
        if not path.parent.parent.is_symlink()
    ]
    if len(homes) != 1:
        names = ", ".join(sorted(path.name for path in homes)) or "none"
        raise BootstrapError(f"expected one Java runtime in Debian's packages, found: {names}")
    return homes[0]


def patch_programs(tree: Path, root: Path, commands: Commands) -> None:
    """Binds programs and libraries to the loader and the C library that came with them.

    Debian's own `patchelf` does it, run through that same loader: it needs no other tool.

    RPATH is forced, because RUNPATH, today's default, is not followed for the libraries' own
    libraries, and those must not be looked for in the machine's folders either.
    """
    loader = _loader(tree)
    home = java_home(tree)
    libraries = root / loader.parent.relative_to(tree)
    java_libraries = root / home.relative_to(tree) / "lib"
    patchelf: list[str | Path] = [
        *(loader, "--library-path", loader.parent, tree / "usr/bin/patchelf"),
        *(
            "--force-rpath",
            "--set-rpath",
            f"{libraries}:{java_libraries}:{java_libraries}/server",
        ),
    ]
    interpreter = root / loader.relative_to(tree)
    commands.run(
        [*patchelf, "--set-interpreter", interpreter, *_programs(tree, home)],
        deadline_seconds=_PATCH_SECONDS,
    )
    commands.run([*patchelf, *_libraries(tree, home)], deadline_seconds=_PATCH_SECONDS)


def _loader(tree: Path) -> Path:
    """Its folder is also that of all libraries; its name depends on the architecture."""
    found = [path for path in tree.glob("usr/lib/*-linux-gnu/ld-linux*.so.*") if path.is_file()]
    if len(found) != 1:
        names = ", ".join(sorted(str(path.relative_to(tree)) for path in found)) or "none"
        raise BootstrapError(f"expected one program loader in Debian's packages, found: {names}")
    return found[0]


def _programs(tree: Path, home: Path) -> list[Path]:
    candidates = [
        tree / "usr/bin/bazel",
        *tree.glob("usr/libexec/*/bazel/*"),
        *home.glob("bin/*"),
        home / "lib/jspawnhelper",
    ]
    return sorted(path for path in candidates if path.is_file() and not path.is_symlink())


def _libraries(tree: Path, home: Path) -> list[Path]:
    candidates = [*home.glob("lib/**/*.so"), *tree.glob("usr/lib/*/bazel/*.so")]
    return sorted(path for path in candidates if not path.is_symlink())


def rewrite_classpath(tree: Path, root: Path) -> None:
    """Names all jars of the server by their final place, the indirect ones included.

    A jar's manifest may name further jars by absolute path (`Class-Path`), which the Java runtime
    would look for below `/`. Here they go into the list themselves. So does one small jar that
    tells the server its version: without it Debian's build calls itself a development version,
    and neither `bazel version` nor a rule that compares versions works.
    """
    listed = (tree / CLASSPATH).read_text(encoding="utf-8").split()
    label = (tree / BUILD_LABEL).read_text(encoding="utf-8").strip()
    with zipfile.ZipFile(tree / _BUILD_DATA_JAR, "w") as archive:
        archive.writestr(
            "build-data.properties", f"build.label={label}\nbuild.target=//src:bazel\n"
        )

    todo = [path for name in listed if (path := _inside(tree, name)).is_file()]
    if not todo:
        raise BootstrapError(f"none of the jars named in Debian's {CLASSPATH.name} exists")
    jars: dict[Path, None] = {}
    while todo:
        jar = todo.pop(0)
        if jar.resolve() not in {known.resolve() for known in jars}:
            jars[jar] = None
            todo += _class_path_of(jar, tree)
    jars[tree / _BUILD_DATA_JAR] = None
    lines = [str(root / jar.relative_to(tree)) for jar in jars]
    (tree / CLASSPATH).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _inside(tree: Path, name: str) -> Path:
    return tree / name.lstrip("/")


def _class_path_of(jar: Path, tree: Path) -> Iterator[Path]:
    """The jars that a jar's manifest names and that exist in the tree."""
    try:
        with zipfile.ZipFile(jar) as archive:
            manifest = archive.read("META-INF/MANIFEST.MF").decode(errors="replace")
    except KeyError:
        return  # a jar need not have a manifest
    unfolded = re.sub(r"\r?\n ", "", manifest)
    for value in re.findall(r"^Class-Path:(.*)$", unfolded, re.MULTILINE):
        for reference in value.split():
            name = reference.removeprefix("file:")
            path = _inside(tree, name) if name.startswith("/") else jar.parent / name
            if path.is_file():
                yield path
