"""Tests of reading the lock: what a line means, and what is refused."""

import json
import pathlib
import subprocess
import sys

import pytest

from tools.bazel.wheels import lock_file
from tools.bazel.wheels.lock_file import LockError, Pin, distributions, parse_lock

ZEROS, ONES = "0" * 64, "1" * 64


def pin(**fields: object) -> Pin:
    defaults = {"extras": (), "marker": "", "hashes": (f"sha256:{ZEROS}",), "line": 1}
    return Pin(**{**defaults, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a==1 --hash=sha256:{ZEROS}", pin(name="a", version="1")),
        (f"a == 1.0.post1+cpu  --hash=sha256:{ZEROS}", pin(name="a", version="1.0.post1+cpu")),
        (f"A.b_c-d==1!2 --hash=sha256:{ZEROS}  # why", pin(name="A.b_c-d", version="1!2")),
        (f"a[x, y]==1 --hash=sha256:{ZEROS}", pin(name="a", version="1", extras=("x", "y"))),
        (
            f"a==1 ; python_version < '3.12' and sys_platform == 'linux' --hash=sha256:{ZEROS}",
            pin(
                name="a", version="1", marker="python_version < '3.12' and sys_platform == 'linux'"
            ),
        ),
        (
            f"a==1 \\\n    --hash=sha256:{ZEROS} \\\n  --hash=sha512:{ONES}{ONES}\n    # via b",
            pin(
                name="a",
                version="1",
                hashes=(f"sha256:{ZEROS}", f"sha512:{ONES}{ONES}"),
                needed_by=("b",),
            ),
        ),
        (
            f"a==1 --hash=sha256:{ZEROS}\n# via\n#   -r requirements.in\n#   c",
            pin(name="a", version="1", needed_by=("-r requirements.in", "c")),
        ),
    ],
)
def test_a_line_is_a_pin(text: str, expected: Pin) -> None:
    assert parse_lock(text) == [expected]


def test_lines_and_comments_belong_together() -> None:
    text = f"""\
# A header.
#    some command

a==1 \\
    --hash=sha256:{ZEROS}
    # via b
b==2 --hash=sha256:{ONES}
    # via -r requirements.in
"""
    pins = parse_lock(text)
    assert [(p.name, p.line, p.needed_by) for p in pins] == [
        ("a", 4, ("b",)),
        ("b", 7, ("-r requirements.in",)),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "does not pin"),
        ("a>=1", "does not pin"),
        (f"a==1.* --hash=sha256:{ZEROS}", "does not pin"),
        (f"a @ https://example.org/a.whl --hash=sha256:{ZEROS}", "does not pin"),
        (f"./a.whl --hash=sha256:{ZEROS}", "does not pin"),
        ("a==1", "no --hash"),
        ("a==1 --hash=md5:" + "0" * 32, "no sha256"),
        ("a==1 --hash=sha256:0", "no sha256"),
        ("a==1 --hash=sha256:" + "G" * 64, "not of the form"),
        (f"a==1 --hash=sha256:{ZEROS} --config-settings=x", "not of the form"),
        ("--index-url https://example.org/simple", "is an option"),
        ("-i https://example.org/simple", "is an option"),
        ("--find-links=/wheels", "is an option"),
        ("-e .", "is an option"),
        (
            f"a==1 --hash=sha256:{ZEROS}\nA==2 --hash=sha256:{ZEROS}",
            "line 2: A is pinned on line 1",
        ),
        ("a==1 \\", "cut short"),
    ],
)
def test_what_is_no_pin_is_refused(text: str, problem: str) -> None:
    with pytest.raises(LockError, match="line ") as error:
        parse_lock(text)
    assert problem in str(error.value)


def test_versions_of_one_distribution_by_marker_stay_together() -> None:
    text = f"""\
numpy==1 ; python_version < '3.12' --hash=sha256:{ZEROS}
other==5 --hash=sha256:{ZEROS}
numpy[x]==2 ; python_version >= '3.12' --hash=sha256:{ONES}
"""
    assert distributions(parse_lock(text)) == [
        {
            "name": "numpy",
            "package": "numpy",
            "extras": ["x"],
            "requirements": [
                f"numpy==1 ; python_version < '3.12' --hash=sha256:{ZEROS}",
                f"numpy[x]==2 ; python_version >= '3.12' --hash=sha256:{ONES}",
            ],
        },
        {
            "name": "other",
            "package": "other",
            "extras": [],
            "requirements": [f"other==5 --hash=sha256:{ZEROS}"],
        },
    ]


@pytest.mark.parametrize(
    "name", ["zope.interface", "zope-interface", "Zope__Interface", "zope-.interface"]
)
def test_names_become_bazel_packages(name: str) -> None:
    assert pin(name=name, version="1").package == "zope_interface"


def run(path: pathlib.Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", lock_file.__file__, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_as_a_program_it_prints_json_or_one_line(tmp_path: pathlib.Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"a==1 --hash=sha256:{ZEROS}\n")
    assert [entry["name"] for entry in json.loads(run(lock).stdout)] == ["a"]
    lock.write_text("a>=1\n")
    result = run(lock)
    assert result.returncode == 1
    assert result.stderr.startswith("line 1: 'a>=1'") and result.stderr.count("\n") == 1
