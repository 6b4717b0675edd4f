"""Command lines and what they mean, as tables."""

import pytest

from iris.cli.arguments import (
    Command,
    JobCancel,
    JobExplain,
    JobList,
    JobLogs,
    JobOutput,
    JobRun,
    JobStatus,
    parse_arguments,
)
from iris.cli.cluster_arguments import (
    ClusterAction,
    ClusterDrain,
    ClusterFlags,
    ClusterLogs,
    ClusterRestore,
    ClusterUndrain,
)
from iris.cli.errors import UsageError

HERE = ClusterFlags()


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (["job", "run", "--", "true"], JobRun(HERE, ("true",))),
        (["job", "output", "train/0", "model", "dir"], JobOutput(HERE, "train/0", "model", "dir")),
        (
            [
                "job",
                "run",
                "--name",
                "x",
                "--cpu=500m",
                "--memory",
                "1GiB",
                "--disk",
                "2GB",
                "--",
                "python3",
                "a.py",
            ],
            JobRun(HERE, ("python3", "a.py"), name="x", cpu="500m", memory="1GiB", disk="2GB"),
        ),
        (
            [
                "job",
                "run",
                "--tpu",
                "v5litepod-16",
                "--gang-by",
                "tpu-name",
                "--replicas",
                "4",
                "--",
                "x",
            ],
            JobRun(HERE, ("x",), tpu="v5litepod-16", gang_by="tpu-name", replicas=4),
        ),
        (
            [
                "job",
                "run",
                "--env",
                "A=1",
                "--env",
                "B=2",
                "--constraint",
                "a=b",
                "--port",
                "p",
                "--",
                "x",
            ],
            JobRun(HERE, ("x",), env=("A=1", "B=2"), constraint=("a=b",), port=("p",)),
        ),
        (
            [
                "job",
                "run",
                "--retries",
                "3",
                "--preemption-retries",
                "0",
                "--stop-grace",
                "5s",
                "--",
                "x",
            ],
            JobRun(HERE, ("x",), retries=3, preemption_retries=0, stop_grace="5s"),
        ),
        (
            [
                "job",
                "run",
                "--priority=batch",
                "--timeout=2h",
                "--scheduling-timeout=10m",
                "--max-task-failures=3",
                "--toleration=spot",
                "--toleration=team=vision",
                "--prefer=zone",
                "--existing=replace",
                "--outlives-parent",
                "--lock-file=uv.lock",
                "--wheelhouse=wheels",
                "--python=3.11",
                "--setup=make data",
                "--setup=true",
                "--",
                "x",
            ],
            JobRun(
                HERE,
                ("x",),
                prefer=("zone",),
                toleration=("spot", "team=vision"),
                priority="batch",
                scheduling_timeout="10m",
                timeout="2h",
                max_task_failures=3,
                existing="replace",
                outlives_parent=True,
                lock_file="uv.lock",
                wheelhouse="wheels",
                python="3.11",
                setup=("make data", "true"),
            ),
        ),
        (
            ["job", "run", "--bundle-dir", "src", "--detach", "--", "x"],
            JobRun(HERE, ("x",), bundle_dir="src", detach=True),
        ),
        # What stands behind -- is the job's, whatever it looks like.
        (
            ["job", "run", "--no-bundle", "--", "x", "--name", "y", "--", "--detach"],
            JobRun(HERE, ("x", "--name", "y", "--", "--detach"), no_bundle=True),
        ),
        (["job", "list"], JobList(HERE)),
        (
            ["job", "list", "--user", "ann", "--active", "--limit", "3"],
            JobList(HERE, "ann", True, 3),
        ),
        (["job", "status", "run-7"], JobStatus(HERE, "run-7")),
        (["job", "logs", "-f", "run-7/2"], JobLogs(HERE, "run-7/2", follow=True)),
        (
            ["job", "logs", "run-7", "--tail", "5", "--since", "10m"],
            JobLogs(HERE, "run-7", tail=5, since="10m"),
        ),
        (
            ["job", "logs", "run-7", "--grep", "a.b", "--stream", "stderr", "--stream", "system"],
            JobLogs(HERE, "run-7", grep="a.b", stream=("stderr", "system")),
        ),
        (["job", "cancel", "/ann/run-7"], JobCancel(HERE, "/ann/run-7")),
        (["job", "explain", "run-7"], JobExplain(HERE, "run-7")),
        (
            ["cluster", "status", "--state-dir", "/s"],
            ClusterAction(ClusterFlags(state_dir="/s"), "status"),
        ),
        (
            ["--state-dir", "/s", "cluster", "status"],
            ClusterAction(ClusterFlags(state_dir="/s"), "status"),
        ),
        (
            ["--state-dir=/s", "cluster", "status", "--address=a:1"],
            ClusterAction(ClusterFlags(address="a:1", state_dir="/s"), "status"),
        ),
        (["cluster", "stop"], ClusterAction(HERE, "stop")),
        (["cluster", "start", "--config=c"], ClusterAction(ClusterFlags(config="c"), "start")),
        (["--config=c", "cluster", "restart"], ClusterAction(ClusterFlags(config="c"), "restart")),
        (["cluster", "reload", "--config", "c"], ClusterAction(ClusterFlags(config="c"), "reload")),
        (["cluster", "logs", "--tail", "3"], ClusterLogs(HERE, 3)),
        (["cluster", "drain", "cpu-1/vm-0"], ClusterDrain(HERE, "cpu-1/vm-0")),
        (["cluster", "undrain", "cpu-1/vm-0"], ClusterUndrain(HERE, "cpu-1/vm-0")),
        (["cluster", "backup"], ClusterAction(HERE, "backup")),
        (
            ["cluster", "restore", "x.db", "--state-dir=/s"],
            ClusterRestore(ClusterFlags(state_dir="/s"), "x.db"),
        ),
        (
            ["job", "list", "--address", "h:1", "--token-file", "/t"],
            JobList(ClusterFlags(address="h:1", token_file="/t")),
        ),
    ],
)
def test_what_a_command_line_means(line: list[str], command: Command) -> None:
    assert parse_arguments(line) == command


@pytest.mark.parametrize(
    ("line", "problem", "hint"),
    [
        # A mistyped flag is never taken for part of the command, nor the other way round.
        (
            ["job", "run", "--replcas", "3", "--", "x"],
            "`iris job run` has no flag --replcas",
            "Did you mean --replicas?",
        ),
        (
            ["job", "run", "--replcas=3", "python3", "x.py"],
            "has no flag --replcas",
            "Did you mean --replicas?",
        ),
        (
            ["job", "run", "--lr", "3", "--", "x"],
            "has no flag --lr",
            "Flags of the job's own command go behind '--'.",
        ),
        (["job", "run", "--det", "--", "x"], "has no flag --det", "Did you mean --detach?"),
        (
            ["job", "run", "python3", "train.py", "--epochs", "3"],
            "The job's command, 'python3', has to stand behind '--'.",
            "Write: iris job run -- python3 train.py --epochs 3",
        ),
        (
            ["job", "run", "--cpu", "2", "--detach", "python3", "--name", "x"],
            "The job's command, 'python3', has to stand behind '--'.",
            "Write: iris job run --cpu 2 --detach -- python3 --name x",
        ),
        (
            ["job", "run", "x", "--", "y"],
            "The job's command, 'x', has to stand behind '--'.",
            "iris job run -- x -- y",
        ),
        (
            ["--state-dir=/s s", "job", "run", "python3", "train.py"],
            "The job's command, 'python3', has to stand behind '--'.",
            "Write: iris '--state-dir=/s s' job run -- python3 train.py",
        ),
        (
            ["--state-dir", "/s", "job", "run", "--name", "python3", "python3"],
            "The job's command, 'python3', has to stand behind '--'.",
            "Write: iris --state-dir /s job run --name python3 -- python3",
        ),
        (["--stat-dir=/s", "job", "list"], "has no flag --stat-dir", "Did you mean --state-dir?"),
        (["job", "run"], "There is no command to run.", "iris job run -- python3 train.py"),
        (["job", "run", "--"], "Nothing stands behind '--'.", "iris job run -- python3 train.py"),
        (
            ["job", "run", "--cpu", "--", "x"],
            "--cpu: expected one argument",
            "`iris job run --help`",
        ),
        (
            ["job", "run", "--replicas", "many", "--", "x"],
            "invalid int value: 'many'",
            "`iris job run --help`",
        ),
        (["job", "list", "--", "x"], "`iris job list` takes no command.", "Leave out"),
        (
            ["job", "list", "run-7"],
            "`iris job list` does not take 'run-7'.",
            "`iris job list --help`",
        ),
        (["job", "list", "--limit", "0"], "0 is less than 1", "`iris job list --help`"),
        (["job", "logs"], "required: JOB", "`iris job logs --help`"),
        (["cluster", "restore"], "required: FILE", "`iris cluster restore --help`"),
        (["job", "run", "--priority=high", "--", "x"], "invalid choice: 'high'", "`iris job run"),
        (["job", "run", "--existing=kill", "--", "x"], "invalid choice: 'kill'", "`iris job run"),
        (
            ["job", "logs", "a", "--folow"],
            "`iris job logs` has no flag --folow",
            "Did you mean --follow?",
        ),
        (["job", "rum", "--", "x"], "rum", "`iris job --help`"),
        (["jobs"], "jobs", "`iris --help`"),
        ([], "required: COMMAND", "`iris --help`"),
    ],
)
def test_what_is_wrong_with_a_command_line(line: list[str], problem: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_arguments(line)
    assert problem in caught.value.problem
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "line", [["--help"], ["job", "--help"], ["job", "run", "--help"], ["--version"]]
)
def test_help_ends_well(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(line)
    assert caught.value.code == 0
    assert "iris" in capsys.readouterr().out
