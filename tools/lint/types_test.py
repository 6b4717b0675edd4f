"""Holds the project's own code, tests aside, to mypy.ini."""

import fnmatch
import os
import pathlib
import subprocess
import sys
import sysconfig

import iris_proto
import pytest
from absl import flags

from tools.lint.import_graph import is_test

_CONFIGURATION = flags.DEFINE_string(
    "configuration", None, "mypy.ini, in the sources' root.", required=True
)

FOLDERS = ("iris", "tools")
LEFT_OUT = ("*/testdata/*", "iris/smoke/programs/*")

WRONG = [
    "def f(x: int) -> str:\n    return x\n",
    "def f(x):\n    return x\n",
    "import psutil\n\nx: str = psutil.Process().pid\n",
    "from google.protobuf import message\n\nx: int = message.Message().SerializeToString()\n",
    "from iris_proto import job_pb2\n\nx = job_pb2.NoSuchMessage()\n",
    "import no_such_module\n",
]
RIGHT = """\
import grpc.aio, pathspec, psutil, rich.console, yaml
from absl import flags
from google.protobuf import message
from iris_proto import job_pb2
size: int = job_pb2.JobSpec().ByteSize()
"""
TEXTS = {f"wrong{number}.py": text for number, text in enumerate(WRONG)} | {"right.py": RIGHT}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An interpreter with all of the test's wheels in one site-packages, where mypy finds stubs."""
    folder = tmp_path_factory.mktemp("environment")
    real = pathlib.Path(os.path.realpath(sys.executable))
    (folder / "bin").mkdir()
    (folder / "bin/python3").symlink_to(real)
    (folder / "pyvenv.cfg").write_text(f"home = {real.parent}\n")
    packages = pathlib.Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    for entry in sys.path:
        if entry.endswith("/site-packages"):
            _merge(pathlib.Path(entry), packages)
    return folder / "bin/python3"


def _merge(source: pathlib.Path, destination: pathlib.Path) -> None:
    """Links one folder's files into another, which may have some already (namespace packages)."""
    destination.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        target = destination / path.name
        if path.is_dir():
            _merge(path, target)
        elif not target.exists():
            target.symlink_to(path)


def run_mypy(
    python: pathlib.Path, root: pathlib.Path, files: list[str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            f"--config-file={pathlib.Path(_CONFIGURATION.value).absolute()}",
            f"--python-executable={python}",
            "--cache-dir=/dev/null",
            "--no-error-summary",
            *files,
        ],
        cwd=root,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MYPYPATH": str(pathlib.Path(iris_proto.__file__).parents[1]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def complaints(python: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What mypy says of each file it complains about: the project's, WRONG and RIGHT in one run, as
    most of the time goes into the libraries' types.
    """
    root = pathlib.Path(_CONFIGURATION.value).absolute().parent
    files = [
        str(path.relative_to(root))
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*.py"))
    ]
    files = [
        file
        for file in files
        if not is_test(file) and not any(fnmatch.fnmatch(file, p) for p in LEFT_OUT)
    ]
    assert len(files) > 20, "the workspace's sources are not there"
    folder = tmp_path_factory.mktemp("texts")
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    result = run_mypy(python, root, [*files, *(str(folder / name) for name in TEXTS)])
    assert result.returncode == 1, result.stdout
    found: dict[str, str] = {}
    for line in result.stdout.splitlines(keepends=True):
        file = line.split(":")[0]
        found[file] = found.get(file, "") + line
    return found


def test_types(complaints: dict[str, str]) -> None:
    of_the_project = [
        lines
        for file, lines in complaints.items()
        if pathlib.Path(file).name not in TEXTS and ": error: " in lines
    ]
    assert not of_the_project, "".join(of_the_project)


def test_a_wrong_type_would_be_found(complaints: dict[str, str]) -> None:
    found = {pathlib.Path(file).name for file, lines in complaints.items() if ": error: " in lines}
    assert found & TEXTS.keys() == TEXTS.keys() - {"right.py"}, complaints
