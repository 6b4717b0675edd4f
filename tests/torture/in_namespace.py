"""Runs a Python program in a PID namespace of its own, with a bound on how many processes there may
be: what gets out of hand in it takes nothing else with it.

Usage: python in_namespace.py MAX_PROCESSES ARGUMENTS..., where the arguments are the interpreter's.
The exit code is the program's, or 125 if it was ended because there were too many processes.
"""

import os
import signal
import sys
import time
from typing import NoReturn

from iris.worker.runtime import namespaces, process_control

_TOO_MANY = 125
_LOOK_SECONDS = 0.01


def main(most: int, arguments: list[str]) -> int:
    """Runs it and waits for its end."""
    user, group = os.geteuid(), os.getegid()
    init = namespaces.fork()
    if init == 0:
        process_control.signal_on_parent_death(signal.SIGKILL)
        namespaces.settle(user, group)
        _run(most, arguments)
    return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])


def _run(most: int, arguments: list[str]) -> NoReturn:
    """In init: when it ends, so does everybody else in the namespace."""
    program = os.fork()
    if program == 0:
        os.execv(sys.executable, [sys.executable, *arguments])
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == program:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        if pid:
            continue
        # Nobody announces that there are many.
        if sum(name.isdecimal() for name in os.listdir("/proc")) > most:
            sys.stderr.write(f"there are more than {most} processes: all of them are ended\n")
            os._exit(_TOO_MANY)
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
