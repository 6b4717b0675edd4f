"""The daemon: one worker, from its start to its end."""

import asyncio
import logging
import random
from datetime import timedelta
from pathlib import Path

from iris_proto import worker_pb2

from iris.host.clock import Clock
from iris.host.files import FileLock, private_folder
from iris.host.ids import IdSource
from iris.host.ports import PortAllocator
from iris.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    IrisError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from iris.model.health import HealthProblem
from iris.rpc.channels import open_channel
from iris.rpc.convert_job import resources_to_proto
from iris.version import VERSION
from iris.worker.attempt_set import AttemptSet
from iris.worker.attempts.attempt import AttemptTools
from iris.worker.attempts.folders import SpareFolders
from iris.worker.attempts.limits import WorkerLimits
from iris.worker.blocking import remove_tree
from iris.worker.health.worker_health import WorkerHealth
from iris.worker.logs.redaction import SecretRules
from iris.worker.options import WorkerOptions
from iris.worker.protocols import (
    BundleProvider,
    ContainerRuntime,
    EnvironmentProvider,
    ImageProvider,
    PythonEnvironmentProvider,
    WorkerEnvironment,
)
from iris.worker.stream.backoff import Backoff
from iris.worker.stream.messages import WelcomeTerms, health_to_proto, observation_to_proto
from iris.worker.stream.session import CallFailed, Session

_log = logging.getLogger(__name__)

# What a controller answers to a worker that it does not want: to come again would not help.
_REFUSALS = (AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unauthenticated)
# For last lines and ends to reach the controller when the worker stops.
_FLUSH_SECONDS = 1.0
_ATTEMPTS = "attempts"
_SPARES = "spare"
_LOCK = "lock"

__all__ = ["Worker", "WorkerOptions"]


class Worker:
    """Dials its controller, runs what that wants to be run, and reports. One event loop.

    Its attempts go on while the controller is away. `runtime`, `bundles` and `ports` may be shared
    with other workers of the process; they outlive this one.
    """

    def __init__(
        self,
        options: WorkerOptions,
        *,
        environment: EnvironmentProvider,
        bundles: BundleProvider,
        images: ImageProvider,
        python_environments: PythonEnvironmentProvider,
        runtime: ContainerRuntime,
        ports: PortAllocator,
        clock: Clock,
        ids: IdSource,
        rng: random.Random,
    ) -> None:
        self._options = options
        self._environment_provider = environment
        self._bundles = bundles
        self._images = images
        self._python_environments = python_environments
        self._runtime = runtime
        self._ports = ports
        self._clock = clock
        self._backoff = Backoff(rng)
        self.incarnation_id = ids.fresh("worker")
        self._lock = FileLock(options.work_dir / _LOCK)
        self._health = WorkerHealth(
            options.health,
            options.work_dir,
            runtime,
            clock=clock,
            tell=self._tell_health,
            on_bug=self._fail,
        )
        self._attempts: AttemptSet | None = None
        self._environment: WorkerEnvironment | None = None
        self._session: Session | None = None
        self._connection: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._registered: asyncio.Future[None] = loop.create_future()
        self._failed: asyncio.Future[BaseException] = loop.create_future()
        self._ended = False

    async def start(self) -> None:
        """Gets everything ready and begins to dial; returns without waiting for an answer.

        Raises FailedPrecondition if the machine cannot be a worker, the folder cannot be used or is
        another worker's, Unavailable if it cannot run anything.
        """
        folder = private_folder(self._options.work_dir)
        if not self._lock.acquire():
            raise FailedPrecondition(
                f"The folder {folder} is in use by another worker.", hint="Give each its own."
            )
        try:
            # What an earlier process left: its attempts are over, whatever became of it.
            for one in (_ATTEMPTS, _SPARES):
                await asyncio.to_thread(remove_tree, folder / one)
                private_folder(folder / one)
            self._environment = await self._environment_provider.probe()
            await self._runtime.start()
            await self._health.start()
        except BaseException:
            await self._health.stop()
            self._lock.let_go()
            raise
        tools = self._tools(self._environment, folder / _ATTEMPTS)
        self._attempts = AttemptSet(tools, wake=self._wake, on_bug=self._fail)
        self._connection = asyncio.create_task(self._stay_connected(), name="worker connection")
        self._connection.add_done_callback(self._on_connection_done)

    async def registered(self) -> None:
        """Returns once the controller has taken it in for the first time.

        Raises what ended the worker instead, Unavailable if it was stopped.
        """
        await asyncio.wait((self._registered, self._failed), return_when=asyncio.FIRST_COMPLETED)
        if not self._registered.done():
            raise self._failed.result()
        await asyncio.shield(self._registered)

    async def wait_failed(self) -> BaseException:
        """Returns what ended the worker: it was refused, or it has a bug. Its attempts go on until
        `stop`. Waits for ever if it does not fail.
        """
        return await asyncio.shield(self._failed)

    async def stop(self, reason: str) -> None:
        """Ends in good order: its attempts with their grace cut short, last lines and ends told,
        goodbye said. No process, port or folder is left. Bounded, idempotent.
        """
        if self._has_ended() or self._attempts is None:
            return
        connected = self._session is not None and self._session.welcomed
        await self._attempts.stop_all(
            f"the worker stops: {reason}",
            grace=self._options.shutdown_grace,
            flush_seconds=_FLUSH_SECONDS if connected else 0.0,
        )
        await self._say_goodbye(reason)
        await self._end()

    async def crash(self) -> None:
        """Fault injection: ends all at once and without a word, as if the machine had died."""
        if self._has_ended() or self._attempts is None:
            return
        await self._disconnect()
        await self._attempts.stop_all("crash", grace=timedelta(0), flush_seconds=0.0)
        await self._end()

    async def _say_goodbye(self, reason: str) -> None:
        """Waits for acknowledgements, then leaves; as long as the connection stands, and bounded."""
        session = self._session
        if session is None or not session.welcomed:
            return
        over = asyncio.ensure_future(session.over.wait())
        settled = asyncio.ensure_future(self._set().settled())
        try:
            both = (over, settled)
            await asyncio.wait(both, timeout=_FLUSH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            session.leave(reason)
            await asyncio.wait([over], timeout=2 * _FLUSH_SECONDS)
        finally:
            over.cancel()
            settled.cancel()

    def _has_ended(self) -> bool:
        ended, self._ended = self._ended, True
        return ended

    def _tools(self, environment: WorkerEnvironment, folder: Path) -> AttemptTools:
        return AttemptTools(
            worker_id=self._options.worker_id,
            controller_address=self._options.controller_address,
            environment=environment,
            folder=folder,
            spare_folders=SpareFolders(self._options.work_dir / _SPARES),
            inherit_env=self._options.inherit_env,
            stop_grace=self._options.stop_grace,
            bundles=self._bundles,
            images=self._images,
            python_environments=self._python_environments,
            runtime=self._runtime,
            ports=self._ports,
            clock=self._clock,
            secrets=SecretRules(self._options.secret_env, (self._options.token,)),
            limits=WorkerLimits(self._options.max_processes, self._options.max_open_files),
        )

    # What the controller says: see Downstream.

    def on_welcome(self, terms: WelcomeTerms) -> None:
        """See Downstream."""
        self._backoff.reset()
        self._health.controller_says(terms.now)
        _log.info(
            "worker %s attached to controller %s",
            self._options.worker_id,
            terms.controller_incarnation,
        )
        if not self._registered.done():
            self._registered.set_result(None)

    def on_desired(self, message: worker_pb2.Desired) -> None:
        """See Downstream."""
        self._set().apply(message)

    def on_acknowledge(self, message: worker_pb2.Acknowledge) -> None:
        """See Downstream."""
        self._set().acknowledge(message.attempt_uids)

    def on_log_acknowledge(self, message: worker_pb2.LogAcknowledge) -> None:
        """See Downstream."""
        self._set().acknowledge_lines(message.attempt_uid, message.next_index)

    async def _stay_connected(self) -> None:
        """Connects again and again, until the worker leaves or is refused."""
        address = self._options.controller_address
        while True:
            try:
                await self._converse()
                return
            except CallFailed as failure:
                if isinstance(failure.error, _REFUSALS):
                    raise failure.error from failure
                problem: IrisError = failure.error
            except IrisError as error:
                problem = error
            seconds = self._backoff.next()
            _log.warning(
                "worker %s: %s Next try at %s in %.1f s.",
                self._options.worker_id, problem, address, seconds,
            )  # fmt: skip
            await self._clock.sleep(seconds)

    async def _converse(self) -> None:
        # A channel of its own for each try: a new one has no back-off of its own to wait for.
        channel = open_channel(self._options.controller_address, self._options.token)
        try:
            self._session = Session(
                channel,
                self._set().outbox,
                self,
                self._hello,
                clock=self._clock,
                welcome_seconds=self._options.welcome_timeout.total_seconds(),
                doing=f"Attach at {self._options.controller_address}",
            )
            await self._session.run()
        finally:
            self._session = None
            await channel.close()

    def _hello(self) -> worker_pb2.Hello:
        environment = self._environment
        assert environment is not None
        return worker_pb2.Hello(
            worker_id=self._options.worker_id,
            incarnation_id=self.incarnation_id,
            slice_id=self._options.slice_id,
            scale_group=self._options.scale_group,
            total=resources_to_proto(environment.total),
            attributes=environment.attributes,
            host=environment.host,
            isolation=self._runtime.isolation,
            version=VERSION,
            attempts=[observation_to_proto(seen) for seen in self._set().hello()],
            health=health_to_proto(self._health.problems),
        )

    def _set(self) -> AttemptSet:
        assert self._attempts is not None
        return self._attempts

    def _wake(self) -> None:
        if self._session is not None:
            self._session.wake()

    def _tell_health(self, problems: tuple[HealthProblem, ...]) -> None:
        if self._session is not None:
            self._session.report_health(problems)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            _log.error("worker %s failed", self._options.worker_id, exc_info=error)
            self._failed.set_result(error)

    def _on_connection_done(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.cancel()
            await asyncio.wait([self._connection])

    async def _end(self) -> None:
        await self._health.stop()
        await self._disconnect()
        for one in (_ATTEMPTS, _SPARES):
            await asyncio.to_thread(remove_tree, self._options.work_dir / one)
        self._lock.path.unlink(missing_ok=True)
        self._lock.let_go()
        if not self._registered.done():
            self._registered.set_exception(
                Unavailable(f"The worker {self._options.worker_id} was stopped.")
            )
            self._registered.exception()  # whether or not somebody waits
