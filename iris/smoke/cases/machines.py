"""Do machines and workers that die take nothing with them but time?"""

from dataclasses import replace
from datetime import timedelta

from iris.host.processes import ProcessIdentity, all_processes, process_strings
from iris.model.faults import Fault, FaultKind
from iris.model.fleet import ATTRIBUTE_SLICE
from iris.model.ids import JobId
from iris.model.job import Gang
from iris.model.states import TaskState
from iris.smoke.case import Case, check, check_equal
from iris.smoke.context import CaseContext
from iris.smoke.groups import MACHINES, PROCESS, TAKEN
from iris.smoke.needs import FAULT_INJECTION, LOCAL_PROCESSES, group_need

_HELD_UP = timedelta(milliseconds=200)


async def worker_killed(context: CaseContext) -> None:
    """A machine dies with its worker. Its task dies with it and is run again by another one."""
    job_id = await context.launch(PROCESS.only(context.program("hold_once.py")))
    await context.first_line(job_id, "^ready attempt=0")
    tree = _tree(context, job_id)
    victim = (await context.client.get(job_id)).tasks[0].attempts[0].worker_id
    done = await context.client.inject_fault(Fault(FaultKind.KILL, victim))
    context.did("worker killed", victim)
    job = await context.succeeded(job_id)
    ends = [attempt.state for attempt in job.tasks[0].attempts]
    check_equal(ends, [TaskState.WORKER_FAILED, TaskState.SUCCEEDED], "the attempts")
    first, second = job.tasks[0].attempts
    check(first.worker_id != second.worker_id, "another worker", second.worker_id)
    await context.until(lambda: not [one for one in tree if one.is_alive()])
    said = await context.client.vm_log(victim)
    check("failed: its process was killed by signal 9" in said, "the VM's log to say so", said)
    context.saw("killed", f"{done}, with {len(tree)} processes" if tree else done)
    context.saw("run again by", second.worker_id)


async def machine_lost_mid_gang(context: CaseContext) -> None:
    """One machine of a slice dies under a gang. The whole gang starts again, on a whole slice."""
    spec = MACHINES.only(context.program("hold_once.py"))
    gang = replace(spec, replicas=MACHINES.vms, gang=Gang(ATTRIBUTE_SLICE), stop_grace=timedelta(0))
    job_id = await context.launch(gang)
    for index in range(MACHINES.vms):
        # Not that it is known to run: that may be before it has become the program, with its environment.
        await context.first_line(f"{job_id}/{index}", "^ready attempt=0")
    first = (await context.client.get(job_id)).tasks[0].attempts[0].worker_id
    tree = _tree(context, job_id)
    await context.client.inject_fault(Fault(FaultKind.KILL, first))
    context.did("one machine of a gang's slice killed", first.rpartition("/")[0])
    job = await context.succeeded(job_id)
    slices = [set[str](), set[str]()]
    for task in job.tasks:
        lost, again = task.attempts
        check_equal(again.state, TaskState.SUCCEEDED, f"the second attempt of {task.task_id}")
        for number, attempt in enumerate((lost, again)):
            slices[number].add(attempt.worker_id.rpartition("/")[0])
    check_equal([len(one) for one in slices], [1, 1], "slices that the gang ran on at a time")
    check(slices[0] != slices[1], "another slice", slices)
    await context.until(lambda: not [one for one in tree if one.is_alive()])
    states = [task.attempts[0].state.value for task in job.tasks]
    context.saw("first attempts", ", ".join(states))
    context.saw("moved", f"from {slices[0].pop()} to {slices[1].pop()}, all {len(job.tasks)} tasks")


async def slice_taken_back(context: CaseContext) -> None:
    """A slice is taken back without a word, and the next one is held up. Its task is run again there, and both
    VMs tell what became of them.
    """
    job_id = await context.launch(TAKEN.only(context.program("hold_once.py")))
    await context.first_line(job_id, "^ready attempt=0")
    victim = (await context.client.get(job_id)).tasks[0].attempts[0].worker_id
    await context.client.inject_fault(Fault(FaultKind.DELAY, TAKEN.name, delay=_HELD_UP))
    taken = victim.rpartition("/")[0]
    await context.client.inject_fault(Fault(FaultKind.PREEMPT, taken))
    context.did("slice taken back", taken)
    job = await context.succeeded(job_id)
    check_equal(len(job.tasks[0].attempts), 2, "the attempts")
    again = job.tasks[0].attempts[1].worker_id
    check(again.rpartition("/")[0] != taken, "another slice", again)
    said = await context.client.vm_log(victim)
    check("preempted: taken back on purpose" in said, "the VM's log to say so", said)
    later = await context.client.vm_log(again)
    check("held up on purpose" in later, "the other VM's log to say that it was held up", later)
    context.saw("taken back", taken)
    context.saw("then", f"{again}, held up for {_HELD_UP.total_seconds():g} s")


def processes_of(job_id: JobId) -> list[ProcessIdentity]:
    """A job's processes on this machine, by their environment: their pids are those of namespaces
    of their own.
    """
    mark = f"IRIS_JOB_ID={job_id}"
    return [one for one in all_processes() if mark in process_strings(one, "environ")]


def _tree(context: CaseContext, job_id: JobId) -> list[ProcessIdentity]:
    """The same, of a job whose tasks have written something; empty where they cannot be seen from here."""
    if LOCAL_PROCESSES not in context.cluster.offers:
        return []
    tree = processes_of(job_id)
    check(tree, "processes of the task", tree)
    return tree


MACHINE_CASES = (
    Case(
        "slice-taken-back",
        "The work of a slice that its platform has taken back goes on on the next one.",
        slice_taken_back,
        needs=frozenset({FAULT_INJECTION, group_need(TAKEN)}),
    ),
    Case(
        "machine-lost-mid-gang",
        "A gang that loses a machine starts again as a whole.",
        machine_lost_mid_gang,
        needs=frozenset({FAULT_INJECTION, group_need(MACHINES)}),
    ),
    Case(
        "worker-killed",
        "The work of a worker that was killed is done by another.",
        worker_killed,
        needs=frozenset({FAULT_INJECTION, group_need(PROCESS)}),
    ),
)
