"""The first process of a tree, from the supervisor to the attempt's program.

It is spawned (as by vfork) where what it has to be before can be had from the supervisor, which is
it for a moment: the control groups, limits and folder. That takes a third of the time of a fork of
the whole interpreter. Elsewhere it is forked, and does all of it itself.
"""

import contextlib
import errno
import os
import resource
import signal
import sys
from typing import NamedTuple, NoReturn

from iris.worker.runtime import process_control, wire
from iris.worker.runtime.attempt_groups import AttemptGroups
from iris.worker.runtime.limits import TreeLimits
from iris.worker.runtime.namespaces import kernel_version

_EXEC_FAILED = 127
_COUNTS_IN_NAMESPACES = (5, 14)
_SPARE_PROCESSES = 64


# The supervisor cannot live with fewer open files itself.
_LEAST_OPEN_FILES = 64
# In a group of one process there is no room for it beside the program.
_LEAST_PROCESSES = 2


class NotSpawned(Exception):
    """What could not be done (a stage of iris.worker.runtime.wire), and the error's number."""

    def __init__(self, stage: bytes, number: int) -> None:
        super().__init__(stage, number)
        self.stage = stage
        self.number = number


class RootProcess(NamedTuple):
    """What it needs to know; `stdout` and `stderr` are descriptors. `in_user_namespace`: of the
    tree's own.
    """

    request: wire.Request
    groups: AttemptGroups
    stdout: int
    stderr: int
    in_user_namespace: bool = False

    @property
    def can_be_spawned(self) -> bool:
        """Whether `spawn` will do, for a tree that is ended with its supervisor in any case."""
        limits = self.request.limits
        return (
            self.groups.can_be_entered
            and (limits.open_files == 0 or limits.open_files >= _LEAST_OPEN_FILES)
            and (limits.processes == 0 or limits.processes >= _LEAST_PROCESSES)
        )

    def spawn(self) -> int:
        """Starts it; its pid. The supervisor keeps the limits of open files and the like, which are
        those of its later requests too. Raises NotSpawned.
        """
        argv, env, cwd, limits, _ = self.request
        set_rlimits(limits, in_user_namespace=self.in_user_namespace)
        stage = wire.STAGE_CHDIR
        try:
            os.chdir(cwd)
            stage = wire.STAGE_ISOLATE
            with self.groups.entered():
                stage = wire.STAGE_EXEC
                return self._spawn_first_found(argv, env)
        except OSError as error:
            raise NotSpawned(stage, error.errno or 0) from error
        finally:
            os.chdir("/")

    def _spawn_first_found(self, argv: list[bytes], env: dict[bytes, bytes]) -> int:
        """As execvpe looks for a program. Raises OSError: what was wrong with what was found, before
        that nothing was.
        """
        actions = [(os.POSIX_SPAWN_DUP2, self.stdout, 1), (os.POSIX_SPAWN_DUP2, self.stderr, 2)]
        failure = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        for path in _candidates(argv[0], env):
            try:
                # For `setsid` see `become`.
                return os.posix_spawn(path, argv, env, file_actions=actions, setsid=True)
            except OSError as error:
                if failure.errno in (errno.ENOENT, errno.ENOTDIR):
                    failure = error
        raise failure

    def become(self, parent: int, report: int) -> NoReturn:
        """Makes this a clean process and executes the program. Never returns. What goes wrong is
        written to `report`, which a successful exec closes.
        """
        stage = wire.STAGE_ISOLATE
        argv, env, cwd, limits, _ = self.request
        try:
            signal.set_wakeup_fd(-1)
            process_control.signal_on_parent_death(signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(_EXEC_FAILED)
            self.groups.join()
            stage = wire.STAGE_EXEC
            # A session of its own: a task that signals its process group (`kill 0`) means its own
            # processes and not its cluster's, and it neither hears the Ctrl-C of a terminal that the
            # cluster was started from nor can write to it. The supervisor, not the group, is what
            # ends the tree.
            os.setsid()
            os.dup2(self.stdout, 1)
            os.dup2(self.stderr, 2)
            process_control.close_all_but({0, 1, 2, report})
            set_rlimits(limits, in_user_namespace=self.in_user_namespace)
            stage = wire.STAGE_CHDIR
            os.chdir(cwd)
            stage = wire.STAGE_EXEC
            os.execvpe(argv[0], argv, env)
        except OSError as error:
            os.write(report, wire.line(stage, error.errno or 0))
        except BaseException:  # noqa: BLE001 - this process must not go on as a copy of the supervisor
            sys.excepthook(*sys.exc_info())
            os.write(report, wire.line(stage, 0))
        finally:
            os._exit(_EXEC_FAILED)


def _candidates(program: bytes, env: dict[bytes, bytes]) -> list[bytes]:
    if b"/" in program:
        return [program]
    folders = env.get(b"PATH", os.fsencode(os.defpath)).split(b":")
    paths = [os.path.join(folder, program) for folder in folders]
    return [path for path in paths if os.path.exists(path)]


def set_rlimits(limits: TreeLimits, *, in_user_namespace: bool) -> None:
    """Those of this process and whatever it will fork.

    Processes are counted per user; in a user namespace of its own, by newer kernels, that is the
    tree. Then it cannot explode between two looks of the watchdog, which ends it for what is beyond
    the limit.
    """
    if limits.processes and in_user_namespace and kernel_version() >= _COUNTS_IN_NAMESPACES:
        _lower(resource.RLIMIT_NPROC, processes_with_spare(limits))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.open_files:
        _lower(resource.RLIMIT_NOFILE, limits.open_files)
    if limits.disk_bytes:
        _lower(resource.RLIMIT_FSIZE, limits.disk_bytes)


def processes_with_spare(limits: TreeLimits) -> int:
    """What the kernel is to refuse, so that the watchdog sees who went beyond the limit."""
    return limits.processes + max(_SPARE_PROCESSES, limits.processes // 8)


def _lower(which: int, value: int) -> None:
    """Both limits; never above the hard one, which only the superuser could."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(ValueError):  # some systems bound it further
        resource.setrlimit(which, (value, value))
