"""Tests that the workspace_bundle rule packs what it says, the same bytes from anywhere."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from absl import flags

from iris.bundle import inspect_archive, unpack

_PACKER = flags.DEFINE_string("packer", None, "The packing program.", required=True)
_EXAMPLE = flags.DEFINE_string("example", None, "The archive of the target example.", required=True)
_FOLDER = "tools/bundle/testdata"


@dataclasses.dataclass(frozen=True, slots=True)
class Packed:
    archive: bytes
    digest: str
    printed: str


def pack(folder: pathlib.Path, manifest: str, *, umask: int) -> Packed:
    """Runs the packer the way the rule does, with a folder in the execution root's place."""
    (folder / "manifest").write_text(manifest)
    result = subprocess.run(
        [
            pathlib.Path(_PACKER.value).absolute(),
            "--manifest=manifest",
            "--archive=a.tar.gz",
            "--digest=a.digest",
            "--label=//some:bundle",
        ],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "USER": folder.name},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise ValueError(result.stderr + result.stdout)
    digest = (folder / "a.digest").read_text().removesuffix("\n")
    return Packed((folder / "a.tar.gz").read_bytes(), digest, result.stdout)


MANIFEST = "".join(
    f"{_FOLDER}/{name}\t{_FOLDER}/{name}\n" for name in ("hello.py", "run.sh", "data/words.txt")
)


def checkout(folder: pathlib.Path, *, mode: int, mtime: int) -> pathlib.Path:
    """A copy of the test's files under another path, with other permissions and times."""
    shutil.copytree(pathlib.Path(_FOLDER), folder / _FOLDER)
    for path in (folder / _FOLDER).rglob("*.*"):
        path.chmod(mode)
        os.utime(path, (mtime, mtime))
    return folder


def test_path_user_clock_umask_and_order_do_not_matter(tmp_path: pathlib.Path) -> None:
    one = checkout(tmp_path / "alice/iris", mode=0o600, mtime=1)
    other = checkout(tmp_path / "bob/src/some where/else", mode=0o755, mtime=2_000_000_000)
    reversed_manifest = "".join(reversed(MANIFEST.splitlines(keepends=True)))
    packed = pack(one, MANIFEST, umask=0o077)
    assert packed == pack(other, reversed_manifest, umask=0)
    assert packed.digest in packed.printed and "//some:bundle" in packed.printed


def test_content_and_path_matter(tmp_path: pathlib.Path) -> None:
    folder = checkout(tmp_path / "a", mode=0o644, mtime=1)
    digests = {pack(folder, MANIFEST, umask=0o022).digest}
    digests.add(pack(folder, MANIFEST.replace("hello.py\t", "hullo.py\t"), umask=0o022).digest)
    (folder / _FOLDER / "hello.py").write_text("print('other')\n")
    digests.add(pack(folder, MANIFEST, umask=0o022).digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("no tab\n", "has no tab"),
        ("a\tx\na\tx\n", "occurs twice"),
        ("a\tabsent\n", "No such file"),
        ("../a\tmanifest\n", "does not stay inside"),
    ],
)
def test_a_bad_manifest_is_refused(tmp_path: pathlib.Path, manifest: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        pack(tmp_path, manifest, umask=0o022)
    assert not (tmp_path / "a.digest").exists()


def test_the_rule_packs_targets_and_what_of_the_workspace_they_need(tmp_path: pathlib.Path) -> None:
    archive = pathlib.Path(_EXAMPLE.value)
    digest = archive.with_name("example.digest").read_text().strip()
    info = unpack(archive, tmp_path / "out", expected_digest=digest)
    assert info == inspect_archive(archive)
    out = tmp_path / "out"
    files = {str(path.relative_to(out)) for path in out.rglob("*") if not path.is_dir()}
    assert files == {
        f"{_FOLDER}/hello.py",
        f"{_FOLDER}/greeting.py",
        f"{_FOLDER}/generated.txt",
        f"{_FOLDER}/data/words.txt",
        f"{_FOLDER}/run.sh",
    }
    assert {path.name for path in out.rglob("*.*") if os.access(path, os.X_OK)} == {"run.sh"}
    result = subprocess.run(
        [sys.executable, f"{_FOLDER}/hello.py"],
        cwd=out,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "hello, world\n", result.stderr
