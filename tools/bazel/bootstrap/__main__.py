"""Called by `bazelw` when nothing else will do: makes a Bazel out of Debian's packages.

Progress goes to standard error. If it cannot be done, the reason goes to standard output, where
`bazelw` reads it, and the exit code is 1.
"""

import argparse
import sys
from pathlib import Path

from tools.bazel.bootstrap.debian import Installation, Machine, install
from tools.bazel.bootstrap.errors import BootstrapError


def _say(line: str) -> None:
    print(f"bazelw: {line}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bazelw", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the folder to make Bazel in")
    parser.add_argument("--version", required=True, help="the version the project asks for")
    real = Machine()
    parser.add_argument("--apt_folder", type=Path, default=real.apt_folder)
    parser.add_argument("--keyring", type=Path, action="append", help="may be given several times")
    options = parser.parse_args(arguments)
    machine = Machine(options.apt_folder, tuple(options.keyring or real.keyrings))
    try:
        install(Installation(options.root, options.version), machine, _say)
    except BootstrapError as error:
        print(error)
        return 1
    except KeyboardInterrupt:
        _say("interrupted; the next start goes on from here")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
