"""The first thing that runs of the file (it is the zip's __main__.py): checks the Python that runs it,
unpacks the file if that was not done yet, and becomes a Python that has nothing else on its path.

Any Python from 3.6 on has to be able to read this, to be told which one is needed: no newer syntax
here, and annotations that it would not understand stand in quotes.
"""

import contextlib
import fcntl
import json
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

ABOUT = "iris_ship.json"
PAYLOAD = "payload/"
COPY = "iris.pyz"
# EX_CONFIG of sysexits.h: nothing is wrong with the request, but with the machine.
UNSUITABLE = 78


def main() -> None:
    """Does not return."""
    archive = os.path.dirname(os.path.abspath(__file__))
    if not sys.executable:
        # Without PATH, and called by a name that had none in it.
        sys.exit("Python does not know where it lies. Call it by its full path.")
    with zipfile.ZipFile(archive) as file:
        about = json.loads(file.read(ABOUT).decode())
        problem = unsuitable(about)
        if problem:
            sys.stderr.write(problem + "\n")
            sys.exit(UNSUITABLE)
        folder = unpacked(file, archive, about["digest"])
    run = os.path.join(folder, "run.py")
    os.execv(sys.executable, [sys.executable, "-I", "-S", run, *sys.argv[1:]])


def unsuitable(about: "dict[str, Any]") -> str:
    """Why the file cannot run here; empty if it can."""
    here = (
        list(sys.version_info[:2]),
        sys.implementation.name,
        platform.system(),
        platform.machine(),
    )
    there = (about["python"], about["implementation"], about["system"], about["machine"])
    if here == there:
        return ""
    here_is = f"{sys.executable} is {describe(*here)}"
    return (
        f"This is Iris for {describe(*there)}; {here_is}. Name another Python in bootstrap.python."
    )


def describe(version: "list[int]", implementation: str, system: str, machine: str) -> str:
    """E.g. cpython 3.11 on Linux x86_64."""
    return f"{implementation} {'.'.join(map(str, version))} on {system} {machine}"


def unpacked(file: zipfile.ZipFile, archive: str, digest: str) -> str:
    """The folder with all that is in the file: beside it, or where that is not possible in the
    user's cache, or in a folder for temporary files.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    user = os.path.join(tempfile.gettempdir(), f"iris-{os.geteuid()}")
    problem = None
    for parent in (os.path.dirname(archive), os.path.join(cache, "iris", "ship"), user):
        folder = os.path.join(parent, digest)
        try:
            os.makedirs(parent, 0o700, exist_ok=True)
            if os.stat(parent).st_uid != os.geteuid():
                continue  # what lies there could be anybody's
            if not is_complete(file, folder):
                with one_at_a_time(parent):
                    # Another may have done it by now, and be running from there.
                    if not is_complete(file, folder):
                        unpack(file, archive, folder)
            return folder
        except OSError as error:
            problem = problem or error
    sys.exit(f"Iris cannot be unpacked beside {archive}: {problem}")


@contextlib.contextmanager
def one_at_a_time(parent: str) -> "Iterator[None]":
    """Waits until no other process is within, in that folder. Who ends, however, lets others in."""
    with open(os.path.join(parent, ".iris-ship.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_complete(file: zipfile.ZipFile, folder: str) -> bool:
    """Whether everything is there in its size: a machine that lost its power may have kept names
    without contents.
    """
    try:
        return os.path.exists(os.path.join(folder, COPY)) and all(
            os.stat(os.path.join(folder, info.filename[len(PAYLOAD) :])).st_size == info.file_size
            for info in payload(file)
        )
    except OSError:
        return False


def payload(file: zipfile.ZipFile) -> "list[zipfile.ZipInfo]":
    """What is to be unpacked."""
    return [info for info in file.infolist() if info.filename.startswith(PAYLOAD)]


def unpack(file: zipfile.ZipFile, archive: str, folder: str) -> None:
    """Makes the folder, so that it is seen only when it is whole."""
    making = tempfile.mkdtemp(prefix=".", dir=os.path.dirname(folder))
    try:
        for info in payload(file):
            path = os.path.join(making, info.filename[len(PAYLOAD) :])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with file.open(info) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            os.chmod(path, info.external_attr >> 16 & 0o777)
        copy(archive, os.path.join(making, COPY))
        discard(folder)  # one that is not complete
        os.rename(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def copy(archive: str, path: str) -> None:
    """The file itself, so that whoever runs from the folder can ship it on."""
    try:
        os.link(archive, path)
    except OSError:
        shutil.copyfile(archive, path)


def discard(folder: str) -> None:
    """Takes an incomplete one away, under another name first: nobody is to find half of it."""
    if os.path.isdir(folder):
        gone = tempfile.mkdtemp(prefix=".", dir=os.path.dirname(folder))
        os.rename(folder, os.path.join(gone, "x"))
        shutil.rmtree(gone, ignore_errors=True)


if __name__ == "__main__":
    main()
