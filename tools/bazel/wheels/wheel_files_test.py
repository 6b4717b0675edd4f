"""Tests of unpacking wheels: the layout, that it is the same everywhere, and what is refused."""

import hashlib
import importlib.util
import json
import os
import pathlib
import stat
import subprocess
import sys
import time
import zipfile

import pytest
from packaging.requirements import Requirement

from tools.bazel.wheels import describe_python, fetch_wheel
from tools.bazel.wheels.wheel_files import (
    WheelError,
    compile_modules,
    requires_dist,
    unpack_wheel,
)

METADATA = """\
Metadata-Version: 2.1
Name: Example
Version: 1.0
Requires-Dist: rich>=1
Requires-Dist: Foo.Bar
Requires-Dist: colorama; sys_platform == "win32"
Requires-Dist: numpy; extra == "array"
Requires-Dist: example[array]; extra == "all"

A description.
Requires-Dist: not-this
"""


def make_wheel(
    folder: pathlib.Path, members: dict[str, bytes], modes: dict[str, int] | None = None
) -> pathlib.Path:
    wheel = folder / "example-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            mode = (modes or {}).get(name, stat.S_IFREG | 0o664)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return wheel


MEMBERS = {
    "example/__init__.py": b"import os\nFOLDER = os.path.dirname(__file__)\n\n\ndef fail():\n    raise ValueError\n",
    "example/native.so": b"\x7fELF",
    "example/broken.py": b"def (:\n",
    "example-1.0.data/purelib/extra.py": b"X = {'a', 'b', 'c'}\n",
    "example-1.0.data/platlib/example/plat.py": b"",
    "example-1.0.data/scripts/tool": b"#!python\n",
    "example-1.0.data/data/share/x.txt": b"x",
    "example-1.0.data/headers/example.h": b"",
    "example-1.0.dist-info/METADATA": METADATA.encode(),
    "example-1.0.dist-info/RECORD": b"as the wheel has it\n",
    "example-1.0.dist-info/entry_points.txt": b"[console_scripts]\nexample = example:main\n",
}
MODES = {"example/native.so": stat.S_IFREG | 0o755}


def snapshot(folder: pathlib.Path) -> dict[str, tuple[int, str]]:
    """Path -> permissions and digest."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode & 0o777,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_layout_is_that_of_rules_python(tmp_path: pathlib.Path) -> None:
    unpack_wheel(make_wheel(tmp_path, MEMBERS, MODES), tmp_path / "out")
    found = snapshot(tmp_path / "out")
    assert {path: oct(mode) for path, (mode, _) in found.items()} == {
        "site-packages/example/__init__.py": "0o644",
        "site-packages/example/native.so": "0o755",
        "site-packages/example/broken.py": "0o644",
        "site-packages/example/plat.py": "0o644",
        "site-packages/extra.py": "0o644",
        "site-packages/example-1.0.dist-info/METADATA": "0o644",
        "site-packages/example-1.0.dist-info/RECORD": "0o644",
        "site-packages/example-1.0.dist-info/entry_points.txt": "0o644",
        "bin/tool": "0o755",
        "data/share/x.txt": "0o644",
        "include/example.h": "0o644",
    }
    assert (tmp_path / "out/bin/tool").read_bytes() == b"#!python\n"


UNPACK = """
import pathlib, sys
from tools.bazel.wheels.wheel_files import compile_modules, unpack_wheel
unpack_wheel(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
compile_modules(pathlib.Path(sys.argv[2]))
"""


def test_folder_umask_clock_and_hash_seed_do_not_matter(tmp_path: pathlib.Path) -> None:
    wheel = make_wheel(tmp_path, MEMBERS, MODES)
    snapshots = []
    for name, umask, seed in (("one", 0o022, "1"), ("some where/else", 0o077, "2")):
        folder = tmp_path / name
        subprocess.run(
            [sys.executable, "-c", UNPACK, wheel, folder],
            env={
                "PYTHONPATH": os.pathsep.join(sys.path),
                "PYTHONHASHSEED": seed,
            },
            umask=umask,
            check=True,
        )
        snapshots.append(snapshot(folder))
        os.utime(wheel, (time.time() + 5, time.time() + 5))
    assert snapshots[0] == snapshots[1]
    tag = sys.implementation.cache_tag
    assert f"site-packages/__pycache__/extra.{tag}.pyc" in snapshots[0]
    assert f"site-packages/example/__pycache__/broken.{tag}.pyc" not in snapshots[0]


def test_byte_code_is_used_and_shows_the_place_of_its_source(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    unpack_wheel(make_wheel(tmp_path, MEMBERS), out)
    compile_modules(out)
    source = out / "site-packages/example/__init__.py"
    cached = pathlib.Path(importlib.util.cache_from_source(str(source)))
    assert str(tmp_path).encode() not in cached.read_bytes()
    # Touched, even changed: the byte code counts, as the source of a wheel never changes.
    source.write_text("raise ImportError('the source was compiled again')")
    spec = importlib.util.spec_from_file_location("example", source)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(ValueError) as error:
        module.fail()
    assert str(error.traceback[-1].path) == str(source)


@pytest.mark.parametrize(
    ("member", "mode", "problem"),
    [
        ("../evil.py", stat.S_IFREG | 0o644, "outside"),
        ("/evil.py", stat.S_IFREG | 0o644, "outside"),
        ("a/../../evil.py", stat.S_IFREG | 0o644, "outside"),
        ("a\\..\\evil.py", stat.S_IFREG | 0o644, "outside"),
        ("link", stat.S_IFLNK | 0o777, "not a plain file"),
        ("example-1.0.data/scripts", stat.S_IFREG | 0o644, "no folder that wheels have"),
        ("example-1.0.data/unknown/x", stat.S_IFREG | 0o644, "no folder that wheels have"),
        ("example-1.0.data/purelib/example/__init__.py", stat.S_IFREG | 0o644, "two members"),
    ],
)
def test_what_no_wheel_has_is_refused(
    tmp_path: pathlib.Path, member: str, mode: int, problem: str
) -> None:
    wheel = make_wheel(tmp_path, {"example/__init__.py": b"", member: b"x"}, {member: mode})
    with pytest.raises(WheelError, match=problem):
        unpack_wheel(wheel, tmp_path / "out")
    assert not (tmp_path / "evil.py").exists()


def test_requirements_are_read_from_the_header_only(tmp_path: pathlib.Path) -> None:
    unpack_wheel(make_wheel(tmp_path, MEMBERS), tmp_path / "out")
    lines = requires_dist(tmp_path / "out")
    assert len(lines) == 5 and "not-this" not in lines
    (tmp_path / "out/site-packages/example-1.0.dist-info/METADATA").unlink()
    with pytest.raises(WheelError, match=r"0 \.dist-info"):
        requires_dist(tmp_path / "out")


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        ([], ["foo_bar", "rich"]),
        (["array"], ["foo_bar", "numpy", "rich"]),
        (["all"], ["foo_bar", "rich"]),  # example[array] is the wheel itself
    ],
)
def test_needed_packages_are_those_whose_marker_holds(
    tmp_path: pathlib.Path, extras: list[str], expected: list[str]
) -> None:
    unpack_wheel(make_wheel(tmp_path, MEMBERS), tmp_path / "out")
    lines = requires_dist(tmp_path / "out")
    assert fetch_wheel.needed_packages("Example", lines, extras, Requirement) == expected


def test_python_describes_itself() -> None:
    description = json.loads(
        subprocess.run(
            [sys.executable, "-I", describe_python.__file__], stdout=subprocess.PIPE, check=True
        ).stdout
    )
    assert description["version"] == ".".join(map(str, sys.version_info[:3]))
    assert description["minor_version"] == ".".join(map(str, sys.version_info[:2]))
    assert description["identity"]["build"] == sys.version
    executable = pathlib.Path(description["executable"])
    assert executable == executable.resolve() and os.access(executable, os.X_OK)
    assert description["home"] == str(executable.parent)
