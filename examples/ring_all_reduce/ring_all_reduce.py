"""A gang adds up a vector over a TCP ring, checks every element and says how fast it was.

Runs as a gang, one member per VM of a slice. The job gives each member a port named `ring` for its
left neighbour's call, and all of them the number of a free port for their meeting:

    iris job run --tpu v5litepod-16 --port ring --env RING_COORDINATOR_PORT=29500 -- python3
    ring_all_reduce.py
"""

import argparse
import os
import socket
import sys
import time
from array import array

from rendezvous import Member, meet
from ring import Ring

PERIOD = 1000  # of the test pattern


def contribution(index: int, elements: int) -> "array[float]":
    """Member number `index`'s vector: whole numbers, so that the sums are exact in any order."""
    period = array("d", ((index + 1) * (element % PERIOD) for element in range(PERIOD)))
    return (period * (elements // PERIOD + 1))[:elements]


def expected(size: int, elements: int) -> "array[float]":
    """The sums of all members' vectors, worked out without the ring."""
    period = array("d", (size * (size + 1) // 2 * (element % PERIOD) for element in range(PERIOD)))
    return (period * (elements // PERIOD + 1))[:elements]


def main() -> None:
    """One member."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--elements", type=int, default=1 << 20, help="length of the vector, 8 bytes each"
    )
    elements = parser.parse_args().elements

    index, size = int(os.environ["IRIS_TASK_INDEX"]), int(os.environ["IRIS_NUM_TASKS"])
    hosts = os.environ["IRIS_PEER_HOSTS"].split(",")
    me = Member(os.environ["IRIS_JOB_ID"], index, (hosts[index], int(os.environ["IRIS_PORT_RING"])))
    tpu = (
        f"VM {os.environ.get('TPU_WORKER_ID', '?')} of {os.environ.get('TPU_NAME', 'no TPU slice')}"
    )

    with socket.create_server(me.address) as listener:
        addresses = meet(me, size, (hosts[0], int(os.environ["RING_COORDINATOR_PORT"])))
        print(f"member {index} of {size} on {tpu} met the others", flush=True)
        values = contribution(index, elements)
        with Ring(index, listener, addresses) as ring:
            started = time.perf_counter()
            ring.all_reduce(values)
            seconds = time.perf_counter() - started

    wrong = sum(
        1 for value, right in zip(values, expected(size, elements), strict=True) if value != right
    )
    if wrong:
        sys.exit(f"member {index}: {wrong} of {elements} sums are wrong")
    megabytes = elements * values.itemsize / 1e6
    on_the_wire = megabytes * 2 * (size - 1) / size
    print(
        f"all-reduce of {megabytes:.1f} MB over {size} members: all {elements:,} sums are right; "
        f"{seconds:.2f} s, {on_the_wire / seconds:.0f} MB/s per link",
        flush=True,
    )


if __name__ == "__main__":
    main()
