"""Tests of what is left out of a bundle."""

import pathlib
import socket

import pytest

from iris.bundle.ignore import IgnoreRules, walk


def make(root: pathlib.Path, files: dict[str, str]) -> pathlib.Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def left_in(root: pathlib.Path, rules: IgnoreRules | None = None) -> set[str]:
    return set(walk(root, rules or IgnoreRules()))


def test_what_no_job_needs_is_left_out(tmp_path: pathlib.Path) -> None:
    make(
        tmp_path,
        {
            "train.py": "",
            "pkg/mod.py": "",
            ".env": "",
            ".git/config": "",
            "pkg/__pycache__/mod.cpython-311.pyc": "",
            "pkg/old.pyc": "",
            ".venv/bin/python": "",
            "web/node_modules/x/index.js": "",
        },
    )
    assert left_in(tmp_path) == {"train.py", "pkg/mod.py", ".env"}


def test_rules_of_nothing_leave_nothing_out(tmp_path: pathlib.Path) -> None:
    make(tmp_path, {".git/config": "", "a.pyc": "", ".gitignore": "b", "b": ""})
    (tmp_path / "bazel-bin").symlink_to("a.pyc")
    assert left_in(tmp_path, IgnoreRules.nothing()) == {
        ".git/config",
        "a.pyc",
        ".gitignore",
        "b",
        "bazel-bin",
    }


def test_gitignore_and_irisignore_count_in_every_folder(tmp_path: pathlib.Path) -> None:
    make(
        tmp_path,
        {
            ".gitignore": "*.log\n/build\n!keep.log\n",
            "a.log": "",
            "keep.log": "",
            "build/x": "",
            "sub/build/x": "",
            "sub/.gitignore": "data/\n!a.log\n",
            "sub/a.log": "",
            "sub/b.log": "",
            "sub/data/x": "",
            "sub/.irisignore": "notes.txt\n",
            "sub/notes.txt": "",
            "notes.txt": "",
        },
    )
    assert left_in(tmp_path) == {
        ".gitignore",
        "keep.log",
        "sub/build/x",
        "sub/.gitignore",
        "sub/a.log",
        "sub/.irisignore",
        "notes.txt",
    }


def test_irisignore_outweighs_gitignore_and_the_defaults(tmp_path: pathlib.Path) -> None:
    make(
        tmp_path,
        {
            ".gitignore": "generated/\n",
            ".irisignore": "!generated/\n!*.pyc\nsecret.txt\n",
            "generated/model_pb2.py": "",
            "compiled.pyc": "",
            "secret.txt": "",
        },
    )
    assert left_in(tmp_path) == {
        ".gitignore",
        ".irisignore",
        "generated/model_pb2.py",
        "compiled.pyc",
    }


def test_bazel_links_are_left_out_of_the_root_only(tmp_path: pathlib.Path) -> None:
    make(tmp_path, {"bazel-notes.md": "", "sub/x": ""})
    (tmp_path / "bazel-out").symlink_to("/nowhere")
    (tmp_path / "sub/bazel-link").symlink_to("x")
    assert left_in(tmp_path) == {"bazel-notes.md", "sub/x", "sub/bazel-link"}


def test_links_are_not_followed_and_sockets_passed_over(
    tmp_path: pathlib.Path, short_tmp_path: pathlib.Path
) -> None:
    make(tmp_path, {"real/x": ""})
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert left_in(tmp_path) == {"real/x", "loop", "dangling"}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_tmp_path / "socket"))
        assert left_in(short_tmp_path) == set()


@pytest.mark.parametrize("text", ["\n\n# only a comment\n", "\ufefftrain.pyc", "[", "\x80"])
def test_odd_ignore_files_harm_nothing(tmp_path: pathlib.Path, text: str) -> None:
    make(tmp_path, {"train.py": ""})
    (tmp_path / ".gitignore").write_bytes(text.encode("utf-8", errors="surrogateescape"))
    assert "train.py" in left_in(tmp_path)
