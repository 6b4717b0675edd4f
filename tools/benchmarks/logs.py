"""Measures how fast log lines get from a task to the controller's store and to who follows them, and
prints it as one JSON document.

    ./bazelw run //tools/benchmarks:logs               all of it: some two minutes
    ./bazelw run //tools/benchmarks:logs -- --quick    smaller, once: only shows that it works

A real cluster on this machine does it: a controller process with its worker, a task that is a
process of its own, and this program as the client. Every line is counted and looked at.

The document goes to standard output, progress to standard error. Exit codes: 0 when all was
measured; 1 when something could not be (a line is missing, say), or, with --require_met, when a bar
is not met; 2 for flags that are wrong.
"""

import sys

from absl import app, flags

from tools.benchmarks import logs_program

flags.adopt_module_key_flags(logs_program)


def _parse_flags(arguments: list[str]) -> list[str]:
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        sys.stderr.write(f"logs: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    app.run(logs_program.main, flags_parser=_parse_flags)
