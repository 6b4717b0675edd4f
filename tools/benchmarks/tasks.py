"""Measures how fast tasks get through the whole system, beside a program that only starts processes,
and prints it as one JSON document.

    ./bazelw run //tools/benchmarks:tasks               all of it: some two minutes
    ./bazelw run //tools/benchmarks:tasks -- --quick    smaller, once: only shows that it works

A real cluster on this machine does it: a controller process that commits every step durably, a
worker process, and this program as the client. Both sides run the same program, `true`.

The document goes to standard output, progress to standard error. Exit codes: 0 when all was
measured; 1 when something could not be (a task failed, say), or, with --require_met, when a bar is
not met; 2 for flags that are wrong.
"""

import sys

from absl import app, flags

from tools.benchmarks import tasks_program

flags.adopt_module_key_flags(tasks_program)


def _parse_flags(arguments: list[str]) -> list[str]:
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        sys.stderr.write(f"tasks: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    app.run(tasks_program.main, flags_parser=_parse_flags)
