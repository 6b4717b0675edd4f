"""The program as a whole: exit codes and how errors are shown."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from iris_proto import cluster_pb2, controller_pb2, job_pb2

from iris.bundle import pack_directory
from iris.cli.fake_person import FakePerson
from iris.cli.main import run_command_line
from iris.client.fake_controller import TOKEN, FakeController
from iris.lifecycle.state_folder import StateFolder


class RunningController:
    """A fake controller on a loop and thread of its own, so that the program under test can have
    the main one.
    """

    def __init__(self) -> None:
        self.fake: FakeController
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self._thread.start()
        self._ready.wait()

    def put(self, job: job_pb2.JobStatus) -> None:
        """Sets a job."""
        asyncio.run_coroutine_threadsafe(self.fake.put_job(job), self._loop).result()

    def write(self, task_id: str, *lines: str) -> None:
        """A task writes lines."""
        asyncio.run_coroutine_threadsafe(self.fake.write(task_id, *lines), self._loop).result()

    def close(self) -> None:
        """Ends it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        async with FakeController().serve() as self.fake:
            self._ready.set()
            await self._stop.wait()


@pytest.fixture
def controller() -> Iterator[RunningController]:
    running = RunningController()
    yield running
    running.close()


@pytest.fixture
def person(tmp_path: Path) -> FakePerson:
    (tmp_path / "token").write_text(TOKEN)
    return FakePerson(tmp_path, {"XDG_STATE_HOME": str(tmp_path)})


def iris(person: FakePerson, controller: RunningController, *line: str) -> int:
    return run_command_line(
        [*line, "--address", controller.fake.address, "--token-file", "token"], person.context
    )


def a_job(name: str = "train", state: job_pb2.JobState = job_pb2.JOB_RUNNING) -> job_pb2.JobStatus:
    job = job_pb2.JobStatus(job_id=f"/ann/{name}", state=state)
    job.spec.entrypoint.argv.extend(["python3", "train.py"])
    job.spec.replicas = 1
    job.counts.add(state=job_pb2.TASK_RUNNING, tasks=1)
    task = job.tasks.add(task_id=f"/ann/{name}/0", state=job_pb2.TASK_RUNNING)
    task.attempts.add(attempt_uid="a", worker_id="cpu-1/vm-0", state=job_pb2.TASK_RUNNING)
    return job


def test_no_cluster_is_one_problem_and_one_hint(person: FakePerson) -> None:
    assert run_command_line(["job", "list"], person.context) == 1
    problem, hint = person.stderr.splitlines()
    assert problem == "iris: No cluster runs on this machine."
    assert "./bazelw run //tools:local_cluster" in hint


def test_bad_usage_is_code_2(person: FakePerson) -> None:
    assert run_command_line(["job", "run", "--cpus", "2", "--", "true"], person.context) == 2
    assert person.stderr.splitlines()[0] == "iris: `iris job run` has no flag --cpus."
    assert "Did you mean --cpu?" in person.stderr


def test_a_wrong_token(person: FakePerson, controller: RunningController) -> None:
    (person.context.folder / "token").write_text("wrong")
    assert iris(person, controller, "job", "list") == 1
    assert person.stderr.startswith("iris: The call has no token, or not this cluster's.")


def test_mistakes_of_ours_are_not_thrown_at_people(
    person: FakePerson, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(arguments: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("iris.cli.main.parse_arguments", broken)
    assert run_command_line([], person.context) == 1
    assert "ZeroDivisionError: by zero" in person.stderr
    assert "IRIS_DEBUG=1" in person.stderr
    assert "Traceback" not in person.stderr + capfd.readouterr().err

    person.environment["IRIS_DEBUG"] = "1"
    assert run_command_line([], person.context) == 1
    assert "Traceback" in capfd.readouterr().err


def test_list(person: FakePerson, controller: RunningController) -> None:
    batch = a_job("one")
    batch.spec.priority = job_pb2.BATCH
    controller.put(batch)
    controller.put(a_job("two", job_pb2.JOB_SUCCEEDED))
    assert iris(person, controller, "job", "list") == 0
    rows = [row.split() for row in person.stdout.splitlines()]
    assert rows[0] == ["JOB", "BAND", "STATE", "TASKS", "SUBMITTED", "RAN", "COMMAND"]
    assert rows[1] == ["/ann/two", "interactive", "succeeded", "1", "python3", "train.py"]
    assert rows[2] == ["/ann/one", "batch", "running", "1", "python3", "train.py"]


def test_an_empty_list(person: FakePerson, controller: RunningController) -> None:
    assert iris(person, controller, "job", "list") == 0
    assert (person.stdout, person.stderr) == ("", "iris: no jobs\n")


def waiting(controller: RunningController) -> None:
    """The controller explains that a task of the job waits."""
    explanation = job_pb2.JobExplanation(
        job_id="/ann/train", state=job_pb2.JOB_RUNNING, band=job_pb2.BATCH
    )
    explanation.counts.add(state=job_pb2.TASK_PENDING, tasks=3)
    group = explanation.waiting.add(tasks=2, first_index=1)
    group.reason.code = job_pb2.BUDGET_EXHAUSTED
    group.reason.subject = "cpu"
    controller.fake.explanations["/ann/train"] = explanation


def test_status_and_explain_say_the_same_of_why_it_waits(
    person: FakePerson, controller: RunningController
) -> None:
    controller.put(a_job())
    waiting(controller)
    said = "  2 tasks wait, task 1 first: the user's budget is used up (cpu)"
    for times, command in enumerate(("status", "explain"), start=1):
        assert iris(person, controller, "job", command, "train") == 0
        assert person.stdout.splitlines().count(said) == times


def test_status_shows_where_a_job_may_run_and_its_limits(
    person: FakePerson, controller: RunningController
) -> None:
    job = a_job()
    job.spec.priority = job_pb2.PRODUCTION
    job.spec.constraints.add(attribute="zone", op=job_pb2.EQ, values=["a"])
    job.spec.constraints.add(attribute="memory-gb", op=job_pb2.GE, values=["64"], preferred=True)
    job.spec.tolerations.add(key="spot")
    job.spec.tolerations.add(key="team", value="vision")
    job.spec.timeout.FromSeconds(7200)
    job.spec.scheduling_timeout.FromSeconds(90)
    job.spec.max_task_failures = 2
    job.retries = 5
    controller.put(job)
    assert iris(person, controller, "job", "status", "train") == 0
    facts = {
        line.partition("  ")[0]: line.partition("  ")[2].strip()
        for line in person.stdout.splitlines()
    }
    assert facts["band"] == "production"
    assert facts["constraints"] == "zone = a"
    assert facts["prefers"] == "memory-gb >= 64"
    assert facts["tolerates"] == "spot; team=vision"
    assert facts["limits"] == "scheduling timeout 1m30s; timeout 2h; 2 tasks may fail"
    assert facts["retries"] == "5"


def test_status(person: FakePerson, controller: RunningController) -> None:
    controller.put(a_job())
    assert iris(person, controller, "job", "status", "train") == 0
    text = person.stdout
    assert "command    python3 train.py" in text
    assert ["0", "running", "cpu-1/vm-0", "1"] in [row.split() for row in text.splitlines()]


def test_logs_of_a_job_by_its_bare_name(person: FakePerson, controller: RunningController) -> None:
    controller.put(a_job())
    controller.write("/ann/train/0", "one", "two", "three")
    assert iris(person, controller, "job", "logs", "train", "--tail", "2") == 0
    assert iris(person, controller, "job", "logs", "train/0", "--since", "1h") == 0
    assert person.stdout == "two\nthree\none\ntwo\nthree\n"
    requests = controller.fake.requests["TailLogs"]
    assert [(request.id, request.tail) for request in requests] == [
        ("/ann/train", 2),
        ("/ann/train/0", 0),
    ]
    assert not requests[0].HasField("since")
    assert requests[1].HasField("since")


def test_logs_by_pattern_and_stream(person: FakePerson, controller: RunningController) -> None:
    controller.put(a_job())
    line = ["job", "logs", "train", "--grep", "loss=[0-9]", "--stream", "stderr"]
    assert iris(person, controller, *line) == 0
    (request,) = controller.fake.requests["TailLogs"]
    assert (request.grep, list(request.streams)) == ("loss=[0-9]", [job_pb2.STDERR])
    assert iris(person, controller, "job", "logs", "train", "--stream", "stdin") == 2


def test_a_job_that_is_not_there(person: FakePerson, controller: RunningController) -> None:
    assert iris(person, controller, "job", "logs", "train") == 1
    assert person.stderr.splitlines()[0] == "iris: There is no job /ann/train."


def test_cancel(person: FakePerson, controller: RunningController) -> None:
    controller.put(a_job())
    assert iris(person, controller, "job", "cancel", "train") == 0
    assert person.stderr.splitlines()[-1] == "iris: /ann/train: killed"


def test_explain(person: FakePerson, controller: RunningController) -> None:
    controller.put(a_job())
    assert iris(person, controller, "job", "explain", "/ann/train") == 0
    assert "task 0 running on cpu-1/vm-0" in person.stdout


def test_cluster_status(person: FakePerson, controller: RunningController) -> None:
    status = controller.fake.status
    status.cluster, status.version = "fake", "1.2.3"
    status.machine.total.cpu_millis = 2000
    group = status.groups.add(name="tpu", platform="local", vms_per_slice=4, max_slices=1)
    group.accelerator_variant = "v5litepod-16"
    group.slices.add(slice_id="tpu-1", state=cluster_pb2.VM_READY)
    status.decisions.add(
        action=cluster_pb2.SCALE_UP,
        reason=cluster_pb2.DEMAND,
        summary="bought tpu-1 for /ann/train",
    )
    assert iris(person, controller, "cluster", "status") == 0
    assert "machine  2 cores (nothing taken)" in person.stdout
    assert "4 VMs (v5litepod-16)" in person.stdout
    assert "bought tpu-1 for /ann/train" in person.stdout


def test_cluster_status_says_which_workers_take_no_work(
    person: FakePerson, controller: RunningController
) -> None:
    for name in ("w1", "w2", "w3", "w4"):
        controller.fake.status.workers.add(worker_id=name, connected=name != "w4")
    workers = controller.fake.status.workers
    workers[1].problems.add(check="disk", text="120 MiB free, needs 1 GiB")
    workers[2].draining = True
    assert iris(person, controller, "cluster", "status") == 0
    text = " ".join(person.stdout.split())
    for line in (
        "w1 connected",
        "w2 unhealthy: disk: 120 MiB free, needs 1 GiB",
        "w3 draining",
        "w4 silent",
    ):
        assert line in text


def test_cluster_status_says_where_vms_stand_and_why(
    person: FakePerson, controller: RunningController
) -> None:
    group = controller.fake.status.groups.add(name="cpu", platform="manual", max_slices=3)
    one = group.slices.add(slice_id="cpu-1", scale_group="cpu", state=cluster_pb2.VM_BOOTING)
    up = one.vms.add(vm_id="cpu-1/0", state=cluster_pb2.VM_READY)
    for second, state in enumerate((cluster_pb2.VM_REQUESTING, cluster_pb2.VM_BOOTING, up.state)):
        up.phases.add(state=state).began_at.FromSeconds(2 * second)
    one.vms.add(vm_id="cpu-1/1", state=cluster_pb2.VM_BOOTING, step="shipping Iris")
    one.vms.add(vm_id="cpu-1/2", state=cluster_pb2.VM_FAILED, problem="no disk on host2")
    assert iris(person, controller, "cluster", "status") == 0
    lines = [" ".join(line.split()) for line in person.stdout.splitlines() if "cpu-1/" in line]
    assert [line.split()[0] for line in lines] == ["cpu-1/1", "cpu-1/2", "cpu-1/0"]
    assert lines[0].startswith("cpu-1/1 cpu booting ")
    assert lines[0].endswith(" shipping Iris")
    assert lines[1].endswith(" no disk on host2")
    assert lines[2].startswith("cpu-1/0 cpu ready ")
    assert lines[2].endswith(" requesting 2.0 s, booting 2.0 s")


def test_the_log_of_a_vm(person: FakePerson, controller: RunningController) -> None:
    controller.fake.vm_logs["cpu-1/0"] = ["12:00:00.000 booting", "\x1b[2J no disk"]
    assert iris(person, controller, "cluster", "vm-log", "cpu-1/0") == 0
    assert person.stdout == "12:00:00.000 booting\n\\x1b[2J no disk\n"
    assert iris(person, controller, "cluster", "vm-log", "cpu-1/0", "--tail", "1") == 0
    assert person.stdout.count("booting") == 1
    assert iris(person, controller, "cluster", "vm-log", "cpu-1/0", "--tail=-1") == 2
    assert iris(person, controller, "cluster", "vm-log", "x") == 1
    assert "There is no VM 'x'" in person.stderr


def test_a_fault_is_injected_where_that_is_allowed(
    person: FakePerson, controller: RunningController
) -> None:
    command = ("cluster", "inject-fault", "kill", "cpu-1/0")
    assert iris(person, controller, *command) == 1
    assert "does not let anybody break things" in person.stderr
    controller.fake.status.fault_injection = True
    assert iris(person, controller, *command) == 0
    assert person.stderr.splitlines()[-1] == "iris: cpu-1/0 was killed"
    delay = ("cluster", "inject-fault", "delay", "cpu", "--count", "2", "--delay", "1m")
    assert iris(person, controller, *delay) == 0
    asked = controller.fake.requests["InjectFault"][-1]
    assert (asked.kind, asked.target, asked.count, asked.delay.seconds) == (
        controller_pb2.FAULT_DELAY,
        "cpu",
        2,
        60,
    )
    assert iris(person, controller, "cluster", "inject-fault", "delay", "cpu") == 2
    assert iris(person, controller, "cluster", "inject-fault", "explode", "cpu") == 2


def test_a_worker_is_drained_and_takes_work_again(
    person: FakePerson, controller: RunningController
) -> None:
    worker = controller.fake.status.workers.add(worker_id="w1", connected=True, attempts=1)
    assert iris(person, controller, "cluster", "drain", "w1") == 0
    assert worker.draining
    assert person.stderr == "iris: w1 takes no new tasks; it still has 1 task\n"
    assert iris(person, controller, "cluster", "undrain", "w1") == 0
    assert not worker.draining
    assert person.stderr.splitlines()[-1] == "iris: w1 is connected; it has 1 task"
    assert iris(person, controller, "cluster", "drain", "w9") == 1
    assert "There is no worker w9" in person.stderr


def test_backup_prints_where_it_is(person: FakePerson, controller: RunningController) -> None:
    assert iris(person, controller, "cluster", "backup") == 0
    assert person.stdout == "/state/backups/one.db\n"
    assert person.stderr == "iris: 4 KiB; without bundles and logs\n"


def test_restore_needs_to_know_where(person: FakePerson, tmp_path: Path) -> None:
    assert run_command_line(["cluster", "restore", "x.db"], person.context) == 2
    assert f"0 clusters have their state in {tmp_path / 'iris'}." in person.stderr
    for name in ("one", "two"):
        (tmp_path / "iris" / name).mkdir(parents=True)
        (tmp_path / "iris" / name / "config.yaml").touch()
    assert run_command_line(["cluster", "restore", "x.db"], person.context) == 2
    assert "2 clusters have their state" in person.stderr
    assert str(tmp_path / "iris" / "two") in person.stderr


def test_restoring_an_address_is_refused(person: FakePerson, controller: RunningController) -> None:
    assert iris(person, controller, "cluster", "restore", "x.db") == 2
    assert "--state-dir" in person.stderr


def test_restore_says_what_became_of_what_was_there(
    person: FakePerson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "iris" / "one"
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    asked: list[tuple[Path, Path]] = []
    kept: list[Path | None] = [folder / "old.db", None]

    def restore(state: StateFolder, path: Path) -> Path | None:
        asked.append((state.path, path))
        return kept.pop(0)

    monkeypatch.setattr("iris.cli.cluster_commands.restore_back_up", restore)
    assert run_command_line(["cluster", "restore", "x.db"], person.context) == 0
    restored = f"iris: restored {tmp_path / 'x.db'} in {folder}\n"
    assert person.stderr == f"{restored}iris: what was there is kept: {folder / 'old.db'}\n"
    other = tmp_path / "other"
    line = ["cluster", "restore", "/y.db", "--state-dir", "other"]
    assert run_command_line(line, person.context) == 0
    assert person.stderr.endswith(f"iris: restored /y.db in {other}\n")
    assert asked == [(folder, tmp_path / "x.db"), (other, Path("/y.db"))]


def test_stopping_an_address_is_refused(person: FakePerson, controller: RunningController) -> None:
    assert iris(person, controller, "cluster", "stop") == 2
    assert "--state-dir" in person.stderr


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01"])
def test_times_that_are_none(person: FakePerson, controller: RunningController, since: str) -> None:
    assert iris(person, controller, "job", "logs", "train", "--since", since) == 2
    assert f"--since {since!r} is neither a duration nor a time" in person.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """As `iris ... | head -1` makes it."""
    reader, writer = os.pipe()
    os.close(reader)
    program = "import sys; from iris.cli.main import main; sys.argv[1:] = ['job', 'run', '--help']; main()"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_output_is_fetched(person: FakePerson, controller: RunningController) -> None:
    folder = person.context.folder / "model"
    folder.mkdir()
    (folder / "weights").write_text("1 2 3")
    archive = person.context.folder / "archive"
    with archive.open("wb") as out:
        digest = pack_directory(folder, out).digest
    controller.fake.bundles[digest] = archive.read_bytes()
    output = job_pb2.TaskOutput(name="model", digest=digest, bytes=2048)
    controller.fake.outputs["/ann/train/0", "model"] = output
    assert iris(person, controller, "job", "output", "train/0", "model", "fetched") == 0
    assert (person.context.folder / "fetched" / "weights").read_text() == "1 2 3"
    assert "model of /ann/train/0 is in" in person.stderr
    assert "2 KiB packed" in person.stderr
    assert iris(person, controller, "job", "output", "train", "model", "again") == 2
    assert "Its first task is train/0" in person.stderr
    assert iris(person, controller, "job", "output", "train/0", "model", "no/where") == 2
    assert "is no folder" in person.stderr


def test_what_a_task_published_is_shown(person: FakePerson, controller: RunningController) -> None:
    job = a_job()
    job.tasks[0].attempts[0].outputs.add(name="model", digest="sha256:" + "0" * 64, bytes=2048)
    controller.put(job)
    controller.fake.explanations[job.job_id] = job_pb2.JobExplanation(
        job_id=job.job_id, state=job.state, band=job_pb2.INTERACTIVE
    )
    assert iris(person, controller, "job", "status", "train") == 0
    assert "outputs model" in person.stdout
