"""What runs on a host, run here, as it is sent: claims, commands, and workers by their records."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iris.host.processes import ProcessIdentity, end_processes
from iris.platforms.manual import agent
from iris.platforms.manual.host_agent import _LOADER, agent_source

PYTHON = os.path.realpath(sys.executable)
# Writes what it was told, registers, and stays.
WORKER = (
    "import sys,time; open('told','w').write(sys.stdin.readline()); "
    "open('state','w').write('registered'); time.sleep(600)"
)


class Host:
    """A home with a host's files, and the agent there."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def begin(self, **request: Any) -> "subprocess.Popen[bytes]":
        more = request.pop("more", "")
        process = subprocess.Popen(
            [PYTHON, "-I", "-S", "-c", _LOADER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"HOME": str(self.home), "PATH": os.defpath, "SSH_CONNECTION": "c 1 10.0.0.9 22"},
        )
        assert process.stdin is not None
        source = agent_source()
        process.stdin.write(b"%d\n" % len(source) + source + json.dumps(request).encode() + b"\n")
        process.stdin.write(more.encode())
        process.stdin.flush()
        return process

    def messages(self, **request: Any) -> list[dict[str, Any]]:
        with self.begin(**request) as process:
            output, _ = process.communicate()
        return [json.loads(line) for line in output.splitlines()]

    def ask(self, **request: Any) -> Any:
        return self.messages(**request)[-1]["ok"]

    def refusal(self, **request: Any) -> str:
        return str(self.messages(**request)[-1]["refused"])

    def until(self, wanted: dict[str, Any], **request: Any) -> list[dict[str, Any]]:
        """What it says until it has said that, and after its standard input has ended then."""
        with self.begin(**request) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            said = [json.loads(process.stdout.readline())]
            while said[-1] != wanted:
                said.append(json.loads(process.stdout.readline()))
            process.stdin.close()
            return said + [json.loads(line) for line in process.stdout]

    def claim(self, label: str = "ours", slice_id: str = "s") -> Any:
        return self.ask(
            action="claim",
            claim={
                "label": label,
                "vm_id": f"{slice_id}/0",
                "work_dir": "~/work",
                "vm_dir": f"~/work/vms/{slice_id}-0",
                "hosts": [],
            },
        )

    def start(self, program: str = WORKER, more: str = "told so\n") -> dict[str, Any]:
        return self.messages(
            action="start", **OURS, argv=[PYTHON, "-c", program], environment={"A": "b"}, more=more
        )[-1]

    def worker(self) -> Any:
        return self.ask(action="look")["worker"]


OURS = {"label": "ours", "vm_id": "s/0"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    for record in tmp_path.glob("work/vms/*/worker.json"):
        told = json.loads(record.read_text())
        end_processes([ProcessIdentity(told["pid"], told["start_time"])], grace=0, deadline=5)
    for claim in tmp_path.glob(".local/state/iris-host/claim.json"):
        Path(json.loads(claim.read_text())["socket_dir"]).rmdir()


def test_a_look_says_what_the_host_is(host: Host) -> None:
    told = host.ask(action="look")
    assert told["python"] == list(sys.version_info[:2])
    assert told["executable"] == PYTHON
    assert told["address"] == ["10.0.0.9"]
    assert (told["claim"], told["worker"]) == (None, None)


def test_a_host_has_one_claim(host: Host) -> None:
    got = host.claim()["claim"]
    assert host.claim()["claim"] == got
    assert Path(got["vm_dir"]).stat().st_mode & 0o777 == 0o700
    assert Path(got["socket_dir"]).stat().st_mode & 0o777 == 0o700
    assert host.claim("theirs")["held"] == got
    assert host.claim(slice_id="other")["held"] == got
    assert host.ask(action="look")["claim"] == got


def test_only_one_s_own_claim_is_released(host: Host) -> None:
    got = host.claim()["claim"]
    host.ask(action="release", label="theirs", vm_id="s/0")
    assert host.ask(action="look")["claim"] == got
    host.ask(action="release", **OURS)
    host.ask(action="release", **OURS)
    assert host.ask(action="look")["claim"] is None
    assert not Path(got["vm_dir"]).exists()
    assert not Path(got["socket_dir"]).exists()


def test_what_is_not_claimed_cannot_be_used(host: Host) -> None:
    said = host.refusal(action="start", **OURS, argv=["true"], environment={}, more="x\n")
    assert said == "the host is not claimed by s/0 any more"
    assert "not claimed" in host.refusal(action="note", **OURS, hosts=["a"])


def test_the_slice_s_hosts_are_noted(host: Host) -> None:
    host.claim()
    host.ask(action="note", **OURS, hosts=["a", "b"])
    assert host.ask(action="look")["claim"]["hosts"] == ["a", "b"]


def test_a_damaged_claim_is_nobody_s(host: Host) -> None:
    host.claim()
    path = host.home / ".local/state/iris-host/claim.json"
    good = path.read_text()
    path.write_text("{")
    assert "is damaged" in host.refusal(action="look")
    path.write_text(good)


def test_a_command_s_lines_and_status_are_told(host: Host) -> None:
    said = host.messages(
        action="command",
        command="echo out $A; echo err >&2; printf end; exit 3",
        seconds=20,
        environment={"A": "b"},
        cwd=str(host.home),
    )
    # Nobody holds its standard input open: it ends with its asker, which is what this asker does.
    assert said[-1] in ({"ok": 3}, {"refused": "the connection ended"})


def test_a_command_ends_with_the_connection(host: Host) -> None:
    with host.begin(
        action="command", command="echo $$; sleep 600", seconds=20, environment={}, cwd="/"
    ) as process:
        assert process.stdout is not None
        pid = int(json.loads(process.stdout.readline())["line"])
        assert ProcessIdentity.of(pid) is not None
        assert process.stdin is not None
        process.stdin.close()
        assert json.loads(process.stdout.readline()) == {"refused": "the connection ended"}
    assert ProcessIdentity.of(pid) is None


def test_a_command_that_leaves_something_running_ends(host: Host) -> None:
    with host.begin(
        action="command", command="sleep 600 & echo $!", seconds=20, environment={}, cwd="/"
    ) as process:
        assert process.stdout is not None
        pid = int(json.loads(process.stdout.readline())["line"])
        assert json.loads(process.stdout.readline()) == {"ok": 0}
    os.kill(pid, signal.SIGKILL)


def test_a_worker_is_started_with_its_options_and_outlives_the_agent(host: Host) -> None:
    folder = Path(host.claim()["claim"]["vm_dir"])
    record = host.start()["ok"]
    assert ProcessIdentity(record["pid"], record["start_time"]).is_alive()
    messages = host.until({"state": "registered"}, action="watch", vm_dir=str(folder), log_from=0)
    assert {"state": "registered"} in messages
    assert messages[-1] == {"refused": "the connection ended"}
    assert (folder / "told").read_text() == "told so\n"
    assert host.worker() == {"alive": True, "registered": True, "problem": ""}
    assert host.start() == {"refused": "a worker of s/0 runs already"}
    assert host.refusal(action="release", **OURS) == "the worker of s/0 still runs"
    host.ask(action="end", **OURS, grace=5)
    assert not host.worker()["alive"]


def test_half_of_the_options_start_nothing(host: Host) -> None:
    host.claim()
    assert host.start(more="half") == {"refused": "the connection ended before all was said"}
    assert host.worker()["problem"] == "its worker was never started"


def test_a_worker_that_ignores_the_signal_is_killed(host: Host) -> None:
    host.claim()
    record = host.start("import signal; signal.signal(15, signal.SIG_IGN); " + WORKER)["ok"]
    folder = host.home / "work/vms/s-0"
    host.until({"state": "registered"}, action="watch", vm_dir=str(folder), log_from=0)
    host.ask(action="end", **OURS, grace=0.05)
    assert not ProcessIdentity(record["pid"], record["start_time"]).is_alive()


def test_the_end_of_a_worker_is_told_with_its_last_lines(host: Host) -> None:
    host.claim()
    # As every worker does, it waits for its options before it says anything.
    program = (
        "import sys; sys.stdin.readline(); print('line', flush=True); "
        "open('state', 'w').write('failed it is tired')"
    )
    host.start(program)
    with host.begin(action="watch", vm_dir=str(host.home / "work/vms/s-0"), log_from=0) as process:
        assert process.stdout is not None
        said = [json.loads(line) for line in process.stdout]
    assert said == [{"line": "line"}, {"ok": {"problem": "it is tired"}}]


def test_a_worker_that_never_came_up_may_be_started_again(host: Host) -> None:
    host.claim()
    for _ in range(2):
        assert "ok" in host.start("raise SystemExit(3)")
        folder = str(host.home / "work/vms/s-0")
        with host.begin(action="watch", vm_dir=folder, log_from=0) as process:
            assert process.stdout is not None
            (said,) = [json.loads(line) for line in process.stdout]
        assert said == {"ok": {"problem": "its worker's process ended without a word"}}


def test_a_process_that_has_ended_is_known_by_its_beginning() -> None:
    """It may have ended before its record was made."""
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        state, began = agent.stat_of(process.pid)
        own = ProcessIdentity.current()
        assert state == "Z" and own.start_time <= began
        record = {"pid": process.pid, "start_time": began, "boot_id": agent.boot_id()}
        assert not agent.is_alive(record)
        record.update(pid=own.pid, start_time=own.start_time)
        assert agent.is_alive(record)
    assert agent.stat_of(process.pid) == ("", 0)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("start_time", 1, "its worker's process ended without a word"),
        ("boot_id", "another", "the host was started again"),
    ],
)
def test_another_process_of_the_same_pid_is_left_alone(
    host: Host, field: str, value: object, problem: str
) -> None:
    host.claim()
    record = host.start()["ok"]
    path = host.home / "work/vms/s-0/worker.json"
    path.write_text(json.dumps({**record, field: value}))
    assert host.worker()["alive"] is False
    host.ask(action="end", **OURS, grace=0.05)
    own = ProcessIdentity(record["pid"], record["start_time"])
    assert own.is_alive()
    state = host.home / "work/vms/s-0/state"
    state.unlink(missing_ok=True)
    assert host.worker()["problem"] == problem
    end_processes([own], grace=0, deadline=5)


def test_what_was_shipped_before_is_removed(host: Host) -> None:
    ship = host.home / "ship"
    for name in ("old", "new"):
        (ship / name).mkdir(parents=True)
        (ship / f"iris-{name}.pyz").touch()
    host.ask(action="tidy", ship_dir=str(ship), digest="new")
    assert sorted(path.name for path in ship.iterdir()) == ["iris-new.pyz", "new"]
