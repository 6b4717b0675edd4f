"""Where tasks are placed, by example: best fit, constraints, workers to be avoided, gangs and the
room they hold.
"""

from collections.abc import Iterable

import pytest

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.ids import JobId, WorkerId, task_id
from iris.model.job import Gang
from iris.model.resources import GIB, Resources
from iris.scheduler.schedule import schedule
from iris.scheduler.snapshot import PendingJob, ReadyTask, Schedule, Snapshot, WorkerView

CHIP = "tpu/v5litepod-16"


def cores(count: float, memory: int = 0, chips: int = 0) -> Resources:
    return Resources(int(count * 1000), memory * GIB, 0, ((CHIP, chips),) if chips else ())


def worker(
    name: str,
    total: Resources,
    free: Resources | None = None,
    *,
    accepting: bool = True,
    **attributes: str,
) -> WorkerView:
    spelled = {key.replace("_", "-"): value for key, value in attributes.items()}
    free = total if free is None else free
    return WorkerView(
        WorkerId(name), total, free, spelled, accepting, "" if accepting else "draining"
    )


def tpu_slice(name: str, free: Iterable[float] = (1, 1, 1, 1)) -> list[WorkerView]:
    """Four VMs with four chips each; a VM with less than a whole core free has no chips left
    either.
    """
    return [
        worker(
            f"{name}/{index}",
            cores(1, chips=4),
            cores(left, chips=4 if left == 1 else 0),
            tpu_name=name,
            tpu_worker_id=str(index),
        )
        for index, left in enumerate(free)
    ]


def job(
    name: str,
    need: Resources,
    tasks: int = 1,
    *,
    group_by: str = "",
    constraints: tuple[Constraint, ...] = (),
    avoid: dict[int, set[str]] | None = None,
) -> PendingJob:
    job_id = JobId(f"/u/{name}")
    avoided = {index: frozenset(map(WorkerId, some)) for index, some in (avoid or {}).items()}
    ready = tuple(
        ReadyTask(task_id(job_id, index), avoided.get(index, frozenset())) for index in range(tasks)
    )
    return PendingJob(job_id, need, constraints, Gang(group_by) if group_by else None, ready)


def run(workers: Iterable[WorkerView], *jobs: PendingJob) -> Schedule:
    return schedule(Snapshot(tuple(workers), jobs))


def placed(answer: Schedule, name: str) -> list[str]:
    """The job's workers, in order of the tasks that were placed."""
    return [one.worker_id for one in answer.placements if one.task_id.startswith(f"/u/{name}/")]


def waiting(answer: Schedule) -> dict[str, int]:
    return {one.job_id.removeprefix("/u/"): len(one.tasks) for one in answer.unplaced}


class TestSingles:
    def test_takes_the_fullest_worker_that_has_room(self) -> None:
        workers = [
            worker("big", cores(8)),
            worker("tight", cores(8), cores(2)),
            worker("full", cores(8), cores(1)),
        ]
        assert placed(run(workers, job("a", cores(2))), "a") == ["tight"]

    def test_skips_workers_that_lack_only_memory(self) -> None:
        workers = [worker("lean", cores(2, memory=1)), worker("rich", cores(8, memory=8))]
        assert placed(run(workers, job("a", cores(1, memory=2))), "a") == ["rich"]

    def test_leaves_accelerators_to_those_who_ask(self) -> None:
        workers = [worker("tpu", cores(1, chips=4)), worker("plain", cores(64))]
        answer = run(workers, job("a", cores(1)), job("b", cores(1, chips=4)))
        assert (placed(answer, "a"), placed(answer, "b")) == (["plain"], ["tpu"])

    def test_takes_a_machine_with_accelerators_when_nothing_else_has_room(self) -> None:
        workers = [worker("tpu", cores(1, chips=4)), worker("plain", cores(1), cores(0))]
        assert placed(run(workers, job("a", cores(1))), "a") == ["tpu"]

    def test_fills_one_worker_before_the_next(self) -> None:
        workers = [worker("a", cores(2)), worker("b", cores(2)), worker("c", cores(2))]
        assert placed(run(workers, job("j", cores(1), 5)), "j") == ["a", "a", "b", "b", "c"]

    def test_what_one_job_takes_is_gone_for_the_next(self) -> None:
        workers = [worker("a", cores(3))]
        answer = run(workers, job("first", cores(2)), job("second", cores(1), 3))
        assert placed(answer, "second") == ["a"]
        assert waiting(answer) == {"second": 2}

    def test_takes_no_worker_that_does_not_accept(self) -> None:
        answer = run([worker("a", cores(4), accepting=False)], job("j", cores(1)))
        assert waiting(answer) == {"j": 1}

    def test_a_task_that_needs_nothing_is_placed(self) -> None:
        answer = run([worker("a", cores(1), cores(0))], job("j", Resources(), 3))
        assert placed(answer, "j") == ["a", "a", "a"]

    def test_a_job_without_ready_tasks_is_passed_over(self) -> None:
        assert run([worker("a", cores(1))], job("j", cores(1), 0)) == Schedule((), ())

    def test_a_job_that_waits_keeps_nobody_else_waiting(self) -> None:
        answer = run([worker("a", cores(2))], job("large", cores(4)), job("small", cores(2)))
        assert placed(answer, "small") == ["a"]


class TestConstraints:
    @pytest.mark.parametrize(
        ("constraint", "chosen"),
        [
            (Constraint("zone", ConstraintOp.EQ, ("b",)), {"b1"}),
            (Constraint("zone", ConstraintOp.NE, ("b",)), {"a1", "none"}),
            (Constraint("zone", ConstraintOp.IN, ("b", "a", "a")), {"a1", "b1"}),
            (Constraint("zone", ConstraintOp.EXISTS), {"a1", "b1"}),
            (Constraint("zone", ConstraintOp.NOT_EXISTS), {"none"}),
        ],
        ids=str,
    )
    def test_hold_for_every_worker_that_is_used(
        self, constraint: Constraint, chosen: set[str]
    ) -> None:
        workers = [
            worker("a1", cores(1), zone="a"),
            worker("b1", cores(1), zone="b"),
            worker("none", cores(1)),
        ]
        answer = run(workers, job("j", cores(1), 3, constraints=(constraint,)))
        assert set(placed(answer, "j")) == chosen

    def test_all_have_to_hold(self) -> None:
        workers = [
            worker("a", cores(1), zone="x", disk="hdd"),
            worker("b", cores(1), zone="x", disk="ssd"),
        ]
        both = (
            Constraint("zone", ConstraintOp.EQ, ("x",)),
            Constraint("disk", ConstraintOp.EQ, ("ssd",)),
        )
        assert placed(run(workers, job("j", cores(1), constraints=both)), "j") == ["b"]


class TestAvoid:
    def test_goes_elsewhere_while_there_is_room(self) -> None:
        workers = [worker("bad", cores(1)), worker("good", cores(8))]
        answer = run(workers, job("j", cores(1), avoid={0: {"bad"}}))
        assert placed(answer, "j") == ["good"]

    def test_goes_back_when_nothing_else_fits(self) -> None:
        workers = [worker("bad", cores(1)), worker("full", cores(8), cores(0))]
        answer = run(workers, job("j", cores(1), avoid={0: {"bad"}}))
        assert placed(answer, "j") == ["bad"]

    def test_tasks_that_avoid_nothing_take_the_best(self) -> None:
        workers = [worker("bad", cores(1)), worker("good", cores(8))]
        answer = run(workers, job("j", cores(1), 3, avoid={0: {"bad"}}))
        assert placed(answer, "j") == ["good", "bad", "good"]

    def test_looks_past_avoided_workers_among_equals(self) -> None:
        workers = [worker(name, cores(1)) for name in "abcd"]
        answer = run(workers, job("j", cores(1), 2, avoid={0: {"a", "b"}}))
        assert placed(answer, "j") == ["c", "a"]

    def test_a_gang_takes_another_group(self) -> None:
        workers = [*tpu_slice("s1"), *tpu_slice("s2")]
        answer = run(
            workers, job("g", cores(1, chips=4), 4, group_by="tpu-name", avoid={2: {"s1/2"}})
        )
        assert placed(answer, "g") == ["s2/0", "s2/1", "s2/2", "s2/3"]

    def test_a_gang_goes_back_when_there_is_no_other(self) -> None:
        answer = run(
            tpu_slice("s1"),
            job("g", cores(1, chips=4), 4, group_by="tpu-name", avoid={2: {"s1/2"}}),
        )
        assert placed(answer, "g") == ["s1/0", "s1/1", "s1/2", "s1/3"]


class TestGangs:
    def test_task_i_runs_on_tpu_worker_i(self) -> None:
        workers = reversed(tpu_slice("s"))
        answer = run(workers, job("g", cores(1, chips=4), 4, group_by="tpu-name"))
        assert placed(answer, "g") == ["s/0", "s/1", "s/2", "s/3"]

    def test_worker_ids_are_numbers_not_words(self) -> None:
        workers = [
            worker(f"s/{i}", cores(1), tpu_name="s", tpu_worker_id=str(i)) for i in range(12)
        ]
        answer = run(workers, job("g", cores(1), 12, group_by="tpu-name"))
        assert placed(answer, "g") == [f"s/{i}" for i in range(12)]

    def test_is_spread_over_a_tpu_slice_even_where_one_worker_would_do(self) -> None:
        answer = run(tpu_slice("s"), job("g", cores(0.1), 4, group_by="tpu-name"))
        assert placed(answer, "g") == ["s/0", "s/1", "s/2", "s/3"]

    def test_neighbours_share_a_worker_when_there_are_more_tasks_than_workers(self) -> None:
        answer = run(tpu_slice("s"), job("g", cores(0.25), 6, group_by="tpu-name"))
        assert placed(answer, "g") == ["s/0", "s/0", "s/1", "s/1", "s/2", "s/3"]

    def test_never_crosses_groups(self) -> None:
        workers = [*tpu_slice("s1", (1, 1, 1, 0)), *tpu_slice("s2", (1, 1, 0, 0))]
        answer = run(workers, job("g", cores(1, chips=4), 4, group_by="tpu-name"))
        assert (answer.placements, waiting(answer)) == ((), {"g": 4})

    def test_takes_the_tightest_group(self) -> None:
        workers = [*tpu_slice("wide"), *tpu_slice("tight", (1, 0, 1, 0))]
        answer = run(workers, job("g", cores(1, chips=4), 2, group_by="tpu-name"))
        assert placed(answer, "g") == ["tight/0", "tight/2"]

    def test_what_is_tightest_changes_as_places_are_given_away(self) -> None:
        workers = [
            *(worker(f"a/{i}", cores(1), rack="a") for i in range(3)),
            *(worker(f"b/{i}", cores(1), rack="b", disk="ssd") for i in range(4)),
        ]
        ssd = (Constraint("disk", ConstraintOp.EXISTS),)
        answer = run(
            workers,
            job("first", cores(1), 1, group_by="rack"),
            job("on-b", cores(1), 3, constraints=ssd),
            job("last", cores(1), 1, group_by="rack"),
        )
        assert placed(answer, "first") == ["a/0"]
        assert placed(answer, "last") == ["b/3"]

    def test_leaves_groups_with_accelerators_to_those_who_ask(self) -> None:
        plain = [worker(f"p/{i}", cores(64), rack="p") for i in range(2)]
        accelerated = [worker(f"t/{i}", cores(1, chips=4), rack="t") for i in range(2)]
        answer = run([*accelerated, *plain], job("g", cores(1), 2, group_by="rack"))
        assert placed(answer, "g") == ["p/0", "p/0"]

    def test_is_packed_where_workers_have_no_order(self) -> None:
        workers = [
            worker("r/0", cores(4), rack="r"),
            worker("r/1", cores(4), cores(2), rack="r"),
        ]
        answer = run(workers, job("g", cores(1), 3, group_by="rack"))
        assert placed(answer, "g") == ["r/1", "r/1", "r/0"]

    def test_two_gangs_do_not_share_places(self) -> None:
        workers = [*tpu_slice("s1"), *tpu_slice("s2")]
        answer = run(
            workers,
            job("a", cores(1, chips=4), 4, group_by="tpu-name"),
            job("b", cores(1, chips=4), 4, group_by="tpu-name"),
            job("c", cores(1, chips=4), 4, group_by="tpu-name"),
        )
        assert {*placed(answer, "a")} == {f"s1/{i}" for i in range(4)}
        assert {*placed(answer, "b")} == {f"s2/{i}" for i in range(4)}
        assert waiting(answer) == {"c": 4}

    def test_constraints_narrow_the_groups(self) -> None:
        workers = [
            worker(f"{rack}/{i}", cores(1), rack=rack, zone=zone)
            for rack, zone in (("r1", "x"), ("r2", "y"))
            for i in range(2)
        ]
        only_y = (Constraint("zone", ConstraintOp.EQ, ("y",)),)
        answer = run(workers, job("g", cores(1), 2, group_by="rack", constraints=only_y))
        assert placed(answer, "g") == ["r2/0", "r2/1"]

    def test_workers_without_the_attribute_are_no_group(self) -> None:
        answer = run([worker("a", cores(8))], job("g", cores(1), 2, group_by="rack"))
        assert waiting(answer) == {"g": 2}


class TestRoomHeldForGangs:
    """A gang that waits is not overtaken for ever by small tasks that come later."""

    def gang(self, name: str = "g", tasks: int = 4) -> PendingJob:
        return job(name, cores(1, chips=4), tasks, group_by="tpu-name")

    def test_later_tasks_do_not_take_what_it_waits_for(self) -> None:
        answer = run(tpu_slice("s", (1, 1, 1, 0)), self.gang(), job("late", cores(0.5)))
        assert waiting(answer) == {"g": 4, "late": 1}

    def test_earlier_tasks_do(self) -> None:
        answer = run(tpu_slice("s", (1, 1, 1, 0)), job("early", cores(0.5)), self.gang())
        assert waiting(answer) == {"g": 4}

    def test_other_groups_stay_open(self) -> None:
        workers = [*tpu_slice("s1", (1, 1, 1, 0)), *tpu_slice("s2", (1, 0, 0, 0))]
        answer = run(workers, self.gang(), job("late", cores(1), 2))
        assert placed(answer, "late") == ["s2/0"]

    def test_what_the_gang_will_not_use_stays_open(self) -> None:
        workers = [
            worker("r/0", cores(4), cores(3), rack="r"),
            worker("r/1", cores(4), cores(0), rack="r"),
        ]
        answer = run(workers, job("g", cores(2.5), 2, group_by="rack"), job("late", cores(0.5), 4))
        assert placed(answer, "late") == ["r/0"]

    def test_parts_too_small_for_a_member_are_held_as_well(self) -> None:
        workers = [worker(f"r/{i}", cores(2), cores(1), rack="r") for i in range(2)]
        answer = run(workers, job("g", cores(2), 2, group_by="rack"), job("late", cores(1)))
        assert waiting(answer) == {"g": 2, "late": 1}

    def test_a_gang_that_never_fits_holds_nothing(self) -> None:
        answer = run(tpu_slice("s"), self.gang(tasks=5), job("late", cores(0.5), 2))
        assert placed(answer, "late") == ["s/0", "s/0"]

    def test_a_second_gang_holds_another_group(self) -> None:
        workers = [*tpu_slice("s1", (1, 1, 1, 0)), *tpu_slice("s2", (1, 1, 0, 0))]
        answer = run(workers, self.gang("a"), self.gang("b"), job("late", cores(1)))
        assert waiting(answer) == {"a": 4, "b": 4, "late": 1}

    def test_a_second_gang_holds_another_group_also_where_no_member_fits_yet(self) -> None:
        workers = [
            worker(f"{rack}/{i}", cores(2), cores(1), rack=rack) for rack in "ab" for i in range(2)
        ]
        gangs = [job(name, cores(2), 2, group_by="rack") for name in ("g1", "g2")]
        answer = run(workers, *gangs, job("late", cores(1)))
        assert waiting(answer) == {"g1": 2, "g2": 2, "late": 1}

    def test_it_starts_once_the_work_it_waited_for_has_ended(self) -> None:
        jobs = (self.gang(), job("late", cores(1), 9))
        assert placed(run(tpu_slice("s", (1, 0, 1, 1)), *jobs), "late") == []
        assert placed(run(tpu_slice("s"), *jobs), "g") == ["s/0", "s/1", "s/2", "s/3"]
