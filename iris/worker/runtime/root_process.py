"""What the forked first process of a tree does until it executes the attempt's program."""

import contextlib
import os
import resource
import signal
import sys
from itertools import takewhile
from typing import NamedTuple, NoReturn

from iris.worker.runtime import process_control, wire
from iris.worker.runtime.cgroups import AttemptGroups
from iris.worker.runtime.limits import TreeLimits

_EXEC_FAILED = 127
_COUNTS_IN_NAMESPACES = (5, 14)
_SPARE_PROCESSES = 64


class RootProcess(NamedTuple):
    """What it needs to know; `stdout` and `stderr` are descriptors. `in_user_namespace`: of the
    tree's own.
    """

    request: wire.Request
    groups: AttemptGroups
    stdout: int
    stderr: int
    in_user_namespace: bool = False

    def become(self, parent: int, report: int) -> NoReturn:
        """Makes this a clean process and executes the program. Never returns. What goes wrong is
        written to `report`, which a successful exec closes.
        """
        stage = wire.STAGE_ISOLATE
        argv, env, cwd, limits = self.request
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


def set_rlimits(limits: TreeLimits, *, in_user_namespace: bool) -> None:
    """Those of this process and whatever it will fork.

    Processes are counted per user; in a user namespace of its own, by newer kernels, that is the
    tree. Then it cannot explode between two looks of the watchdog, which ends it for what is beyond
    the limit.
    """
    if limits.processes and in_user_namespace and _kernel() >= _COUNTS_IN_NAMESPACES:
        _lower(
            resource.RLIMIT_NPROC, limits.processes + max(_SPARE_PROCESSES, limits.processes // 8)
        )
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.open_files:
        _lower(resource.RLIMIT_NOFILE, limits.open_files)
    if limits.disk_bytes:
        _lower(resource.RLIMIT_FSIZE, limits.disk_bytes)


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(takewhile(str.isdigit, minor)))


def _lower(which: int, value: int) -> None:
    """Both limits; never above the hard one, which only the superuser could."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(ValueError):  # some systems bound it further
        resource.setrlimit(which, (value, value))
