"""What a person is shown of a run: how good it was, or what broke and how to see it again."""

import statistics
from collections.abc import Sequence
from typing import Any

from iris.model.constraints import Constraint
from iris.simulation.scenario import Fault, JobPlan, Scenario
from iris.simulation.world import Result


def summary(result: Result) -> dict[str, Any]:
    """Of one run, for JSON. Times are virtual seconds."""
    measures, counts = result.measures, result.counts
    first = measures.first_at or 0.0
    return {
        "seed": result.scenario.seed,
        "jobs": len(result.scenario.jobs),
        "broken": str(result.broken) if result.broken else None,
        "makespan_s": round(max(0.0, measures.last_end - first), 1),
        "waits_s": {band.value: _spread(waits) for band, waits in measures.waits.items() if waits},
        "utilisation": round(measures.busy_cores / max(1.0, measures.offered_cores), 3),
        "attempts": counts["attempts started"],
        "retries": measures.retries,
        "preemptions": measures.preemptions,
        "gangs_placed": measures.gangs_placed,
        "attempt_ends": dict(sorted(measures.ends.items())),
        "slices_bought": counts["slices bought"],
        "controller_crashes": counts["controller crashes"],
        "turns": counts["turns"],
        "messages": counts["messages"],
        "messages_lost": counts["messages lost"],
    }


def _spread(waits: Sequence[float]) -> dict[str, float]:
    ordered = sorted(waits)
    return {
        "tasks": len(ordered),
        "median": round(statistics.median(ordered), 1),
        "p90": round(ordered[int(0.9 * (len(ordered) - 1))], 1),
        "longest": round(ordered[-1], 1),
    }


def describe(result: Result) -> str:
    """The same for people."""
    facts = summary(result)
    lines = [
        f"seed {facts['seed']}: {facts['jobs']} jobs, {facts['attempts']} attempts "
        f"({facts['retries']} retries), over after {facts['makespan_s']:g} s",
        f"  utilisation {facts['utilisation']:.0%} of the cores that were bought "
        f"({facts['slices_bought']} slices)",
    ]
    for band, waits in facts["waits_s"].items():
        lines.append(
            f"  {band}: {waits['tasks']} tasks waited {waits['median']:g} s (median), "
            f"{waits['p90']:g} s (p90), {waits['longest']:g} s (longest)"
        )
    lines.append(
        f"  {facts['gangs_placed']} gangs placed, {facts['preemptions']} attempts preempted by "
        f"earlier bands, {facts['controller_crashes']} controller crashes"
    )
    ends = ", ".join(f"{count} {end}" for end, count in facts["attempt_ends"].items())
    lines.append(f"  attempts ended: {ends}")
    return "\n".join(lines)


def describe_failure(result: Result, shortest: Result, command: str) -> str:
    """What broke, the shortest scenario that breaks the same, and how to repeat it."""
    assert result.broken is not None and shortest.broken is not None
    scenario = shortest.scenario
    return "\n".join(
        [
            f"BROKEN with seed {result.scenario.seed}: {result.broken}",
            f"The shortest that was found ({len(scenario.jobs)} jobs, {len(scenario.faults)} "
            f"faults): {shortest.broken}",
            *story(scenario),
            f"Repeat it with: {command}",
        ]
    )


def story(scenario: Scenario) -> list[str]:
    """What a scenario does, in the order of time."""
    told = [(job.submit_at, _of_job(job)) for job in scenario.jobs]
    told += [
        (job.cancel_at, f"{job.job_id} is cancelled")
        for job in scenario.jobs
        if job.cancel_at is not None
    ]
    told += [(fault.at, _of_fault(fault)) for fault in scenario.faults]
    return [f"  {at:8.2f} s  {what}" for at, what in sorted(told)]


def _of_job(job: JobPlan) -> str:
    spec, behaviour = job.spec, job.behaviour
    what = f"{job.job_id} is submitted: {spec.priority.value}, {spec.replicas} x ({spec.resources})"
    if spec.gang is not None:
        what += f" as a gang by {spec.gang.group_by}"
    if spec.constraints:
        what += f" where {', '.join(map(_of_rule, spec.constraints))}"
    what += f", runs {behaviour.duration:g} s"
    for name, limit in (("timeout", spec.timeout), ("scheduling_timeout", spec.scheduling_timeout)):
        if limit is not None:
            what += f", {name} {limit.total_seconds():g} s"
    if behaviour.outcomes:
        what += f", attempts {', '.join(one.value for one in behaviour.outcomes)}"
    return what


def _of_rule(rule: Constraint) -> str:
    return str(rule) if rule.required else f"preferably {rule}"


def _of_fault(fault: Fault) -> str:
    what = fault.kind.value
    if fault.lasts:
        what += f" for {fault.lasts:g} s"
    if fault.amount:
        what += f", {fault.amount:g}"
    if fault.target:
        what += f", {fault.target}"
    return f"fault: {what}"
