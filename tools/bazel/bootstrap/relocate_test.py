"""Tests of making an unpacked tree of packages independent of `/`."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.bazel.bootstrap import relocate
from tools.bazel.bootstrap.commands import Commands
from tools.bazel.bootstrap.errors import BootstrapError

_ROOT = Path("/final/place")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_JAVA = "usr/lib/jvm/java-25-openjdk-amd64"


def _write(path: Path, text: str = "", *, executable: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if executable else 0o644)
    return path


def _link(path: Path, target: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def _jar(path: Path, class_path: Sequence[str] = (), *, manifest: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as jar:
        if manifest:
            # As long values are written: folded after 72 bytes, the rest after a space.
            line = f"Class-Path: {' '.join(class_path)}" if class_path else "Created-By: test"
            folded = "\r\n ".join(line[start : start + 70] for start in range(0, len(line), 70))
            jar.writestr("META-INF/MANIFEST.MF", f"Manifest-Version: 1.0\r\n{folded}\r\n")
    return path


def _classpath(tree: Path, *jars: str) -> None:
    _write(tree / relocate.CLASSPATH, "\n".join(jars) + "\n")
    _write(tree / relocate.BUILD_LABEL, "7.7.1\n")


def test_absolute_links_point_into_the_tree_wherever_it_is(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    _write(tree / "etc/java/security/java.policy", "policy")
    _write(tree / "usr/lib/real", "real")
    _link(tree / "usr/lib/jvm/conf/java.policy", "/etc/java/security/java.policy")
    _link(tree / "usr/lib/jvm/conf/folder", "/etc/java")
    relative = _link(tree / "usr/bin/real", "../lib/real")
    dangling = _link(tree / "top", "/nowhere")

    assert relocate.make_links_relative(tree) == 3

    moved = tree.rename(tmp_path / "moved")
    assert (moved / "usr/lib/jvm/conf/java.policy").read_text() == "policy"
    assert (moved / "usr/lib/jvm/conf/folder/security/java.policy").read_text() == "policy"
    assert (moved / relative.relative_to(tree)).readlink() == Path("../lib/real")
    assert (moved / dangling.relative_to(tree)).readlink() == Path("nowhere")


def test_classpath_names_existing_jars_by_their_final_place(tmp_path: Path) -> None:
    _jar(tmp_path / "usr/share/java/guava.jar")
    _jar(tmp_path / "usr/share/java/plain.jar", manifest=False)
    _classpath(
        tmp_path,
        "/usr/share/java/guava.jar",
        "/usr/share/java/absent.jar",
        "/usr/share/java/plain.jar",
    )

    relocate.rewrite_classpath(tmp_path, _ROOT)

    lines = (tmp_path / relocate.CLASSPATH).read_text().splitlines()
    assert lines[:2] == [
        f"{_ROOT}/usr/share/java/guava.jar",
        f"{_ROOT}/usr/share/java/plain.jar",
    ]
    assert len(lines) == 3


def test_classpath_follows_manifests_to_jars_of_jars_once(tmp_path: Path) -> None:
    java = tmp_path / "usr/share/java"
    _jar(
        java / "grpc-core.jar",
        [
            "/usr/share/java/perfmark-api.jar",
            "annotations.jar",
            "absent.jar",
            "grpc-core.jar",
        ],
    )
    _jar(java / "perfmark-api-1.jar", ["file:/usr/share/java/annotations.jar"])
    _link(java / "perfmark-api.jar", "perfmark-api-1.jar")
    _jar(java / "annotations.jar")
    _classpath(tmp_path, "/usr/share/java/grpc-core.jar", "/usr/share/java/perfmark-api-1.jar")

    relocate.rewrite_classpath(tmp_path, _ROOT)

    names = [Path(line).name for line in (tmp_path / relocate.CLASSPATH).read_text().splitlines()]
    assert names[:-1] == ["grpc-core.jar", "perfmark-api-1.jar", "annotations.jar"]


def test_classpath_ends_with_a_jar_that_tells_the_version(tmp_path: Path) -> None:
    _jar(tmp_path / "usr/share/java/guava.jar")
    _classpath(tmp_path, "/usr/share/java/guava.jar")

    relocate.rewrite_classpath(tmp_path, _ROOT)

    last = Path((tmp_path / relocate.CLASSPATH).read_text().splitlines()[-1])
    with zipfile.ZipFile(tmp_path / last.relative_to(_ROOT)) as jar:
        assert "build.label=7.7.1" in jar.read("build-data.properties").decode().splitlines()


def test_classpath_without_any_jar_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "usr/share/java").mkdir(parents=True)
    _classpath(tmp_path, "/usr/share/java/absent.jar")

    with pytest.raises(BootstrapError, match="none of the jars"):
        relocate.rewrite_classpath(tmp_path, _ROOT)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A tree with a loader that notes what it was asked to run, a line a call."""
    tree = tmp_path / "tree"
    calls = tmp_path / "calls"
    loader = f'#!/bin/sh\necho "$@" >>"{calls}"\n'
    _write(tree / _LIBRARIES / "ld-linux-x86-64.so.2", loader, executable=True)
    _write(tree / "usr/bin/patchelf", executable=True)
    _write(tree / "usr/bin/bazel", executable=True)
    _write(tree / "usr/libexec/x86_64-linux-gnu/bazel/linux-sandbox", executable=True)
    _write(tree / f"{_LIBRARIES}/bazel/libcpu_profiler.so")
    _write(tree / _JAVA / "bin/java", executable=True)
    _write(tree / _JAVA / "lib/jspawnhelper", executable=True)
    _write(tree / _JAVA / "lib/server/libjvm.so")
    _link(tree / "usr/lib/jvm/java-1.25.0-openjdk-amd64", "java-25-openjdk-amd64")
    return tree


def test_programs_get_the_loader_and_all_get_the_libraries(programs: Path, tmp_path: Path) -> None:
    relocate.patch_programs(programs, _ROOT, Commands(tmp_path / "log"))

    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    first, second = calls
    for call in calls:
        assert call[:3] == [
            "--library-path",
            f"{programs}/{_LIBRARIES}",
            f"{programs}/usr/bin/patchelf",
        ]
        assert "--force-rpath" in call
        rpath = call[call.index("--set-rpath") + 1].split(":")
        assert rpath[:2] == [f"{_ROOT}/{_LIBRARIES}", f"{_ROOT}/{_JAVA}/lib"]
    interpreter = first[first.index("--set-interpreter") + 1]
    assert interpreter == f"{_ROOT}/{_LIBRARIES}/ld-linux-x86-64.so.2"
    assert {path.removeprefix(f"{programs}/") for path in first[8:]} == {
        "usr/bin/bazel",
        "usr/libexec/x86_64-linux-gnu/bazel/linux-sandbox",
        f"{_JAVA}/bin/java",
        f"{_JAVA}/lib/jspawnhelper",
    }
    assert "--set-interpreter" not in second
    assert {path.removeprefix(f"{programs}/") for path in second[6:]} == {
        f"{_LIBRARIES}/bazel/libcpu_profiler.so",
        f"{_JAVA}/lib/server/libjvm.so",
    }


def test_java_home_is_the_real_folder(programs: Path) -> None:
    assert relocate.java_home(programs) == programs / _JAVA


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (f"{_LIBRARIES}/ld-linux-x86-64.so.2", "loader"),
        (f"{_JAVA}/bin/java", "Java runtime"),
    ],
)
def test_a_tree_that_lacks_a_part_is_an_error(
    programs: Path, tmp_path: Path, part: str, message: str
) -> None:
    (programs / part).unlink()

    with pytest.raises(BootstrapError, match=f"one.* {message}.*none"):
        relocate.patch_programs(programs, _ROOT, Commands(tmp_path / "log"))


def test_two_java_runtimes_are_an_error(programs: Path) -> None:
    _write(programs / "usr/lib/jvm/java-26-openjdk-amd64/bin/java")

    with pytest.raises(BootstrapError, match=r"java-25-openjdk-amd64, java-26-openjdk-amd64"):
        relocate.java_home(programs)
