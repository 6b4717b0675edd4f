"""A cluster as a whole, for programs that start one, or use one that is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris_proto import config_pb2

from iris.lifecycle.create import create_controller
from iris.lifecycle.gcp.compute_api import ComputeApi
from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.protocol import Connection, ControllerProtocol, ControllerStatus
from iris.lifecycle.state_folder import StateFolder
from iris.model.errors import InvalidArgument


class ClusterManager:
    """Start, use and stop the cluster of one configuration. Methods block; one thread at a time.

        with ClusterManager(config).running() as connection:
            ...  # connection.address, connection.token

    Args:
        state_dir: Of a cluster on this machine, instead of where the configuration puts it.
        attached: A cluster on this machine stops when this process ends, however it ends. Otherwise
            it lives on. One on other machines always does.
        compute: Where a gcp controller buys its machine.
    """

    def __init__(
        self,
        config: config_pb2.ClusterConfig,
        *,
        state_dir: Path | None = None,
        attached: bool = True,
        compute: ComputeApi | None = None,
    ) -> None:
        self._config = config
        self._attached = attached
        self._controller = create_controller(
            config, state_dir=state_dir, attached=attached, compute=compute
        )

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

    @contextmanager
    def running(self, *, keep_on_failure: bool = False) -> Iterator[Connection]:
        """Up inside the block, and stopped after it, however that ends.

        Args:
            keep_on_failure: If the block raises, the cluster is left running instead, and the error
                gets a note that says how to reach it and how to stop it.

        Raises what `start`, `connect` and `stop` raise; InvalidArgument where a cluster is to be kept
        that would end with this process.
        """
        if keep_on_failure and self._attached and self.is_local:
            raise InvalidArgument(
                "A cluster that is attached to this process ends with it, and cannot be kept.",
                hint="Say attached=False.",
            )
        self.start()
        try:
            with self.connect() as connection:
                yield connection
        except BaseException as error:
            if keep_on_failure:
                error.add_note(f"The cluster is left running. {self.how_to_reach()}")
                raise
            self.stop()
            raise
        self.stop()

    def how_to_reach(self) -> str:
        """How a person gets to it, and stops it, once this process has ended."""
        if isinstance(self._controller, LocalController):
            flag = f"--state-dir={self._controller.state_folder.path}"
        else:
            flag = f"--config=FILE, where FILE is the configuration of {self._config.name!r}"
        return f"Reach it with `iris cluster status`, stop it with `iris cluster stop`, both with {flag}"
