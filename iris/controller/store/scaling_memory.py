"""The autoscaler's memory, in the controller's store. (See iris.autoscaler.memory.ScalingMemory;
neither knows the other.)
"""

from collections.abc import Callable, Mapping

from iris.controller.store.store import Store
from iris.model.errors import Unavailable


class StoredScalingMemory:
    """For the autoscaler that works for the store's controller, on its event loop.

    Args:
        store: The store, once the controller has opened it: the autoscaler is made before.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

    async def load(self) -> Mapping[str, bytes]:
        """Raises DataLoss when it cannot be read."""
        return await self._store().load_scaling()

    async def save(self, records: Mapping[str, bytes]) -> None:
        """Raises Unavailable when it cannot be written, or the store is closed."""
        try:
            await self._store().save_scaling(records)
        except RuntimeError as error:  # of an executor that was shut down
            raise Unavailable("The store is closed.") from error
