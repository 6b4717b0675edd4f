"""Names that nobody else uses, numbers that a seed repeats, programs that find what they import."""

import asyncio
from typing import Any, cast

from iris.client import Client
from iris.host.ports import PortAllocator
from iris.smoke.context import CaseContext, Cluster, with_replicas


def context_of(case: str, *, seed: int = 7, prefix: str = "run-1") -> CaseContext:
    return CaseContext(
        client=cast(Client, None),
        cluster=Cluster("127.0.0.1:1", "token", frozenset(), started_here=True),
        bundle_digest="sha256:" + "0" * 64,
        python="/usr/bin/python3",
        prefix=prefix,
        case_name=case,
        ports=PortAllocator(),
        joining=asyncio.Semaphore(),
        seed=seed,
    )


def test_jobs_are_named_after_run_and_case() -> None:
    context = context_of("Gang of four!")
    assert context.job_id() == "/smoke/run-1-gang-of-four-"
    assert context.job_id("urgent") == "/smoke/run-1-gang-of-four--urgent"


def test_numbers_follow_from_the_seed_and_the_case() -> None:
    def drawn(**of: Any) -> float:
        return context_of(**of).random().random()

    assert drawn(case="a") == drawn(case="a", prefix="run-2")
    assert len({drawn(case="a"), drawn(case="b"), drawn(case="a", seed=8)}) == 3


def test_a_program_is_isolated_unless_it_needs_iris() -> None:
    context = context_of("a")
    plain = with_replicas(context.program("hello.py", "x"), 2)
    script = "iris/smoke/programs/hello.py"
    assert plain.entrypoint.argv == (context.python, "-I", "-S", script, "x")
    assert (plain.replicas, plain.env) == (2, ())
    importing = context.with_iris(plain)
    assert importing.entrypoint.argv == (context.python, "-P", "-s", "-S", script, "x")
    assert [name for name, _ in importing.env] == ["PYTHONPATH"]


def test_what_a_case_did_is_kept_with_its_name() -> None:
    context = context_of("worker-killed")
    context.did("worker killed", "w/0")
    (mark,) = context.marks
    assert (mark.case, mark.what, mark.subject) == ("worker-killed", "worker killed", "w/0")


def test_a_clusters_token_is_not_shown() -> None:
    assert "secret" not in repr(Cluster("127.0.0.1:1", "secret", frozenset(), started_here=True))


async def test_waiting_takes_plain_conditions_and_coroutines() -> None:
    context = context_of("a")
    answers = iter([0, "", "there"])

    async def ask() -> object:
        return next(answers)

    assert await context.until(ask, every=0) == "there"
    numbers = iter([None, 5])
    assert await context.until(lambda: next(numbers), every=0) == 5
