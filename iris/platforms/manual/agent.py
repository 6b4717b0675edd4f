"""What runs on a host on behalf of the controller: this file's text is sent to the Python there, with one request on
its standard input, and answers with lines of JSON, the last of which is the result.

So it needs nothing but a Python and its standard library, and must be read by any from 3.6 on: a
host whose Python does not fit is told so, not left with a SyntaxError.

The claim is one file per user and machine, whatever the cluster: a host belongs to one slice of one cluster at a time.
What is written there is ours only if it carries our label.
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

STATE_FOLDER = os.path.join("~", ".local", "state", "iris-host")
CLAIM, LOCK = "claim.json", "lock"
# In the folder of a VM.
WORKER, STATE, LOG = "worker.json", "state", "worker.log"
REGISTERED, FAILED = "registered", "failed"
LOCK_SECONDS = 20.0
KILL_SECONDS = 10.0
# Until a worker's tasks are gone once it is: its supervisors kill them.
TASKS_SECONDS = 20.0
POLL_SECONDS = 0.05
LONG_POLL_SECONDS = 2.0
# Of variables that the login brings; what ssh adds is about the connection, which the worker outlives.
SSH_VARIABLES = ("SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_AUTH_SOCK")


class Refused(Exception):
    """What is asked for cannot be done; the text says why."""


def main() -> None:
    """One request."""
    request = json.loads(sys.stdin.buffer.readline().decode())
    try:
        result = ACTIONS[request.pop("action")](**request)
        say({"ok": result})
    except Refused as error:
        say({"refused": str(error)})
    except OSError as error:
        say({"refused": f"{type(error).__name__}: {error}"})


def say(message: "dict[str, Any]") -> None:
    """One line."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


# --- The host and its claim -----------------------------------------------------------------------


def look() -> "dict[str, Any]":
    """What the host is, who claims it, and whether that one's worker runs."""
    claim = read_json(claim_path())
    return {
        "python": list(sys.version_info[:2]),
        "implementation": sys.implementation.name,
        "system": platform.system(),
        "machine": platform.machine(),
        "executable": sys.executable,
        # Of this host, as the way here leads to it.
        "address": (os.environ.get("SSH_CONNECTION") or "").split(" ")[2:3],
        "claim": claim,
        "worker": worker_state(claim["vm_dir"]) if claim else None,
    }


def claim(claim: "dict[str, Any]") -> "dict[str, Any]":
    """Takes the host, if nobody has it: {"claim": ours} or {"held": that of whoever has it}."""
    with locked():
        held = read_json(claim_path())
        if held and (held["label"], held["vm_id"]) != (claim["label"], claim["vm_id"]):
            return {"held": held}
        if not held:
            for name in ("work_dir", "vm_dir"):
                claim[name] = os.path.expanduser(claim[name])
            claim["boot_id"] = boot_id()
            # A path of its own for the way to the controller: one below a home may be too long for a socket.
            claim["socket_dir"] = tempfile.mkdtemp(prefix="iris-", dir="/tmp")
            make_folder(claim["vm_dir"])
            write_json(claim_path(), claim)
            held = claim
        return {"claim": held}


def note(label: str, vm_id: str, hosts: "list[str]") -> None:
    """Writes down, in the claim, on which hosts all VMs of the slice are."""
    with locked():
        held = own_claim(label, vm_id)
        held["hosts"] = hosts
        write_json(claim_path(), held)


def release(label: str, vm_id: str) -> None:
    """Gives the host back, once no worker runs. Idempotent."""
    with locked():
        held = read_json(claim_path())
        if not held or (held["label"], held["vm_id"]) != (label, vm_id):
            return
        if worker_state(held["vm_dir"])["alive"]:
            raise Refused(f"the worker of {vm_id} still runs")
        shutil.rmtree(held["vm_dir"], ignore_errors=True)
        shutil.rmtree(held["socket_dir"], ignore_errors=True)
        os.unlink(claim_path())


def own_claim(label: str, vm_id: str) -> "dict[str, Any]":
    """The claim, which has to be this one."""
    held = read_json(claim_path())
    if not held or (held["label"], held["vm_id"]) != (label, vm_id):
        raise Refused(f"the host is not claimed by {vm_id} any more")
    return held


def claim_path() -> str:
    """Where the claim is."""
    return os.path.join(os.path.expanduser(STATE_FOLDER), CLAIM)


@contextlib.contextmanager
def locked() -> "Iterator[None]":
    """Nobody else changes the claim meanwhile. The kernel lets go of it when this process ends."""
    folder = make_folder(os.path.expanduser(STATE_FOLDER))
    with open(os.path.join(folder, LOCK), "w") as file:
        if not wait_for(lambda: try_lock(file.fileno()), LOCK_SECONDS):
            raise Refused(f"{folder} is locked by another process")
        yield


# --- Commands before the worker starts -----------------------------------------------------------


def command(command: str, seconds: float, environment: "dict[str, str]", cwd: str) -> int:
    """Runs one command; its output is told line by line, its exit status is the result. It and what it
    started end with the connection, and after that many seconds.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=worker_environment(environment),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        tell_output(process, time.monotonic() + seconds, seconds)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        code = process.wait()
    return 128 - code if code < 0 else code


def tell_output(process: "subprocess.Popen[bytes]", until: float, seconds: float) -> None:
    """Tells its lines until it has ended and nothing more of it is to be read."""
    assert process.stdout is not None
    output, rest = process.stdout.fileno(), b""
    while True:
        # First: what it wrote before it ended can be read once it has.
        ended = process.poll() is not None
        ready = readable([0, output], 0 if ended else POLL_SECONDS)
        chunk = os.read(output, 65536) if output in ready else b""
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            say({"line": line.decode(errors="replace")})
        # What it left running may hold its output open: nobody waits for that.
        if ended and not chunk:
            break
        if 0 in ready and not os.read(0, 65536):
            raise Refused("the connection ended")
        if time.monotonic() > until:
            raise Refused(f"it did not end within {seconds:g} s")
        if output in ready and not chunk and not ended:
            time.sleep(POLL_SECONDS)  # it closed its output, and goes on
    if rest:
        say({"line": rest.decode(errors="replace")})


# --- The worker ------------------------------------------------------------------------------------


def start(
    label: str, vm_id: str, argv: "list[str]", environment: "dict[str, str]"
) -> "dict[str, Any]":
    """Starts the worker, with the next line of our standard input on its own. It outlives us; its record is written
    before it may do anything.
    """
    options = sys.stdin.buffer.readline()
    if not options.endswith(b"\n"):
        raise Refused("the connection ended before all was said")
    with locked():
        folder = own_claim(label, vm_id)["vm_dir"]
        if worker_state(folder)["alive"]:
            raise Refused(f"a worker of {vm_id} runs already")
        with open(os.path.join(folder, LOG), "ab") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=worker_environment(environment),
                cwd=folder,
                start_new_session=True,
            )
        record = {"pid": process.pid, "start_time": stat_of(process.pid)[1], "boot_id": boot_id()}
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, STATE))
        write_json(os.path.join(folder, WORKER), record)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(options)
        return record


def tidy(ship_dir: str, digest: str) -> None:
    """Removes what was shipped before, of other digests: while a host is claimed and its worker does
    not run yet, nobody uses it.
    """
    for name in os.listdir(ship_dir):
        path = os.path.join(ship_dir, name)
        if digest not in name and os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        elif digest not in name:
            os.unlink(path)


def watch(vm_dir: str, log_from: int) -> "dict[str, Any]":
    """Tells what the worker does until it ends, or the connection does: lines of its log, from that
    byte on, until it has registered, then that it has. The result is how it ended.
    """
    log = os.path.join(vm_dir, LOG)
    registered = False
    while True:
        if not registered:
            log_from = tell_log(log, log_from)
            registered = (read_text(os.path.join(vm_dir, STATE)) or "").startswith(REGISTERED)
            if registered:
                say({"state": REGISTERED})
        seconds = LONG_POLL_SECONDS if registered else POLL_SECONDS
        ended = not wait_while_it_runs(vm_dir, seconds)
        if ended:
            if not registered:
                tell_log(log, log_from)
            return {"problem": worker_state(vm_dir)["problem"]}
        if 0 in readable([0], 0):  # nothing is ever said to us: the connection ended
            raise Refused("the connection ended")


def end(label: str, vm_id: str, grace: float) -> None:
    """Ends the worker and all that it runs, by its record, and returns once nothing of it is left. Idempotent."""
    held = read_json(claim_path())
    if not held or (held["label"], held["vm_id"]) != (label, vm_id):
        return
    record = read_json(os.path.join(held["vm_dir"], WORKER))
    if not record or record["boot_id"] != boot_id():
        return
    for signum, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
        send(record, signum)
        if wait_for(lambda: not is_alive(record), seconds):
            break
    if is_alive(record):
        raise Refused("the worker of {} (pid {}) does not end".format(vm_id, record["pid"]))
    # Its supervisors hold this lock until the last of its tasks is gone.
    path = os.path.join(held["work_dir"], "bundles.lock")
    if os.path.exists(path):
        with open(path, "r+") as file:
            if not wait_for(lambda: try_lock(file.fileno()), TASKS_SECONDS):
                raise Refused(f"tasks of {vm_id} do not end")


def tell_log(path: str, offset: int) -> int:
    """Tells the lines from there on; where the next one begins."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return offset
    whole = data[: data.rfind(b"\n") + 1]
    for line in whole.splitlines():
        say({"line": line.decode(errors="replace")})
    return offset + len(whole)


def wait_while_it_runs(vm_dir: str, seconds: float) -> bool:
    """Whether the worker still runs after that long; returns at once when it ends."""
    record = read_json(os.path.join(vm_dir, WORKER))
    if not record or record["boot_id"] != boot_id():
        return False
    if not hasattr(os, "pidfd_open"):
        readable([0], seconds)
        return is_alive(record)
    try:
        pidfd = os.pidfd_open(record["pid"])
    except OSError:
        return False
    try:
        return is_alive(record) and pidfd not in readable([0, pidfd], seconds)
    finally:
        os.close(pidfd)


def worker_state(vm_dir: str) -> "dict[str, Any]":
    """Whether it runs, whether it has registered, and why it does not run any more."""
    record = read_json(os.path.join(vm_dir, WORKER))
    if not record:
        return {"alive": False, "registered": False, "problem": "its worker was never started"}
    alive = is_alive(record)
    # Only now: a process that is over has said all that it ever will.
    said = (read_text(os.path.join(vm_dir, STATE)) or "").strip()
    problem = ""
    if record["boot_id"] != boot_id():
        problem = "the host was started again"
    elif said.startswith(FAILED):
        problem = said[len(FAILED) :].strip()
    elif not alive:
        problem = "its worker's process ended without a word"
    return {"alive": alive, "registered": said.startswith(REGISTERED), "problem": problem}


def is_alive(record: "dict[str, Any]") -> bool:
    """Whether that very process runs."""
    state, began = stat_of(record["pid"])
    same_boot = record["boot_id"] == boot_id()
    return same_boot and began == record["start_time"] and state not in ("", "Z", "X")


def send(record: "dict[str, Any]", signum: int) -> None:
    """Signals that very process; with a pidfd never another one that has its pid now."""
    if not hasattr(os, "pidfd_open"):
        if is_alive(record):
            os.kill(record["pid"], signum)
        return
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(record["pid"])
        try:
            if is_alive(record):
                signal.pidfd_send_signal(pidfd, signum)
        finally:
            os.close(pidfd)


def stat_of(pid: int) -> "tuple[str, int]":
    """Of the process that has this pid, also of one that has ended and whose parent has not asked how: its state, a
    letter of proc(5), and when it began, in ticks of the kernel's. ("", 0) if there is none.
    """
    stat = read_text(f"/proc/{pid}/stat")
    if stat is None:
        return "", 0
    fields = stat[stat.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def worker_environment(more: "dict[str, str]") -> "dict[str, str]":
    """That of the login, and what is configured."""
    kept = {name: value for name, value in os.environ.items() if name not in SSH_VARIABLES}
    kept.update(more)
    return kept


# --- Files and waiting -----------------------------------------------------------------------------


def boot_id() -> str:
    """Of this run of the kernel; records of processes of an earlier one mean nothing."""
    return (read_text("/proc/sys/kernel/random/boot_id") or "").strip()


def make_folder(path: str) -> str:
    """A folder of ours that nobody else may enter."""
    before = os.umask(0o077)
    try:
        os.makedirs(path, exist_ok=True)
    finally:
        os.umask(before)
    if os.stat(path).st_uid != os.geteuid():
        raise Refused(f"{path} belongs to another user")
    return path


def read_text(path: str) -> "str | None":
    """None if there is no such file."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None


def read_json(path: str) -> "dict[str, Any] | None":
    """None if there is no such file."""
    text = read_text(path)
    if text is None:
        return None
    try:
        read = json.loads(text)
    except ValueError as error:
        raise Refused(f"{path} is damaged; look at it and remove it") from error
    return dict(read)


def write_json(path: str, value: "dict[str, Any]") -> None:
    """Seen whole or not at all."""
    temporary = path + ".tmp"
    with open(temporary, "w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def try_lock(descriptor: int) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def wait_for(condition: "Any", seconds: float) -> bool:
    """Whether it came true in that time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def readable(descriptors: "list[int]", seconds: float) -> "list[int]":
    """Those that can be read, or have ended, after at most that long."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(max(0, round(seconds * 1000)))]


ACTIONS: "dict[str, Any]" = {
    "claim": claim,
    "command": command,
    "end": end,
    "look": look,
    "note": note,
    "release": release,
    "start": start,
    "tidy": tidy,
    "watch": watch,
}

if __name__ == "__main__":
    main()
