"""A file that version 1 wrote is brought to this version with all that it holds."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from iris.controller.state.events import JobSubmitted, SliceGone, TimePassed
from iris.controller.state.records import AttemptRecord, JobRecord, StopIntent, TaskRecord, Usage
from iris.controller.store import Changes, Database, restore
from iris.controller.store.sample_records import change, job, ran, rows, submitted
from iris.controller.store.schema import MIGRATIONS, VERSION
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.errors import DataLoss
from iris.model.ids import AttemptUid, JobId, SliceId, WorkerId
from iris.model.job import Entrypoint, Gang, JobSpec
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState

# As version 1 wrote them: every field by name, and none that came later.
SPEC_1 = (
    '{"entrypoint":{"argv":["python3","train.py"]},"resources":{"cpu_millis":500,'
    '"memory_bytes":1073741824,"disk_bytes":0,"accelerators":[["tpu/v5litepod-16",4]]},'
    '"replicas":4,"constraints":[{"attribute":"zone","op":"in","values":["a","b"]}],'
    '"gang":{"group_by":"tpu-name"},"env":[["A","ü"]],"bundle_digest":"","port_names":["http"],'
    '"max_retries_failure":0,"max_retries_preemption":7,"stop_grace":"PT1.5S"}'
)
JOB_1 = (
    '{"job_id":"/alice/train","number":3,"spec":SPEC,"submitted_at":"2026-01-02T03:04:05.678901Z",'
    '"state":"running","error":"","started_at":"2026-01-02T03:04:06Z","finished_at":null,'
    '"retries":1,"version":3}'
).replace("SPEC", SPEC_1)
TASK_1 = (
    '{"index":2,"state":"running","failures":1,"preemptions":0,"attempts":2,'
    '"attempt_uid":"attempt-1","not_before":null,"avoid":["w/1"],"error":""}'
)
ATTEMPT_1 = (
    '{"uid":"attempt-1","job_id":"/alice/train","index":2,"number":1,"worker_id":"w/0",'
    '"incarnation_id":"inc-1","assigned_at":"2026-01-02T03:04:05.678901Z","state":"failed",'
    '"started_at":null,"finished_at":null,"exit_code":3,"signal":null,"error":"",'
    '"usage":{"cpu_seconds":1.50,"memory_bytes":2,"peak_memory_bytes":3,"processes":4},'
    '"logs_complete":true,"ports":[["http",8080]],"stop":"the task ends","stop_reason":"enough"}'
)
WORKER_1 = (
    '{"worker_id":"w/0","incarnation_id":"inc-1","slice_id":"s","scale_group":"cpu",'
    '"total":{"cpu_millis":1000,"memory_bytes":0,"disk_bytes":0,"accelerators":[]},'
    '"attributes":[["a","b"]],"host":"127.0.0.1","isolation":"none","version":"0",'
    '"attached_at":"2026-01-02T03:04:05.678901Z"}'
)
SUBMITTED_1 = '{"at":"2026-01-02T03:04:05.678901Z","job_id":"/alice/train","spec":SPEC}'.replace(
    "SPEC", SPEC_1
)
RETRY_DUE_1 = '{"at":"2026-01-02T03:04:07+01:00"}'
GONE_1 = '{"at":"2026-01-02T03:04:08Z","slice_id":"s","reason":"idle","jitter":0.5}'

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SPEC = JobSpec(
    entrypoint=Entrypoint(("python3", "train.py")),
    resources=Resources(500, 1 << 30, 0, (("tpu/v5litepod-16", 4),), ports=1),
    replicas=4,
    constraints=(Constraint("zone", ConstraintOp.IN, ("a", "b"), required=True),),
    gang=Gang("tpu-name"),
    env=(("A", "ü"),),
    port_names=("http",),
    max_retries_failure=0,
    max_retries_preemption=7,
    stop_grace=timedelta(seconds=1.5),
    priority=PriorityBand.INTERACTIVE,
)
JOB = JobRecord(
    JobId("/alice/train"), 3, SPEC, AT, JobState.RUNNING,
    started_at=datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC), retries=1, version=3,
)  # fmt: skip
TASK = TaskRecord(
    2, TaskState.RUNNING, failures=1, attempts=2, attempt_uid=AttemptUid("attempt-1"),
    avoid=(WorkerId("w/1"),),
)  # fmt: skip
ATTEMPT = AttemptRecord(
    AttemptUid("attempt-1"), JOB.job_id, 2, 1, WorkerId("w/0"), "inc-1", AT, TaskState.FAILED,
    exit_code=3, usage=Usage(1.5, 2, 3, 4), ports=(("http", 8080),), stop=StopIntent.KILL,
    stop_reason="enough",
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of version 1."""
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"BEGIN; {MIGRATIONS[0]} PRAGMA user_version = 1; COMMIT;")
        connection.execute("PRAGMA journal_mode = WAL")

        def put(statement: str, *values: object) -> None:
            row = tuple(v.encode() if str(v).startswith("{") else v for v in values)
            connection.execute(statement, row)

        for kind, event in (
            ("JobSubmitted", SUBMITTED_1),
            ("RetryDue", RETRY_DUE_1),
            ("SliceGone", GONE_1),
        ):
            put("INSERT INTO events (kind, event) VALUES (?, ?)", kind, event)
        put("INSERT INTO jobs VALUES (?, ?, ?)", "/alice/train", 3, JOB_1)
        put("INSERT INTO tasks VALUES (?, ?, ?)", "/alice/train", 2, TASK_1)
        put("INSERT INTO attempts VALUES (?, ?)", "attempt-1", ATTEMPT_1)
        put("INSERT INTO workers VALUES (?, ?)", "w/0", WORKER_1)
    return path


def test_everything_is_there_afterwards(path: Path) -> None:
    database = Database.open(path)
    found = database.load()
    assert found.jobs == (JOB,)
    assert found.tasks == {JOB.job_id: (TASK,)}
    assert found.attempts == (ATTEMPT,)
    assert [worker.total for worker in found.workers] == [Resources(1000, ports=0)]
    assert found.next_number == 4
    assert list(database.events()) == [
        JobSubmitted(AT, JOB.job_id, SPEC),
        TimePassed(datetime(2026, 1, 2, 2, 4, 7, tzinfo=UTC)),
        SliceGone(datetime(2026, 1, 2, 3, 4, 8, tzinfo=UTC), SliceId("s"), "idle", 0.5),
    ]
    database.close()
    assert rows(path, "PRAGMA user_version") == [(VERSION,)]
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]


def test_it_is_used_like_any_other(path: Path) -> None:
    database = Database.open(path)
    database.commit([], Changes((replace(JOB, state=JobState.KILLED),), pruned=()))
    new = job(4)
    later = AT + timedelta(days=1)
    database.commit(submitted(new, at=later), Changes((new,)))
    database.commit([], ran(new))
    database.commit([], Changes(pruned=(JOB.job_id,)))
    assert database.prune_events(later) == 3
    assert database.load().jobs == ran(new).jobs
    assert list(database.events()) == submitted(new, at=later)
    database.close()
    assert rows(path, "SELECT number FROM specs") == [(4,)]
    again = Database.open(path)
    assert again.load().attempts == ran(new).attempts
    again.close()


def test_old_events_can_go_in_steps(path: Path) -> None:
    change(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM n WHERE i < 4500) "
        "INSERT INTO events SELECT i, 'SliceGone', "
        f"CAST('{GONE_1}' AS BLOB) FROM n",
    )
    database = Database.open(path)
    steps = []
    while deleted := database.prune_events(AT + timedelta(days=1)):
        steps.append(deleted)
    assert steps == [1000] * 4
    database.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE tasks SET job_id = '/alice/none'", "not a version 1 that is whole"),
        (
            "UPDATE attempts SET record = "
            "replace(CAST(record AS TEXT), '/alice/train', '/alice/none')",
            "not a version 1 that is whole",
        ),
        ("UPDATE jobs SET record = CAST('{' AS BLOB)", "not a version 1 that is whole"),
        ("DELETE FROM events WHERE id = 2", "it has 2 events of the 3 that were committed"),
    ],
)
def test_a_damaged_one_is_refused_and_stays_as_it_is(path: Path, statement: str, said: str) -> None:
    change(path, statement)
    before = path.read_bytes()
    with pytest.raises(DataLoss, match=f"damaged: {said}"):
        Database.open(path)
    assert path.read_bytes() == before
    with pytest.raises(DataLoss, match=said):
        restore(path, path.with_name("restored.db"))
    assert {each.name for each in path.parent.iterdir()} == {
        "state.db", "state.db.lock", "restored.db.lock",
    }  # fmt: skip


def test_a_back_up_of_version_1_is_restored_as_one_of_this(path: Path) -> None:
    target = path.with_name("restored.db")
    before = path.read_bytes()
    restore(path, target)
    assert path.read_bytes() == before
    assert rows(target, "PRAGMA user_version") == [(VERSION,)]
    database = Database.open(target)
    assert database.load().jobs == (JOB,)
    database.close()


def test_a_kill_between_the_tables_and_the_vacuum_is_made_good(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"BEGIN; {MIGRATIONS[1]} PRAGMA user_version = 2; COMMIT;")
    assert rows(path, "PRAGMA auto_vacuum") == [(0,)]
    database = Database.open(path)
    assert database.load().jobs == (JOB,)
    database.close()
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]
