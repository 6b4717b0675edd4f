"""Simulates a cluster in virtual time, with faults, and checks after every step what has to hold.

    ./bazelw run //tools:simulate -- --seed=7                      a generated scenario
    ./bazelw run //tools:simulate -- --seed=1 --seeds=100          a hundred of them
    ./bazelw run //tools:simulate -- --trace=$PWD/trace.csv        a workload from a file
    ./bazelw run //tools:simulate -- --scenario=$PWD/seed-7.json   what a failed test left

docs/simulation.md says what is simulated and what is checked; the columns of a trace are in
iris/simulation/traces.py. Exit codes: 0 when all held; 1 when something did not; 2 for flags or
files that are wrong; 3 when too little happened to prove anything.
"""

import sys

from absl import app, flags

from tools import simulate_program

flags.adopt_module_key_flags(simulate_program)


def _parse_flags(arguments: list[str]) -> list[str]:
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        sys.stderr.write(f"simulate: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    app.run(simulate_program.main, flags_parser=_parse_flags)
