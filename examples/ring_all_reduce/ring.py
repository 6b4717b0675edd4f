"""A ring all-reduce over TCP: every member ends with the element-wise sums over all members.

Each member sends to its right neighbour only and receives from its left one. The values are cut
into as many chunks as there are members. In the first round chunks travel once around and are added
up on the way (reduce-scatter); in the second the finished chunks travel once around (all-gather).
Every member sends 2 * (n - 1) / n of the data, however many members there are.
"""

import itertools
import operator
import socket
from array import array
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from rendezvous import Address


class Ring:
    """This member's two connections. Use as a context manager; one thread at a time."""

    def __init__(self, index: int, listener: socket.socket, addresses: list[Address]) -> None:
        """Connects to the right neighbour and takes the left one's call; every member must do so at
        the same time.
        """
        self._index = index
        self._size = len(addresses)
        self._right = socket.create_connection(addresses[(index + 1) % self._size], timeout=60)
        listener.settimeout(60)
        self._left, _ = listener.accept()
        # The sender is a thread of its own: if all members sent before they received, full buffers
        # would stop the ring.
        self._sender = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> "Ring":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sender.shutdown()
        self._right.close()
        self._left.close()

    def all_reduce(self, values: "array[float]") -> None:
        """Puts the sums over all members into `values`, which is equally long on each."""
        bounds = chunk_bounds(len(values), self._size)
        for step in range(self._size - 1):
            start, end = bounds[(self._index - step - 1) % self._size]
            received = array("d", bytes((end - start) * values.itemsize))
            self._exchange(
                values, bounds[(self._index - step) % self._size], received, (0, end - start)
            )
            values[start:end] = array("d", map(operator.add, values[start:end], received))
        for step in range(self._size - 1):
            outgoing = bounds[(self._index + 1 - step) % self._size]
            self._exchange(values, outgoing, values, bounds[(self._index - step) % self._size])

    def _exchange(
        self,
        source: "array[float]",
        outgoing: tuple[int, int],
        target: "array[float]",
        incoming: tuple[int, int],
    ) -> None:
        """Sends one chunk to the right while another comes from the left."""
        with memoryview(source) as sending, memoryview(target) as receiving:
            sent = self._sender.submit(self._right.sendall, sending[slice(*outgoing)])
            receive_exactly(self._left, receiving[slice(*incoming)].cast("B"))
            sent.result()


def chunk_bounds(length: int, chunks: int) -> list[tuple[int, int]]:
    """Cuts `length` elements into that many consecutive pieces, as equal as can be."""
    return list(itertools.pairwise(length * edge // chunks for edge in range(chunks + 1)))


def receive_exactly(source: socket.socket, buffer: memoryview) -> None:
    """Fills `buffer`. Raises ConnectionError if the other side ends before that."""
    filled = 0
    while filled < len(buffer):
        count = source.recv_into(buffer[filled:])
        if count == 0:
            raise ConnectionError(f"the left neighbour ended after {filled} of {len(buffer)} bytes")
        filled += count
