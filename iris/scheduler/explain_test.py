"""What is said of a job that waits: the rule that really stopped it, the nearest miss in numbers,
and what would help.
"""

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.ids import JobId, WorkerId, task_id
from iris.model.job import Gang
from iris.model.pending import PendingCode, PendingReason, RuleCount
from iris.model.resources import GIB, Resources
from iris.scheduler.schedule import schedule
from iris.scheduler.snapshot import PendingJob, ReadyTask, Snapshot, WorkerView

CHIP = "tpu/v5litepod-16"
FOUR_CHIPS = Resources(1000, 0, 0, ((CHIP, 4),))


def worker(
    name: str, total: Resources, free: Resources | None = None, problem: str = "", **attributes: str
) -> WorkerView:
    spelled = {key.replace("_", "-"): value for key, value in attributes.items()}
    free = total if free is None else free
    return WorkerView(WorkerId(name), total, free, spelled, not problem, problem)


def job(
    need: Resources,
    *constraints: Constraint,
    group_by: str = "",
    tasks: int = 1,
    name: str = "j",
) -> PendingJob:
    job_id = JobId(f"/u/{name}")
    ready = tuple(ReadyTask(task_id(job_id, index)) for index in range(tasks))
    return PendingJob(job_id, need, constraints, Gang(group_by) if group_by else None, ready)


def why(workers: list[WorkerView], *jobs: PendingJob) -> PendingReason:
    """The reason of the last of the jobs."""
    last = schedule(Snapshot(tuple(workers), jobs)).unplaced[-1]
    assert last.job_id == jobs[-1].job_id
    return last.reason


def test_no_workers() -> None:
    reason = why([], job(Resources(2000, 1 * GIB)))
    assert reason == PendingReason(PendingCode.NO_WORKERS, needed="2 cores, 1 GiB memory")


def test_too_small_a_machine() -> None:
    reason = why([worker("a", Resources(2000)), worker("b", Resources(4000))], job(Resources(8000)))
    assert (reason.code, reason.subject) == (PendingCode.INSUFFICIENT_RESOURCE, "cpu")
    assert (reason.needed, reason.nearest) == ("8 cores", "4 cores on b")
    assert reason.rules == (RuleCount(PendingCode.INSUFFICIENT_RESOURCE, "cpu", 2),)
    assert reason.hint == "No worker that exists has that much."


def test_a_busy_machine_is_nearer_than_a_small_one() -> None:
    workers = [
        worker("small", Resources(7000)),
        worker("busy", Resources(16000), Resources(1500)),
    ]
    reason = why(workers, job(Resources(8000)))
    assert (reason.subject, reason.nearest) == ("cpu", "1.5 cores free on busy")
    assert reason.hint == "There is room once enough of what runs has ended."


def test_the_resource_that_is_furthest_from_enough_is_named() -> None:
    free = Resources(900, 1 * GIB, 10 * GIB)
    reason = why(
        [worker("a", Resources(4000, 8 * GIB, 10 * GIB), free)],
        job(Resources(1000, 4 * GIB, 10 * GIB)),
    )
    assert (reason.subject, reason.needed) == ("memory", "4 GiB memory")
    assert reason.nearest == "1 GiB memory free on a"


def test_accelerators_that_are_not_there_are_named_before_a_full_processor() -> None:
    reason = why([worker("a", Resources(1000), Resources(0))], job(FOUR_CHIPS))
    assert (reason.subject, reason.nearest) == (CHIP, f"0 {CHIP} on a")


def test_a_missing_attribute_is_never_said_to_be_a_lack_of_resources() -> None:
    workers = [worker("a", Resources(1000), Resources(0), zone="eu"), worker("b", Resources(1000))]
    reason = why(workers, job(Resources(64_000), Constraint("gpu", ConstraintOp.EQ, ("h100",))))
    assert (reason.code, reason.subject) == (PendingCode.CONSTRAINT_UNMET, "gpu")
    assert (reason.needed, reason.nearest) == ("gpu = h100", "no worker has this attribute")
    assert reason.rules == (RuleCount(PendingCode.CONSTRAINT_UNMET, "gpu", 2),)
    assert reason.hint == "Attributes of workers are zone."
    assert "cpu" not in reason.summary()


def test_the_values_that_there_are_instead_are_named() -> None:
    workers = [worker(f"w{i}", Resources(1000), zone=f"z{i}") for i in range(5)]
    reason = why(workers, job(Resources(1000), Constraint("zone", ConstraintOp.EQ, ("z9",))))
    assert reason.nearest == "zone = z0, z1, z2 and 2 more"


def test_the_constraint_that_workers_came_furthest_with_is_named() -> None:
    workers = [
        worker("a", Resources(1000), zone="us"),
        worker("b", Resources(1000), zone="eu", disk="hdd"),
    ]
    rules = (
        Constraint("zone", ConstraintOp.EQ, ("eu",)),
        Constraint("disk", ConstraintOp.EQ, ("ssd",)),
    )
    reason = why(workers, job(Resources(1000), *rules))
    assert (reason.subject, reason.nearest) == ("disk", "disk = hdd")
    assert set(reason.rules) == {
        RuleCount(PendingCode.CONSTRAINT_UNMET, "zone", 1),
        RuleCount(PendingCode.CONSTRAINT_UNMET, "disk", 1),
    }


def test_workers_that_take_no_work() -> None:
    workers = [
        worker("a", Resources(1000), problem="draining"),
        worker("b", Resources(1000), problem="draining"),
        worker("c", Resources(100)),
    ]
    reason = why(workers, job(Resources(1000)))
    assert (reason.code, reason.subject) == (PendingCode.WORKERS_UNAVAILABLE, "draining")
    assert reason.rules == (
        RuleCount(PendingCode.WORKERS_UNAVAILABLE, "draining", 2),
        RuleCount(PendingCode.INSUFFICIENT_RESOURCE, "cpu", 1),
    )


def test_a_gang_without_any_group() -> None:
    reason = why([worker("a", Resources(8000), zone="x")], job(FOUR_CHIPS, group_by="tpu-name"))
    assert (reason.code, reason.subject) == (PendingCode.CONSTRAINT_UNMET, "tpu-name")
    assert reason.nearest == "no worker has this attribute"


def tpu_slice(name: str, size: int, free: int) -> list[WorkerView]:
    return [
        worker(
            f"{name}/{i}",
            FOUR_CHIPS,
            FOUR_CHIPS if i < free else Resources(),
            tpu_name=name,
            tpu_worker_id=str(i),
        )
        for i in range(size)
    ]


def test_a_gang_is_told_which_group_is_nearest() -> None:
    workers = tpu_slice("s1", 4, free=1) + tpu_slice("s2", 4, free=3)
    reason = why(workers, job(FOUR_CHIPS, group_by="tpu-name", tasks=4))
    assert (reason.code, reason.subject) == (PendingCode.GANG_INCOMPLETE, "tpu-name")
    assert reason.needed == f"4 times 1 core, 4 {CHIP} with one tpu-name"
    assert reason.nearest == "tpu-name = s2 with room for 3 of 4"
    assert reason.rules == (
        RuleCount(PendingCode.GANG_INCOMPLETE, "tpu-name", 4),
        RuleCount(PendingCode.INSUFFICIENT_RESOURCE, CHIP, 4),
    )


def test_a_gang_that_no_group_could_ever_hold() -> None:
    reason = why(tpu_slice("s1", 4, free=4), job(FOUR_CHIPS, group_by="tpu-name", tasks=8))
    assert reason.nearest == "tpu-name = s1, which is the largest and holds 4"
    assert reason.hint == "No group that exists holds 8 such tasks."


def test_a_gang_on_a_busy_slice_waits_for_its_resources() -> None:
    reason = why(tpu_slice("s1", 4, free=0), job(FOUR_CHIPS, group_by="tpu-name", tasks=4))
    assert (reason.code, reason.subject) == (PendingCode.INSUFFICIENT_RESOURCE, CHIP)


def test_small_work_behind_a_gang_is_told_whom_it_waits_for() -> None:
    workers = tpu_slice("s1", 4, free=3)
    gang = job(FOUR_CHIPS, group_by="tpu-name", tasks=4, name="gang")
    reason = why(workers, gang, job(Resources(500), name="small"))
    assert (reason.code, reason.subject) == (PendingCode.WORKERS_RESERVED, "/u/gang")
    assert reason.hint == "The gang /u/gang came first; there is room once it has started or ended."
    assert why(workers, gang).code is PendingCode.GANG_INCOMPLETE


def test_jobs_that_ask_for_the_same_share_one_reason() -> None:
    answer = schedule(
        Snapshot(
            (worker("a", Resources(1000)),),
            tuple(job(Resources(2000), name=f"j{i}", tasks=2) for i in range(3)),
        )
    )
    assert [len(one.tasks) for one in answer.unplaced] == [2, 2, 2]
    assert len({one.reason for one in answer.unplaced}) == 1
