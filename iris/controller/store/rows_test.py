"""What is written can be read by every later Iris: these words are on disks. A test that fails here
says that what is stored would be misread: give a new field another default, keep the enum's value,
or add a migration.
"""

from dataclasses import fields, replace
from datetime import timedelta
from enum import Enum

import msgspec
import pytest

from iris.controller.state.events import JobSubmitted, TimePassed
from iris.controller.state.records import JobRecord, StopIntent
from iris.controller.store import rows
from iris.controller.store.sample_records import JOB, NOW, SPEC
from iris.model.callables import CallableEntrypoint
from iris.model.constraints import ConstraintOp
from iris.model.environment import EnvironmentSpec
from iris.model.ids import JobId
from iris.model.job import Entrypoint, ExistingJobPolicy, JobSpec
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState
from iris.model.taints import Toleration

FULL = replace(
    SPEC,
    gang=None,
    bundle_digest="sha256:" + "0" * 64,
    max_retries_failure=1,
    max_retries_preemption=0,
    priority=PriorityBand.BATCH,
    tolerations=(Toleration("spot"),),
    max_task_failures=2,
    scheduling_timeout=timedelta(minutes=1),
    timeout=timedelta(hours=1),
    outlives_parent=True,
    environment=EnvironmentSpec("3.11", "uv.lock", "wheels", ("make data",)),
    task_timeout=timedelta(minutes=30),
)


def test_what_is_nothing_is_not_written_and_the_rest_is() -> None:
    plain = JobSpec(Entrypoint(("true",)), Resources(500))
    assert rows.SPEC.encode(plain) == (
        b'{"entrypoint":{"argv":["true"],"callable":null},"resources":{"cpu_millis":500,"memory_bytes":0,'
        b'"disk_bytes":0,"accelerators":[],"ports":0},"replicas":1,"max_retries_preemption":100,'
        b'"priority":"interactive"}'
    )
    record = JobRecord(JobId("/alice/job"), 1, plain, NOW)
    assert rows.JOB.encode(record) == (
        b'{"submitted_at":"2026-01-02T03:04:05.678901Z","state":"pending"}'
    )


def test_a_function_is_written_with_all_its_bytes() -> None:
    called = CallableEntrypoint(bytes(range(256)), "3.11", "train.main")
    spec = JobSpec(Entrypoint(callable=called), Resources(500))
    row = rows.SPEC.encode(spec)
    assert rows.decode_spec(row) == spec
    assert b'"argv":[],"callable":{"pickled":"AAECAwQF' in row
    assert b'"python":"3.11","name":"train.main"}' in row


def test_jobs_that_are_alike_share_a_specification_unless_it_is_large() -> None:
    small = rows.SPEC.encode(JobSpec(Entrypoint(("true",)), Resources(500)))
    called = CallableEntrypoint(bytes(1 << 20), "3.11", "train.main")
    large = rows.SPEC.encode(JobSpec(Entrypoint(callable=called), Resources(500)))
    assert rows.decode_spec(small) is rows.decode_spec(bytes(bytearray(small)))
    assert rows.decode_spec(large) is not rows.decode_spec(large)


def test_what_is_not_written_is_nothing() -> None:
    spec = rows.decode_spec(b'{"entrypoint":{"argv":["true"]},"resources":{"cpu_millis":500}}')
    assert spec == JobSpec(
        entrypoint=Entrypoint(("true",)),
        resources=Resources(500, 0, 0, (), 0),
        replicas=1,
        constraints=(),
        gang=None,
        env=(),
        bundle_digest="",
        port_names=(),
        max_retries_failure=0,
        max_retries_preemption=100,
        stop_grace=None,
        priority=PriorityBand.INTERACTIVE,
        tolerations=(),
        max_task_failures=0,
        scheduling_timeout=None,
        timeout=None,
        outlives_parent=False,
        environment=None,
        task_timeout=None,
    )
    row = b'{"submitted_at":"2026-01-02T03:04:05.678901Z"}'
    assert rows.JOB.decode(row, job_id="/alice/job", number=7, spec=spec) == JobRecord(
        job_id=JobId("/alice/job"),
        number=7,
        spec=spec,
        submitted_at=NOW,
        state=JobState.PENDING,
        error="",
        started_at=None,
        finished_at=None,
        retries=0,
        version=0,
        request_id="",
        placed_at=None,
    )


@pytest.mark.parametrize("spec", [SPEC, FULL])
def test_specifications_come_back_equal(spec: JobSpec) -> None:
    assert rows.decode_spec(rows.SPEC.encode(spec)) == spec
    if spec is FULL:  # nothing in it is as it is by default
        untouched = {
            field.name for field in fields(JobSpec) if getattr(spec, field.name) == field.default
        }
        assert untouched == {"gang"}


def test_jobs_and_their_submissions_come_back_equal() -> None:
    row = rows.JOB.encode(JOB)
    assert rows.JOB.decode(row, job_id=JOB.job_id, number=1, spec=SPEC) == JOB
    event = JobSubmitted(NOW, JOB.job_id, SPEC, "request-1", ExistingJobPolicy.KEEP)
    kind, spec = "JobSubmitted", rows.SPEC.encode(SPEC)
    assert rows.decode_event(kind, rows.SUBMITTED.encode(event), spec) == event
    assert rows.decode_event(kind, rows.encode(event), None) == event


def test_kinds_that_were_called_otherwise_are_still_known() -> None:
    event = rows.encode(TimePassed(NOW))
    assert rows.decode_event("RetryDue", event, None) == TimePassed(NOW)
    with pytest.raises(msgspec.ValidationError, match="no events called 'Nothing'"):
        rows.decode_event("Nothing", event, None)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            TaskState,
            {
                "pending", "assigned", "building", "running", "succeeded", "failed", "killed",
                "worker failed", "preempted", "unschedulable",
            },
        ),
        (JobState, {"pending", "running", "succeeded", "failed", "killed", "unschedulable"}),
        (PriorityBand, {"production", "interactive", "batch"}),
        (
            ConstraintOp,
            {"=", "!=", "exists", "does not exist", "in", ">", ">=", "<", "<="},
        ),
        (
            StopIntent,
            {
                "the gang is placed anew",
                "the task ends",
                "work of an earlier band takes its place; the task is placed anew",
                "the job has had its time; the task has failed",
            },
        ),
        (ExistingJobPolicy, {"error", "keep", "replace"}),
    ],
)  # fmt: skip
def test_words_that_are_stored_still_mean_something(kind: type[Enum], words: set[str]) -> None:
    assert words <= {each.value for each in kind}
