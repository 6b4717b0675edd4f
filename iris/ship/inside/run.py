"""What start.py becomes: a Python that sees its own library and what was unpacked, and runs one of
Iris's programs, the one that the first argument names.
"""

import importlib
import os
import sys

# By the word on the command line: module and function. The function's result is the exit code.
PROGRAMS = {
    "worker": ("iris.platforms.manual.worker_main", "main"),
    "controller": ("iris.lifecycle.remote.host_program", "main"),
    "cli": ("iris.cli.main", "main"),
}


def main() -> int:
    """The program's exit code."""
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "site"))
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word not in PROGRAMS:
        names = ", ".join(PROGRAMS)
        sys.stderr.write(f"{word!r} is no program of Iris. Give one of {names} first.\n")
        return 2
    module, function = PROGRAMS[word]
    del sys.argv[1]
    return getattr(importlib.import_module(module), function)() or 0


if __name__ == "__main__":
    sys.exit(main())
