"""Measures what the brain of the controller can do, and prints it as one JSON document.

    ./bazelw run //tools/benchmarks:brain                        all of it: some 20 minutes
    ./bazelw run //tools/benchmarks:brain -- --only='gangs|turn'
    ./bazelw run //tools/benchmarks:brain -- --quick             smaller, once: only shows that it works

The document goes to standard output, progress and a table to standard error. docs/benchmarks.md
says what is measured and how. Exit codes: 0 when all was measured; 1 when something could not be,
or, with --require_met, when a bar is not met; 2 for flags that are wrong.
"""

import sys

from absl import app, flags

from tools.benchmarks import brain_program

flags.adopt_module_key_flags(brain_program)


def _parse_flags(arguments: list[str]) -> list[str]:
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        sys.stderr.write(f"brain: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    app.run(brain_program.main, flags_parser=_parse_flags)
