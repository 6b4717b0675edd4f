"""What a place's Bazel is given of the caller's environment, and how it is called."""

import subprocess
from pathlib import Path

import pytest

from tools.cache_proof.place import BuildFailed, Clone, build_environment, remove

CALLER = {
    "PATH": "/bin",
    "HOME": "/home/alice",
    "HTTPS_PROXY": "http://proxy.example",
    "PIP_INDEX_URL": "https://index.example",
    "IRIS_DEBIAN_MIRROR": "http://mirror.example",
    "PYTHONPATH": "/somewhere",
    "BUILD_WORKSPACE_DIRECTORY": "/w",
    "RUNFILES_DIR": "/r",
    "EDITOR": "vi",
}

# Answers as Bazel does, and leaves in the workspace what it was asked.
BAZELW = """\
#!/bin/sh
printf '%s\\n' "$@" >asked
pwd >>asked
echo "$HOME" >>asked
for one; do
  case "$one" in
    --execution_log_json_file=*) : >"${one#*=}" ;;
    //:broken) echo "ERROR: it does not build" >&2; exit 1 ;;
    cquery) echo "@@//a:x_test"; echo "//b:y" ;;
  esac
done
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "README.md").write_text("one\n")
    (folder / "bazelw").write_text(BAZELW)
    (folder / "bazelw").chmod(0o755)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture
def clone(repository: Path, tmp_path: Path) -> Clone:
    return Clone(repository, tmp_path / "place", tmp_path / "repositories")


def test_of_the_callers_environment_only_the_way_to_downloads_is_left() -> None:
    found = build_environment(
        CALLER, Path("/place/home"), Path("/home/alice"), "/usr/bin/python3.11"
    )
    assert found == {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy.example",
        "PIP_INDEX_URL": "https://index.example",
        "IRIS_DEBIAN_MIRROR": "http://mirror.example",
        "HOME": "/place/home",
        "XDG_CACHE_HOME": "/home/alice/.cache",
        "XDG_CONFIG_HOME": "/home/alice/.config",
        "IRIS_PYTHON": "/usr/bin/python3.11",
    }


def test_caches_that_were_moved_stay_shared() -> None:
    caller = {**CALLER, "XDG_CACHE_HOME": "/big/cache"}
    found = build_environment(caller, Path("/place/home"), Path("/home/alice"), "/usr/bin/python3")
    assert found["XDG_CACHE_HOME"] == "/big/cache"


def test_a_test_runs_in_the_clone_with_a_home_and_an_output_of_its_own(
    clone: Clone, tmp_path: Path
) -> None:
    build = clone.test("http", ["//a/..."], ["--remote_cache=http://127.0.0.1:7"])
    assert build.spawns == ()
    place = tmp_path / "place"
    asked = (place / "iris/asked").read_text().splitlines()
    assert asked[0] == f"--output_user_root={place}/output"
    assert asked[2] == "test"
    assert f"--repository_cache={tmp_path}/repositories" in asked
    assert asked[-4:] == [
        *("--remote_cache=http://127.0.0.1:7", "//a/..."),
        *(f"{place}/iris", f"{place}/home"),
    ]


def test_what_does_not_build_says_so(clone: Clone) -> None:
    with pytest.raises(BuildFailed, match=r"exit code 1 in the step fill:\n.*it does not build"):
        clone.test("fill", ["//:broken"], [])


def test_what_depends_on_a_source_is_asked_of_bazel(clone: Clone, tmp_path: Path) -> None:
    labels = clone.depends_on(["//a/...", "//b/..."], ["//a:x.py"])
    assert labels == {"//a:x_test", "//b:y"}
    asked = (tmp_path / "place/iris/asked").read_text()
    assert "rdeps(//a/... + //b/..., //a:x.py)" in asked


def test_a_change_is_undone(clone: Clone, tmp_path: Path) -> None:
    readme = tmp_path / "place/iris/README.md"
    clone.append("README.md", "two\n")
    assert readme.read_text() == "one\ntwo\n"
    clone.restore()
    assert readme.read_text() == "one\n"


def test_what_is_read_only_is_removed_too(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    (folder / "output").mkdir(parents=True)
    (folder / "output" / "file").touch()
    (folder / "output").chmod(0o500)
    remove(folder)
    assert not folder.exists()
