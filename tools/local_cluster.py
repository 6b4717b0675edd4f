"""Brings a cluster up on this machine, shows what it can do, and keeps it up until Ctrl-C.

    ./bazelw run //tools:local_cluster
    ./bazelw run //tools:local_cluster -- --config=my_cluster.yaml --nodemo

Exit codes: 0 after it was stopped; 2 for flags or a configuration that are wrong, with nothing
started; 130 for Ctrl-C before it was up; 1 for what goes wrong otherwise.
"""

import sys
from collections.abc import Sequence

try:
    from absl import app, flags

    from tools import local_cluster_program
except KeyboardInterrupt:  # somebody was quicker than the imports
    sys.exit(130)

flags.adopt_module_key_flags(local_cluster_program)


def _parse_flags(arguments: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        sys.stderr.write(f"local_cluster: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    app.run(local_cluster_program.main, flags_parser=_parse_flags)
