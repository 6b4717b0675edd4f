"""The controller of a cluster on this machine: a process of its own, found through its state folder
from any process.
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from iris_proto import config_pb2

from iris.config import check_budget, config_to_yaml
from iris.host.budget import this_machine
from iris.host.files import FileLock, atomic_write, private_folder
from iris.host.processes import ProcessHandle, ProcessIdentity, descendants, end_processes
from iris.lifecycle.local.handshake import Launch, NoAnswer, wait_for_answer
from iris.lifecycle.local.leftovers import Footprint
from iris.lifecycle.local.process import (
    STARTED,
    ControllerProcess,
    controller_program,
    spawn,
)
from iris.lifecycle.local.reload import ask_to_reload, only_one_reload
from iris.lifecycle.protocol import Connection, ControllerStatus, last_lines
from iris.lifecycle.state_folder import (
    ControllerRecord,
    StateFolder,
    state_folder_of,
    working_folders_of,
)
from iris.model.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    IrisError,
    Unavailable,
)
from iris.platforms.local.worker_record import discard_vm_folders

_STARTUP_LINES = 20
# Nobody announces that a lock is free.
_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class LocalTimeouts:
    """Bounds on what a local controller's life is waited for.

    Attributes:
        start: From nothing to serving.
        health: One Health call.
        stop: From SIGTERM to its end; then it is killed, with everything below it.
        leftovers: For what was killed, or is ending, to be gone.
    """

    start: timedelta = timedelta(seconds=60)
    health: timedelta = timedelta(seconds=5)
    stop: timedelta = timedelta(seconds=30)
    leftovers: timedelta = timedelta(seconds=5)


class LocalController:
    """See ControllerProtocol. Methods block; use one object from one thread at a time.

    Args:
        config: Complete, with a local controller.
        state_dir: Instead of where the configuration, or the default, puts the state.
        attached: The controller stops when this process ends, however it ends. Then only this
            process's own controller counts as started: one that somebody else runs on the same
            state is refused, for it would not live and die with this process. Detached, it lives on
            until it is stopped, and who starts it twice shares it.
        environment: Where paths and the tasks' inherited variables come from; default: this
            process's.
    """

    def __init__(
        self,
        config: config_pb2.ClusterConfig,
        *,
        state_dir: Path | None = None,
        attached: bool = False,
        timeouts: LocalTimeouts = LocalTimeouts(),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self._config = config
        if state_dir is not None:
            self._config = config_pb2.ClusterConfig()
            self._config.CopyFrom(config)
            self._config.controller_vm.local.state_dir = str(state_dir.absolute())
        self._folder = state_folder_of(self._config, self._environment)
        self._working = working_folders_of(config, self._folder)
        self._attached = attached
        self._timeouts = timeouts

    @property
    def state_folder(self) -> StateFolder:
        """Where the cluster keeps its state."""
        return self._folder

    def start(self) -> ControllerStatus:
        """See ControllerProtocol. What can be refused beforehand is, in one line."""
        running = self._running()
        if running is not None:
            return self._already_running(running)
        private_folder(self._folder.path)
        check_budget(self._config, this_machine(self._folder.path))
        lock = FileLock(self._folder.lock_file)
        if not self._settled(lock.acquire):
            raise self._taken()
        try:
            # Not us: who is noted there is told to end by `stop`.
            lock.note("")
            # The lock was free, so whoever published this is dead.
            self._folder.record_file.unlink(missing_ok=True)
            STARTED.discard(self._folder)
            config = config_to_yaml(self._config)
            atomic_write(self._folder.config_file, config.encode())
            process = spawn(self._folder, self._launch(), lock, attached=self._attached)
        finally:
            lock.let_go()
        return self._wait_until_healthy(process)

    def stop(self) -> None:
        """See ControllerProtocol. First gently; once its time is over by force, and what it could
        not tidy up then is removed here.
        """
        record = self._running()
        process = record.process if record else self._folder.lock_holder()
        if process is None and not self._settled(lambda: not self._folder.is_locked()):
            raise self._taken()
        tree = (process, *descendants(process)) if process else ()
        footprint = Footprint(self._folder, self._working, record, tree)
        in_good_order = self._end(process) if process else not self._folder.record_file.exists()
        STARTED.discard(self._folder)
        if not self._folder.path.is_dir():
            return
        if process is None:
            # It was killed, or never was. Its workers may not have noticed yet.
            discard_vm_folders(self._working.vms, keep=())
        left = footprint.processes_left(self._timeouts.leftovers.total_seconds())
        if not in_good_order and not left and not self._folder.is_locked():
            footprint.tidy_up()
        left += footprint.things_left()
        if left:
            raise Internal(
                f"Cluster {self._config.name!r} was stopped but left behind: {'; '.join(left)}.",
                hint=f"Look into {self._folder.controller_log}, and end what is left by hand.",
            )

    def restart(self) -> ControllerStatus:
        """See ControllerProtocol."""
        self.stop()
        return self.start()

    def reload(self) -> ControllerStatus:
        """See ControllerProtocol. The running process becomes the present code, with this
        configuration: workers that are processes run on, with their tasks, and so do machines
        elsewhere. What runs within the controller itself runs again.

        One that is not well, or would have to serve elsewhere, is restarted instead.
        """
        with (
            only_one_reload(self._folder)
            if self._folder.path.is_dir()
            else contextlib.nullcontext()
        ):
            record = self._running()
            if record is None or not self.status().healthy or not self._keeps_port(record):
                return self.restart()
            self._check_is_ours(record)
            check_budget(self._config, this_machine(self._folder.path))
            try:
                ask_to_reload(
                    self._folder,
                    record.process,
                    controller_program(self._folder),
                    self._launch(),
                    (self._timeouts.stop + self._timeouts.start).total_seconds(),
                )
            except (NoAnswer, TimeoutError):
                # It was killed, or hangs. What ran on its machines then runs again.
                return self.restart()
            except IrisError as error:
                raise self._start_failure(error, None) from error
            atomic_write(self._folder.config_file, config_to_yaml(self._config).encode())
            return self.status()

    def discover(self) -> str | None:
        """See ControllerProtocol. Only one that answers, with this cluster's name, counts."""
        status = self.status()
        return status.address if status.healthy else None

    def status(self) -> ControllerStatus:
        """See ControllerProtocol."""
        try:
            record = self._running()
        except FailedPrecondition as error:
            return ControllerStatus(running=False, problem=str(error))
        if record is not None:
            return local_status(record, self._config.name, self._timeouts.health)
        holder = self._folder.lock_holder() if self._folder.is_locked() else None
        if holder is not None:
            problem = f"It is starting, or stopping ({holder}). Ask again in a moment."
            return ControllerStatus(running=True, vm_name=socket.gethostname(), problem=problem)
        return ControllerStatus(
            running=False, problem=f"Cluster {self._config.name!r} is not running. Start it."
        )

    def fetch_startup_logs(self, tail_lines: int | None = None) -> str | None:
        """See ControllerProtocol."""
        try:
            text = self._folder.startup_log.read_text(errors="replace")
        except OSError:
            return None
        if tail_lines is None:
            return text
        return last_lines(text, tail_lines)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """See ControllerProtocol."""
        status = self.status()
        if not status.healthy:
            raise Unavailable(f"Cluster {self._config.name!r} cannot be reached: {status.problem}")
        yield Connection(status.address, self._folder.read_token())

    def _running(self) -> ControllerRecord | None:
        """This cluster's running controller. Raises FailedPrecondition if it is another cluster's:
        that one is not ours to touch.
        """
        record = self._folder.running()
        if record is not None and record.cluster != self._config.name:
            raise FailedPrecondition(
                f"The state folder {self._folder.path} is in use by another cluster, "
                f"{record.cluster!r} ({record.process}).",
                hint="Choose another state folder.",
            )
        return record

    def _keeps_port(self, record: ControllerRecord) -> bool:
        """Whether it would serve where workers and tasks know it to."""
        port = self._config.controller_vm.local.port
        return port in (0, int(record.address.rpartition(":")[2]))

    def _check_is_ours(self, record: ControllerRecord) -> None:
        """Raises FailedPrecondition for one that does not live and die with this process though it
        has to.
        """
        ours = STARTED.get(self._folder)
        if self._attached and (ours is None or ours.identity != record.process):
            raise FailedPrecondition(
                f"Cluster {record.cluster!r} runs already ({record.process}, {record.address}) on the "
                f"state folder {self._folder.path}.",
                hint="Use it, stop it, or choose another state folder.",
            )

    def _already_running(self, record: ControllerRecord) -> ControllerStatus:
        self._check_is_ours(record)
        what = f"Cluster {record.cluster!r} runs already ({record.process}, {record.address})"
        status = self.status()
        if not status.healthy:
            raise FailedPrecondition(
                f"{what} but is not well: {status.problem}", hint="Restart it."
            )
        return status

    def _settled(self, is_free: Callable[[], bool]) -> bool:
        """Whether the lock is free. Where it is held by nobody who can be named, that is about to
        change: a killed process keeps its files until the last of its threads is gone, and one that
        starts another names it at once. Waits for that, for a bounded time.
        """
        until = time.monotonic() + self._timeouts.leftovers.total_seconds()
        while not is_free():
            if self._folder.lock_holder() is not None or time.monotonic() > until:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def _taken(self) -> FailedPrecondition:
        holder = self._folder.lock_holder()
        return FailedPrecondition(
            f"Another controller ({holder or 'just being started'}) has the state folder "
            f"{self._folder.path}.",
            hint="Wait for it, stop it, or choose another state folder.",
        )

    def _launch(self) -> Launch:
        inherit = {
            name: self._environment[name]
            for name in self._config.worker.inherit_env
            if name in self._environment
        }
        return Launch(self._config, inherit)

    def _wait_until_healthy(self, process: ControllerProcess) -> ControllerStatus:
        # Imported here, while the new process imports the same: each needs a tenth of a second for
        # it.
        import iris.rpc.health  # noqa: F401

        try:
            wait_for_answer(process.answer, self._timeouts.start.total_seconds())
            process.close_answer()
            status = self.status()
            if not status.healthy:
                raise Unavailable(f"The controller says it serves, but: {status.problem}")
        except BaseException as error:
            code = process.abort()
            self._folder.record_file.unlink(missing_ok=True)
            failure = self._start_failure(error, code)
            if failure is error:
                raise
            raise failure from error
        STARTED.add(self._folder, process)
        return status

    def _start_failure(self, error: BaseException, code: int | None) -> BaseException:
        """What to raise for a start that failed: what the process said itself needs no log lines
        beside it.
        """
        limit = f"{self._timeouts.start.total_seconds():g} s"
        match error:
            case NoAnswer():
                problem = f"The controller ended while it started ({_exit_text(code)})."
                return Unavailable(problem, hint=self._last_lines())
            case TimeoutError():
                problem = f"The controller did not serve within {limit}, and was ended."
                return DeadlineExceeded(problem, hint=self._last_lines())
            case Internal():
                return Internal(error.problem, hint=self._last_lines())
            case _:
                return error

    def _last_lines(self) -> str:
        lines = (self.fetch_startup_logs(_STARTUP_LINES) or "").strip()
        return f"Its last lines:\n{lines}" if lines else "It wrote nothing."

    def _end(self, process: ProcessIdentity) -> bool:
        """Whether it ended by itself; else it was killed, with everything below it."""
        handle = ProcessHandle.open(process)
        if handle is None:
            return not self._folder.record_file.exists()
        with handle:
            handle.send(signal.SIGTERM)
            # One that was stopped (SIGSTOP) hears of it only when it continues.
            handle.send(signal.SIGCONT)
            if handle.wait(self._timeouts.stop.total_seconds()):
                return not self._folder.record_file.exists()
            everything = (process, *descendants(process))
            end_processes(everything, grace=0, deadline=self._timeouts.leftovers.total_seconds())
        return False


def local_status(record: ControllerRecord, cluster: str, timeout: timedelta) -> ControllerStatus:
    """What a controller that runs on this machine says of itself; it has to say the right name."""
    from iris.rpc.health import check_health

    def known(**more: Any) -> ControllerStatus:
        return ControllerStatus(
            running=True, address=record.address, vm_name=socket.gethostname(), **more
        )

    try:
        answer = check_health(record.address, timeout)
    except IrisError as error:
        return known(problem=f"{record.process} runs but does not answer: {error}")
    if (answer.cluster, answer.incarnation_id) != (cluster, record.incarnation):
        who = f"{answer.cluster!r} ({answer.incarnation_id})"
        return known(problem=f"Another cluster, {who}, answers at {record.address}. Restart it.")
    uptime = datetime.now(UTC) - answer.started_at.ToDatetime(UTC)
    return known(
        healthy=answer.healthy,
        version=answer.version,
        uptime=max(uptime, timedelta()),
        problem=answer.problem,
    )


def _exit_text(code: int | None) -> str:
    if code is None:
        return "it cannot be reaped"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
