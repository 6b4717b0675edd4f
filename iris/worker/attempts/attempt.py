"""One attempt from its start to its end."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from iris.host.clock import Clock
from iris.host.ports import PortAllocator
from iris.model.errors import IrisError
from iris.model.ids import AttemptUid, WorkerId, job_of, user_of
from iris.model.states import TaskState
from iris.worker.attempts.folders import AttemptFolder, SpareFolders
from iris.worker.attempts.limits import WorkerLimits, limits_of
from iris.worker.attempts.model import AttemptSpec, Observation
from iris.worker.attempts.outcome import Outcome, outcome_of
from iris.worker.attempts.setup import SetupFailed, in_python_environment, run_setup
from iris.worker.attempts.task_environment import task_environment
from iris.worker.blocking import run_in_thread
from iris.worker.callables.program import program_of
from iris.worker.logs.lines import LogStream
from iris.worker.logs.log_buffer import LogBudget, LogBuffer
from iris.worker.logs.log_pump import LogPump, now_ns
from iris.worker.logs.redaction import Redaction, SecretRules
from iris.worker.protocols import (
    BundleProvider,
    ContainerRuntime,
    Image,
    ImageProvider,
    PythonEnvironmentProvider,
    RunHandle,
    RunRequest,
    TreeUsage,
    WorkerEnvironment,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptTools:
    """What all attempts of a worker share.

    Attributes:
        folder: Where each attempt gets a folder of its own.
        spare_folders: Where it may come from.
        inherit_env: Variables that every task sees.
        stop_grace: For attempts whose spec has none.
        secrets: What no log line may show.
        log_budget: Of the lines that wait to be delivered.
        limits: Of every attempt, besides what its job asked for.
    """

    worker_id: WorkerId
    controller_address: str
    environment: WorkerEnvironment
    folder: Path
    spare_folders: SpareFolders
    inherit_env: Mapping[str, str]
    stop_grace: timedelta
    bundles: BundleProvider
    images: ImageProvider
    python_environments: PythonEnvironmentProvider
    runtime: ContainerRuntime
    ports: PortAllocator
    clock: Clock
    secrets: SecretRules = field(default_factory=SecretRules)
    log_budget: LogBudget = field(default_factory=LogBudget)
    limits: WorkerLimits = field(default_factory=WorkerLimits)


class Attempt:
    """Runs from its making on, until `is_finished`; then no process, port or folder of it is left.

    One event loop. `on_change` is called after every change of what `observation` says, except for
    usage and lines.
    """

    def __init__(
        self,
        uid: AttemptUid,
        spec: AttemptSpec,
        tools: AttemptTools,
        *,
        on_change: Callable[[], None],
        on_lines: Callable[[], None],
    ) -> None:
        self.uid = uid
        self.spec = spec
        self.logs = LogBuffer(on_lines=on_lines, budget=tools.log_budget)
        self._tools = tools
        self._on_change = on_change
        self._program_redaction: Redaction | None = None
        self._folder = AttemptFolder(tools.folder / uid, tools.spare_folders)
        self._ports: dict[str, int] = {}
        self._handle: RunHandle | None = None
        self._pump: LogPump | None = None
        self._preparation: asyncio.Task[None] | None = None
        self._stop_reason: str | None = None
        self._stop_grace: timedelta | None = None
        self._usage: TreeUsage | None = None
        self._is_finished = False
        self._cleaned_up = asyncio.Event()
        self._started_at: datetime | None = None
        self._finished_at: datetime | None = None
        self._outcome: Outcome | None = None
        self._logs_incomplete = False
        self.task = asyncio.create_task(self._run(), name=f"attempt {uid}")

    @property
    def is_finished(self) -> bool:
        """Whether it is over and cleaned up, and all of its lines are in `logs`."""
        return self._is_finished

    @property
    def has_ended(self) -> bool:
        """Whether its processes are gone; its last lines may still be read."""
        return self._outcome is not None

    @property
    def has_more_lines(self) -> bool:
        """Whether lines of it are still to be read or sent."""
        return self.logs.has_unsent or (self._pump is not None and not self._pump.is_finished)

    @property
    def logs_incomplete(self) -> bool:
        """Whether its lines were given up."""
        return self._logs_incomplete

    async def cleaned_up(self) -> None:
        """Returns once no process, port or folder of it is left."""
        await self._cleaned_up.wait()

    async def wait(self) -> None:
        """Returns once it is finished."""
        await asyncio.shield(self.task)

    def observation(self, *, with_usage: bool = False, with_end: bool = True) -> Observation:
        """As it is now. `with_usage` takes a fresh sample if it runs; without its end it is as it
        was right before.
        """
        if with_usage and self._handle is not None:
            self._usage = self._handle.usage() or self._usage
        seen = Observation(
            uid=self.uid,
            state=TaskState.RUNNING if self._started_at else TaskState.BUILDING,
            started_at=self._started_at,
            usage=self._usage,
            log_lines=self.logs.next_index,
            ports=dict(self._ports),
        )
        outcome = self._outcome
        if outcome is None or not (with_end and self._is_finished):
            return seen
        return replace(
            seen,
            state=outcome.state,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            error=outcome.error,
            finished_at=self._finished_at,
            usage=outcome.usage,
            logs_incomplete=self._logs_incomplete,
        )

    def stop(self, reason: str, grace: timedelta | None = None) -> None:
        """Ends it as KILLED, wherever it is. `grace` can only shorten its own; 0 kills at once."""
        if self.has_ended:
            return
        own = self._own_grace
        grace = own if grace is None else min(own, grace)
        if self._stop_reason is None:
            self._stop_reason = reason
            if self._handle is not None:
                seconds = grace.total_seconds()
                self._say(
                    LogStream.SYSTEM, f"Stopping: {reason}. SIGTERM, SIGKILL after {seconds:g} s."
                )
        if self._handle is not None:
            self._handle.stop(self._stop_reason, grace)
        elif self._preparation is not None:
            self._preparation.cancel()

    def abandon_logs(self) -> None:
        """Does not wait for its last lines any longer: they cannot be delivered."""
        self._logs_incomplete = True
        if self._pump is not None:
            self._pump.abandon()

    @property
    def _own_grace(self) -> timedelta:
        return self._tools.stop_grace if self.spec.stop_grace is None else self.spec.stop_grace

    @property
    def _has_python_environment(self) -> bool:
        spec = self.spec.environment
        return spec is not None and spec.has_python_environment

    @property
    def _redaction(self) -> Redaction:
        """Of what is said now: before the program's variables are known, of those that it is to get.
        Most attempts say nothing by then.
        """
        if self._program_redaction is not None:
            return self._program_redaction
        return self._tools.secrets.redaction({**self._tools.inherit_env, **self.spec.env})

    async def _run(self) -> None:
        try:
            async with AsyncExitStack() as cleanup:
                self._outcome = await self._run_to_end(cleanup)
                self._finished_at = self._tools.clock.now()
                self._on_change()
        finally:
            self._cleaned_up.set()
        if self._pump is not None:
            await self._pump.finished()
        self._is_finished = True
        self._on_change()

    async def _run_to_end(self, cleanup: AsyncExitStack) -> Outcome:
        """Whatever happens is an outcome; only a cancellation of the whole attempt is not."""
        try:
            if self._stop_reason is not None:
                return Outcome(TaskState.KILLED, error=self._stop_reason)
            self._preparation = asyncio.create_task(self._prepare(cleanup))
            await self._preparation
            return await self._watch()
        except asyncio.CancelledError:
            if self._stop_reason is not None and self._handle is None:
                return Outcome(TaskState.KILLED, error=self._stop_reason)
            await self._kill_all()  # not us but the whole loop is being ended
            raise
        except SetupFailed as failed:
            return failed.outcome
        except IrisError as error:
            return Outcome(TaskState.FAILED, error=str(error))
        except OSError as error:
            return Outcome(TaskState.FAILED, error=f"The task's folder could not be made: {error}.")
        except Exception as error:  # noqa: BLE001 - whatever it is, the attempt has to end
            _log.exception("attempt %s", self.uid)
            return Outcome(
                TaskState.FAILED, error=f"The worker failed: {error!r}. Its log says more."
            )

    async def _prepare(self, cleanup: AsyncExitStack) -> None:
        """Everything up to the running program; what has to be undone is put on `cleanup`."""
        tools, spec = self._tools, self.spec
        bundle: Path | None = None
        if spec.bundle_digest:
            lease = await tools.bundles.fetch(spec.bundle_digest, self._say_build)
            cleanup.callback(self._tidy, "bundle", lease.release)
            bundle = lease.path
        image = await tools.images.prepare(Image(), self._say_build)
        python = await self._python_environment(bundle, cleanup)
        cleanup.push_async_callback(self._tidy_async, "folder", self._remove_folder)
        self._folder.make()
        if bundle is not None:
            give_up = threading.Event()
            await run_in_thread(self._folder.copy_bundle, bundle, give_up, give_up=give_up)
        leases = {}
        for name in spec.port_names:
            leases[name] = tools.ports.lease(f"{name} of {spec.task_id}")
            cleanup.callback(self._tidy, "port", leases[name].release)
        self._ports = {name: lease.hand_over() for name, lease in leases.items()}
        request = self._request(image)
        if python is not None:
            request = replace(request, env=in_python_environment(request.env, python))
        self._program_redaction = tools.secrets.redaction(request.env)
        if spec.environment is not None:
            await run_setup(
                spec.environment.setup,
                request,
                runtime=tools.runtime,
                logs=self.logs,
                redaction=self._redaction,
                clock=tools.clock,
            )
        self._handle = await tools.runtime.run(request)
        self._pump = LogPump(
            self.logs, self._handle.stdout, self._handle.stderr, tools.clock, self._redaction
        )

    async def _python_environment(
        self, bundle: Path | None, cleanup: AsyncExitStack
    ) -> Path | None:
        spec = self.spec.environment
        if spec is None or not self._has_python_environment:
            return None
        lease = await self._tools.python_environments.prepare(
            spec, bundle, self.spec.bundle_digest, self._say_build
        )
        cleanup.callback(self._tidy, "Python environment", lease.release)
        return lease.path

    def _request(self, image: Image) -> RunRequest:
        tools, folder = self._tools, self._folder
        return RunRequest(
            name=self.spec.task_id,
            owner=user_of(job_of(self.spec.task_id)),
            argv=program_of(
                self.spec.entrypoint,
                folder=folder.path,
                work=folder.work,
                own_python=self._has_python_environment,
            ),
            env=task_environment(
                self.uid,
                self.spec,
                worker_id=tools.worker_id,
                controller_address=tools.controller_address,
                attributes=tools.environment.attributes,
                inherit=tools.inherit_env,
                home=folder.home,
                tmp=folder.tmp,
                ports=self._ports,
            ),
            cwd=folder.work,
            resources=self.spec.resources,
            stop_grace=self._own_grace,
            image=image,
            limits=limits_of(self.spec, folder.path, tools.limits),
            say=lambda text: self._say(LogStream.SYSTEM, text),
        )

    async def _watch(self) -> Outcome:
        handle, pump = self._handle, self._pump
        assert handle is not None and pump is not None
        try:
            await handle.started()
            self._started_at = self._tools.clock.now()
            self._on_change()
        except IrisError:
            pass  # the report says why
        report = await handle.wait()
        pump.tree_ended()
        return outcome_of(report, self.spec.entrypoint.program)

    async def _kill_all(self) -> None:
        """Leaves no process."""
        if self._preparation is not None and not self._preparation.done():
            self._preparation.cancel()
            await asyncio.wait([self._preparation])
        if self._handle is not None and self._pump is not None:
            self._handle.stop("the worker is ending", timedelta(0))
            await self._handle.wait()
            self._pump.abandon()

    async def _remove_folder(self) -> None:
        if not self._folder.remove_empty():
            await run_in_thread(self._folder.remove)

    def _tidy(self, what: str, undo: Callable[[], None]) -> None:
        try:
            undo()
        except Exception:  # noqa: BLE001 - the rest has to be given back all the same
            _log.exception("attempt %s: its %s could not be given back", self.uid, what)

    async def _tidy_async(self, what: str, undo: Callable[[], Awaitable[None]]) -> None:
        try:
            await undo()
        except Exception as error:  # noqa: BLE001 - the rest has to be given back all the same
            _log.exception("attempt %s: its %s could not be removed", self.uid, what)
            self._say(LogStream.SYSTEM, f"The task's {what} could not be removed: {error}")

    def _say_build(self, text: str) -> None:
        self._say(LogStream.BUILD, text)

    def _say(self, stream: LogStream, text: str) -> None:
        lines = text.encode(errors="backslashreplace").splitlines() or [b""]
        cleaned = [self._redaction.clean(line) for line in lines]
        self.logs.append(now_ns(self._tools.clock), stream, cleaned)
