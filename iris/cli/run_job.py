"""`iris job run`: send the folder, submit, show what happens, and end as the job did."""

from pathlib import Path

from rich.spinner import Spinner
from rich.text import Text

from iris.bundle import BundleInfo
from iris.cli.arguments import JobRun
from iris.cli.context import Context
from iris.cli.explain import explain_job
from iris.cli.find_cluster import find_cluster
from iris.cli.folder import bundle_folder, describe_bundle, size_hint
from iris.cli.follow import follow_job, last_lines
from iris.cli.interrupts import Interrupted, Interrupts
from iris.cli.job_spec import existing_job_policy_of, job_spec_of
from iris.cli.names import default_name, new_job_id, short_name
from iris.cli.outcome import INTERRUPTED, exit_code_of, failures
from iris.cli.wording import how_long, job_duration
from iris.client import Client, JobView, Launched
from iris.model.ids import JobId
from iris.model.job import ExistingJobPolicy, JobSpec
from iris.model.states import JobState

# Of a job that has failed, to find the first one that did.
_MOST_TASKS_READ = 10_000


async def run_job(flags: JobRun, context: Context) -> int:
    """The exit code of the program."""
    spec = job_spec_of(flags)
    job_id = new_job_id(context.user, flags.name or default_name(flags.argv, context.ids))
    folder = None
    if not flags.no_bundle:
        folder = bundle_folder(flags.bundle_dir, context.folder, context.environment.get("HOME"))
    cluster = await find_cluster(flags.cluster, context)
    with Interrupts(context.terminal.restore) as interrupts:
        async with Client.connect(cluster.address, cluster.token) as client:
            run = _Run(client, context, interrupts)
            try:
                if folder is not None:
                    spec = spec.with_bundle(await interrupts.unless(run.send_bundle(folder)))
            except Interrupted:
                context.terminal.note("nothing was submitted")
                return INTERRUPTED
            launched = await run.launch(job_id, spec, flags)
            if flags.detach:
                context.terminal.result(job_id)
                return 0
            return await run.follow(launched.job)


class _Run:
    def __init__(self, client: Client, context: Context, interrupts: Interrupts) -> None:
        self._client = client
        self._context = context
        self._terminal = context.terminal
        self._interrupts = interrupts

    async def send_bundle(self, folder: Path) -> str:
        """The digest of the folder's bundle, which the cluster then has."""

        def measured(info: BundleInfo) -> None:
            hint = size_hint(info)
            if hint:
                self._terminal.note(describe_bundle(info, folder))
                self._terminal.note(hint)

        spinner = Spinner("dots", text=Text(f"packing {folder}", style="dim"), style="cyan")
        with self._terminal.live(lambda: spinner):
            bundle = await self._client.upload_bundle(folder, measured=measured)
        sent = "sent" if bundle.sent else "there already"
        info = BundleInfo(bundle.digest, bundle.files, bundle.content_bytes)
        self._terminal.note(f"{describe_bundle(info, folder)}, {sent}")
        return bundle.digest

    async def launch(self, job_id: JobId, spec: JobSpec, flags: JobRun) -> Launched:
        """Submits it; from here on a Ctrl-C has to cancel it, so this is not interrupted."""
        policy = existing_job_policy_of(flags)
        if policy is ExistingJobPolicy.REPLACE:
            self._terminal.note(f"a job {job_id} that has not ended is ended first")
        launched = await self._client.launch(
            job_id, spec, policy=policy, inherit_priority=flags.priority is None
        )
        if launched.created:
            said = "submitted"
        elif policy is ExistingJobPolicy.KEEP:
            said = "was there already and is kept; following it"
        else:
            said = "was there already, with the same content; following it"
        self._terminal.note(Text.assemble((job_id, "bold"), f" {said}"))
        return launched

    async def follow(self, job: JobView) -> int:
        """Shows the job until it has ended, and how it did; the exit code."""

        async def cancel() -> None:
            self._terminal.note(f"cancelling {job.job_id} (Ctrl-C again leaves at once)")
            await self._client.terminate(job.job_id, f"Ctrl-C of {self._context.user}, who ran it")

        job = await follow_job(
            self._client,
            job,
            self._terminal,
            clock=self._context.clock,
            interrupted=self._interrupts.wait,
            on_interrupt=cancel,
        )
        if job.state is JobState.FAILED and job.spec.replicas > len(job.tasks):
            job = await self._client.get(
                job.job_id, max_tasks=min(job.spec.replicas, _MOST_TASKS_READ)
            )
        await tell_end(self._client, job, self._context)
        return INTERRUPTED if self._interrupts.came else exit_code_of(job)


async def tell_end(client: Client, job: JobView, context: Context) -> None:
    """Says how a job ended: in a line if it succeeded, explained if not."""
    now = context.clock.now()
    if job.state is JobState.SUCCEEDED:
        duration = job_duration(job, now)
        after = f" after {how_long(duration)}" if duration is not None else ""
        context.terminal.note(
            Text.assemble((job.job_id, "bold"), " ", ("succeeded", "green"), after)
        )
        return
    head, *details = await explanation(client, job, context)
    context.terminal.note(head)
    context.terminal.explain(*details)


async def explanation(client: Client, job: JobView, context: Context) -> list[Text]:
    """Why the job is as it is, with the last words of the task that failed first."""
    failed = failures(job)
    lines = []
    if failed and failed[0].last_attempt is not None:
        lines = await last_lines(client, failed[0].task_id, failed[0].last_attempt.number)
    return explain_job(
        job,
        context.clock.now(),
        name=short_name(job.job_id, context.user),
        why=await client.explain(job.job_id),
        last_lines=lines,
        command=context.command,
    )
