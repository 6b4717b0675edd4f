"""Proves that results of the build are shared: what one place has built, another one never runs again.

    ./bazelw run //tools/cache_proof                        some of the workspace, a few minutes
    ./bazelw run //tools/cache_proof -- --all               all of it but the long tests
    ./bazelw run //tools/cache_proof -- --scope=//iris/model/...,//tests:smoke_local

Clones the repository's HEAD twice, into different folders, with different HOMEs and output bases, and
puts a real HTTP cache (nginx with WebDAV) and a disk cache beside them; tools/cache_proof/proof.py says
what is proved, step by step. Prints a table, and writes the same as JSON where --json says.

nginx is the machine's; where there is none it is unpacked from Debian's package, without installing it.
Exit codes: 0 when all is true; 1 when something is not; 2 when it could not be found out.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from iris.model.errors import InvalidArgument, IrisError
from tools.cache_proof.nginx import find_nginx, running_nginx
from tools.cache_proof.place import Clone, remove
from tools.cache_proof.proof import Caches, Proof, Step
from tools.cache_proof.report import as_json, header, row

# The smoke flow, which is made of nearly everything; the room whose source changes; and rooms below it
# that do not depend on that source.
SCOPE = (
    "//tests:smoke_local",
    "//iris/worker/...",
    "//iris/model/...",
    "//iris/bundle/...",
    "//proto/...",
    "//tools/bundle/...",
    "//tools/ship/...",
)
EVERYTHING = ("//...",)
SOURCE = ("iris/worker/reconcile.py", "//iris/worker:reconcile.py")

_SCOPE = flags.DEFINE_list("scope", list(SCOPE), "Target patterns to build and test.")
_ALL = flags.DEFINE_bool("all", False, "Everything that `test //...` tests, instead of --scope.")
_NGINX = flags.DEFINE_string("nginx", None, "The program, if it is not on PATH.")
_JSON = flags.DEFINE_string("json", None, "A file for the result.")
_KEEP = flags.DEFINE_bool("keep", False, "Leave the clones, caches and logs, and say where.")


def main(arguments: Sequence[str]) -> int:
    """Runs what the flags say; the exit code."""
    if len(arguments) > 1:
        sys.stderr.write(f"cache_proof: {arguments[1]!r} is no flag.\n")
        return 2
    try:
        workspace = _workspace()
        folder = _folder()
        try:
            return _prove(workspace, folder, list(EVERYTHING) if _ALL.value else _SCOPE.value)
        finally:
            if _KEEP.value:
                print(f"Left in {folder}")
            else:
                remove(folder)
    except (IrisError, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"cache_proof: {error}\n")
        return 2


def _prove(workspace: Path, folder: Path, scope: list[str]) -> int:
    started = time.monotonic()
    commit = _git(workspace, "rev-parse", "HEAD")
    if _git(workspace, "status", "--porcelain"):
        print("What is not committed is not looked at.")
    repositories = folder / "repositories"
    first = Clone(workspace, folder / "first", repositories)
    second = Clone(workspace, folder / "the/second/place", repositories)
    with running_nginx(find_nginx(_NGINX.value, folder / "package"), folder / "http") as nginx:
        caches = Caches(nginx.url, folder / "disk", nginx.traffic)
        print(header(), flush=True)
        steps = Proof(scope, SOURCE, caches, _tell).run(first, second)
    report = as_json(commit, scope, steps, time.monotonic() - started)
    if _JSON.value:
        (Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")) / _JSON.value).write_text(
            report + "\n"
        )
    is_true = not any(step.problems for step in steps)
    print("All of it is true." if is_true else "It is not true.")
    return 0 if is_true else 1


def _tell(step: Step) -> None:
    print(row(step), flush=True)


def _workspace() -> Path:
    named = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if not named:
        raise InvalidArgument(
            "There is no workspace.", hint="Run it with ./bazelw run //tools/cache_proof."
        )
    return Path(named)


def _folder() -> Path:
    """Below the cache folder: what lies in /tmp is not visible in a sandbox."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iris/cache_proof"
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=cache))


def _git(workspace: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    app.run(main)
