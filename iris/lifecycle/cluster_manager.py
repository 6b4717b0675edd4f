"""A cluster as a whole, for programs that start one, or use one that is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris_proto import config_pb2

from iris.lifecycle.create import create_controller
from iris.lifecycle.local import LocalController
from iris.lifecycle.protocol import Connection, ControllerProtocol, ControllerStatus
from iris.lifecycle.state_folder import StateFolder


class ClusterManager:
    """Start, use and stop the cluster of one configuration. Methods block; one thread at a time.

    Args:
        attached: A cluster on this machine stops when this process ends, however it ends. Otherwise
            it lives on.
    """

    def __init__(
        self,
        config: config_pb2.ClusterConfig,
        *,
        state_dir: Path | None = None,
        attached: bool = True,
    ) -> None:
        self._controller = create_controller(config, state_dir=state_dir, attached=attached)

    @property
    def controller(self) -> ControllerProtocol:
        """Its controller, to be told more than the manager can."""
        return self._controller

    @property
    def is_local(self) -> bool:
        """Whether all of it is on this machine."""
        return isinstance(self._controller, LocalController)

    @property
    def state_folder(self) -> StateFolder:
        """Where a cluster on this machine keeps its state, token and logs."""
        assert isinstance(self._controller, LocalController), "only local ones have it here"
        return self._controller.state_folder

    def start(self) -> ControllerStatus:
        """Brings it up; see ControllerProtocol.start."""
        return self._controller.start()

    def stop(self) -> None:
        """Ends it, slices on this machine included; see ControllerProtocol.stop."""
        self._controller.stop()

    def reload(self) -> ControllerStatus:
        """Makes it run the present code and configuration; see ControllerProtocol.reload."""
        return self._controller.reload()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """An address and a token that work inside the block. Raises Unavailable if it is not
        running, or not well.
        """
        with self._controller.connect() as connection:
            yield connection
