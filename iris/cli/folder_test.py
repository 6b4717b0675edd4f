"""Which folder travels with a job."""

from pathlib import Path

import pytest

from iris.bundle import BundleInfo
from iris.cli.errors import UsageError
from iris.cli.folder import bundle_folder, caller_folder, describe_bundle, size_hint
from iris.model.resources import GIB


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "/cwd"),
        ({"BUILD_WORKING_DIRECTORY": "/bazel"}, "/bazel"),
        ({"BUILD_WORKING_DIRECTORY": "/bazel", "IRIS_CALLER_DIRECTORY": "/caller"}, "/caller"),
    ],
)
def test_where_the_person_stands(environment: dict[str, str], folder: str) -> None:
    assert caller_folder(environment, Path("/cwd")) == Path(folder)


def test_the_callers_folder_or_the_named_one(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    assert bundle_folder(None, tmp_path, None) == tmp_path.resolve()
    assert bundle_folder("src", tmp_path, None) == tmp_path.resolve() / "src"
    assert bundle_folder(str(tmp_path / "src"), Path("/"), None) == tmp_path.resolve() / "src"


def test_a_home_is_not_sent_nor_what_is_above_it(tmp_path: Path) -> None:
    home = tmp_path / "home" / "ann"
    (home / "project").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    for folder in (home, home.parent, tmp_path / "link"):
        with pytest.raises(UsageError, match="your home folder, or above it"):
            bundle_folder(None, folder, str(home))
    assert bundle_folder("project", home, str(home)) == (home / "project").resolve()


def test_a_disk_is_not_sent() -> None:
    with pytest.raises(UsageError, match="the whole disk") as caught:
        bundle_folder("/", Path("/"), None)
    assert "--no-bundle" in caught.value.hint


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        bundle_folder("missing", tmp_path, None)


def test_what_travels_is_said() -> None:
    small, large, many = (
        BundleInfo("sha256:x", *size) for size in ((1, 1536), (3, GIB), (5000, 10))
    )
    assert describe_bundle(small, Path("/p")) == "bundle of /p: 1 file, 1.5 KiB"
    assert describe_bundle(many, Path("/p")) == "bundle of /p: 5,000 files, 10 B"
    assert size_hint(small) == ""
    assert ".irisignore" in size_hint(large)
    assert ".irisignore" in size_hint(many)
