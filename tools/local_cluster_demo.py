"""The four demo jobs of `local_cluster`: what they are, how they run side by side, and what is
shown of them.
"""

import asyncio
import tempfile
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from rich.console import RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from iris.bundle import pack_files
from iris.cli.explain import explain_job
from iris.cli.follow import line_prefix
from iris.cli.outcome import failures
from iris.cli.progress import counts_text, pending_reasons, progress_sentence
from iris.cli.terminal import Terminal
from iris.cli.wording import STATE_STYLES, brief, how_long, job_duration
from iris.client import Client, JobView, LogLine, LogStream, ScaleGroupView
from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import ATTRIBUTE_TPU_NAME
from iris.model.ids import JobId, parse_job_id
from iris.model.job import Entrypoint, Gang, JobSpec
from iris.model.resources import MIB, Resources
from iris.model.states import JobState
from iris.model.tpu import tpu_topology

_EXAMPLES = Path(__file__).parents[1] / "examples"
_USER = "demo"
_LINES_KEPT = 200
_LINES_SHOWN = 10
# Small enough for all of them to run at the same time on one machine with one core.
_SMALL = Resources(cpu_millis=200, memory_bytes=96 * MIB)


@dataclass(frozen=True, slots=True)
class DemoJob:
    """One of the demo's jobs.

    Attributes:
        about: What a person sees it do.
        example: The folder below examples/ that is its bundle.
        ends: How it is meant to end.
    """

    name: str
    about: str
    example: str
    spec: JobSpec
    ends: JobState = JobState.SUCCEEDED


def demo_jobs(groups: Sequence[ScaleGroupView], coordinator_port: int) -> tuple[DemoJob, ...]:
    """The jobs that this cluster can run: the gang only where there is a slice of several VMs for
    it.
    """
    # Plain work stays off the slice that the gang waits for, if there is anywhere else.
    plain = any(not group.accelerator_variant and group.max_slices for group in groups)
    off_tpus = (Constraint(ATTRIBUTE_TPU_NAME, ConstraintOp.NOT_EXISTS),) if plain else ()
    hello = _spec("hello.py", _SMALL, constraints=off_tpus)
    jobs = [
        DemoJob("hello", "one task says hello", "hello", hello),
        DemoJob("three", "three tasks at once", "hello", replace(hello, replicas=3)),
    ]
    for group in groups:
        if group.accelerator_variant and group.vms_per_slice > 1 and group.max_slices:
            jobs.append(_gang(group, coordinator_port))
            break
    failing = _spec("failing.py", _SMALL, constraints=off_tpus)
    jobs.append(DemoJob("failing", "a mistake, explained", "failing", failing, JobState.FAILED))
    return tuple(jobs)


def _gang(group: ScaleGroupView, coordinator_port: int) -> DemoJob:
    """A task on each VM of one slice; they reduce a vector over a ring."""
    variant = group.accelerator_variant
    chips = ((f"tpu/{variant}", tpu_topology(variant).chips_per_vm),)
    spec = _spec(
        "ring_all_reduce.py",
        Resources(100, 128 * MIB, 0, chips),
        replicas=group.vms_per_slice,
        gang=Gang(ATTRIBUTE_TPU_NAME),
        env=(("RING_COORDINATOR_PORT", str(coordinator_port)),),
        port_names=("ring",),
    )
    about = f"a gang of {group.vms_per_slice} on a {variant} slice: ring all-reduce"
    return DemoJob("ring", about, "ring_all_reduce", spec)


def _spec(program: str, resources: Resources, **more: object) -> JobSpec:
    return JobSpec(Entrypoint(("python3", program)), resources, **more)  # type: ignore[arg-type]


@dataclass(slots=True)
class _Shown:
    """What is known of one job while the demo runs."""

    demo: DemoJob
    job_id: JobId
    job: JobView | None = None
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=_LINES_KEPT))
    said: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it ended as it was meant to."""
        return self.job is not None and self.job.state is self.demo.ends


class Demo:
    """Runs the jobs at the same time. `run` may be called once."""

    def __init__(
        self,
        client: Client,
        terminal: Terminal,
        jobs: Sequence[DemoJob],
        *,
        clock: Clock,
        ids: IdSource,
        command: str,
    ) -> None:
        """`command`: how `iris` is called here, for hints."""
        self._client = client
        self._terminal = terminal
        self._clock = clock
        self._command = command
        suffix = ids.fresh("demo").rpartition("-")[2][-6:]
        self._shown = [_Shown(job, parse_job_id(f"/{_USER}/{job.name}-{suffix}")) for job in jobs]
        self._spinner = Spinner("dots", style="cyan")

    async def run(self) -> bool:
        """Shows them until all have ended, then what came out. Whether every one ended as it was
        meant to.
        """
        for job in await self._client.list_jobs(f"/{_USER}/", active_only=True):
            await self._client.terminate(job.job_id, "left by an earlier demo")
        with self._terminal.live(self.render):
            async with asyncio.TaskGroup() as group:
                for shown in self._shown:
                    group.create_task(self._run(shown))
        for shown in self._shown:
            self._terminal.result(*self._outcome(shown))
        return all(shown.is_good for shown in self._shown)

    def render(self) -> RenderableType:
        """The live picture: a line for each job."""
        now = self._clock.now()
        table = Table.grid(padding=(0, 2))
        for shown in self._shown:
            table.add_row(self._mark(shown), Text(shown.demo.name, style="bold"), *_row(shown, now))
        return table

    async def _run(self, shown: _Shown) -> None:
        with tempfile.TemporaryDirectory(prefix="iris-demo-") as folder:
            archive = Path(folder) / "bundle.tar.gz"
            await asyncio.to_thread(_pack_example, shown.demo.example, archive)
            uploaded = await self._client.upload_archive(archive)
        spec = shown.demo.spec.with_bundle(uploaded.digest)
        shown.job = (await self._client.launch(shown.job_id, spec)).job
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(shown))
            group.create_task(self._read(shown))

    async def _watch(self, shown: _Shown) -> None:
        async with aclosing(self._client.watch(shown.job_id)) as jobs:
            async for shown.job in jobs:
                sentence = progress_sentence(shown.job)
                if not self._terminal.is_live and sentence != shown.said:
                    self._terminal.result(sentence)
                    shown.said = sentence

    async def _read(self, shown: _Shown) -> None:
        async with aclosing(self._client.tail_logs(shown.job_id, follow=True)) as lines:
            async for line in lines:
                if line.stream in (LogStream.STDOUT, LogStream.STDERR):
                    shown.lines.append(line)

    def _mark(self, shown: _Shown) -> RenderableType:
        if shown.job is None or not shown.job.state.is_terminal:
            return self._spinner
        return Text("✔", style="green") if shown.is_good else Text("✘", style="bold red")

    def _outcome(self, shown: _Shown) -> list[RenderableType]:
        job = shown.job
        assert job is not None
        mark = self._mark(shown)
        assert isinstance(mark, Text)
        head = Text.assemble(mark, " ", (shown.demo.name, "bold"), (f"  {shown.demo.about}", "dim"))
        if job.state is not JobState.SUCCEEDED:
            return [
                Text(""),
                head,
                *(_indented(line) for line in self._explanation(job, shown.lines)),
            ]
        return [
            Text(""),
            head,
            *(_indented(line) for line in _output(job, shown.lines, self._clock.now())),
        ]

    def _explanation(self, job: JobView, lines: Sequence[LogLine]) -> list[Text]:
        failed = {task.task_id for task in failures(job)[:1]}
        last = [line for line in lines if line.task_id in failed][-_LINES_SHOWN:]
        return explain_job(
            job, self._clock.now(), name=job.job_id, last_lines=last, command=self._command
        )


def _row(shown: _Shown, now: datetime) -> tuple[RenderableType, ...]:
    job = shown.job
    if job is None:
        return Text("sending its bundle", style="dim"), "", ""
    ran = job_duration(job, now)
    state = (
        Text(job.state.value, style=STATE_STYLES[job.state])
        if job.state.is_terminal
        else counts_text(job)
    )
    reasons = pending_reasons(job)
    latest = brief(reasons[0]) if reasons else shown.lines[-1].text if shown.lines else ""
    detail = Text(latest, style="dim", no_wrap=True, overflow="ellipsis")
    return state, Text(how_long(ran) if ran is not None else "", style="dim"), detail


def _output(job: JobView, lines: Sequence[LogLine], now: datetime) -> list[Text]:
    ordered = sorted(lines, key=lambda line: (line.task_id, line.attempt, line.index))
    ran = job_duration(job, now)
    shown = [
        Text.assemble(("| ", "dim"), (line_prefix(line, job.spec.replicas), "dim"), line.text)
        for line in ordered
    ]
    return [
        *shown,
        Text(f"succeeded after {how_long(ran)}" if ran is not None else "", style="green"),
    ]


def _indented(line: Text) -> Text:
    return Text.assemble("    ", line)


def _pack_example(name: str, path: Path) -> None:
    """The example's own files, as an archive. Built programs see them through links."""
    folder = _EXAMPLES / name
    files = {
        file.name: file for file in sorted(folder.glob("*.py")) if not file.stem.endswith("_test")
    }
    with path.open("wb") as archive:
        pack_files(files, archive)
