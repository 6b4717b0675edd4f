"""The flow from nothing to nothing: bounds, cluster, cases, teardown, report. Cleanup runs
whatever happens before it."""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from iris.client import Client
from iris.host.ids import IdSource
from iris.host.ports import PortAllocator
from iris.model.errors import InvalidArgument, IrisError
from iris.smoke.bounds import TreeBounds, limit_cpus
from iris.smoke.case import PHASES_WITH_CLUSTER, Case, CaseResult, Evidence, Phase, Verdict
from iris.smoke.cases import ALL
from iris.smoke.cluster_under_test import ClusterUnderTest
from iris.smoke.context import CaseContext, Cluster
from iris.smoke.environment import command_to_repeat, describe_environment
from iris.smoke.history import HistoryRecorder
from iris.smoke.live import LiveOutput
from iris.smoke.needs import LOCAL_PROCESSES, what_it_offers
from iris.smoke.options import SmokeOptions
from iris.smoke.report.summary import FlowReport
from iris.smoke.runner import CaseRunner

_TEARDOWN = "teardown-leaves-nothing"
_TEARDOWN_WHAT = "After the stop no process, port, socket, thread or file of the cluster is left."
_UNBOUNDED = 1 << 62
# Workers that cases start themselves: each is a whole Python process.
_JOINED_AT_ONCE = 2


class Flow:
    """One run; `run` may be called once.

    Args:
        state_dir: An empty folder for the cluster, if one is started; short, because sockets may lie in it.
        live: Shows whoever is watching how it goes.
    """

    def __init__(
        self, options: SmokeOptions, *, state_dir: Path, ids: IdSource, live: LiveOutput
    ) -> None:
        self._options = options
        self._state_dir = state_dir
        self._live = live
        self._prefix = options.label_prefix or ids.fresh("run")
        self._joining = asyncio.Semaphore(_JOINED_AT_ONCE)
        self._ports = PortAllocator()
        self._began = time.monotonic()
        self._under_test = ClusterUnderTest(options)
        self._runner = CaseRunner(
            chosen_cases(options.cases),
            case_timeout=options.case_timeout,
            began=self._began,
            live=live,
        )
        live.expect(len(chosen_cases(options.cases)) + (options.address is None))
        self._recorder = HistoryRecorder(self._under_test.found, self._prefix)
        self._kept = ""
        self._shutdown_seconds: float | None = None
        self._starting: asyncio.Future[Cluster] | None = None
        self._milestones: list[tuple[str, float]] = []
        self._problems: list[str] = []

    async def run(self) -> FlowReport:
        """Runs what was asked for and says what was found. A cancellation is noted, cleaned up after, and reported."""
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        bounds = self._start_bounds(asyncio.current_task())
        try:
            async with asyncio.timeout(self._options.timeout):
                await self._start_and_work()
        except TimeoutError:
            self._problems.append(f"the flow was not done within its {self._options.timeout:g} s")
        except asyncio.CancelledError:
            self._problems.append("the flow was interrupted")
        except IrisError as error:
            self._problems.append(str(error))
        await self._recorder.stop()
        await self._tear_down()
        self._ports.close()
        seen = bounds.stop() if bounds else None
        self._reached("report")
        return FlowReport(
            results=self._runner.results(),
            started_at=started_at,
            seconds=time.monotonic() - self._began,
            milestones=tuple(self._milestones),
            environment=describe_environment(),
            repeat=command_to_repeat(sys.argv, os.environ, self._options.seed),
            bounds=seen,
            problem="; ".join(self._problems),
            files=tuple(self._under_test.save_logs(self._options.report_dir)),
            seed=self._options.seed,
            shutdown_seconds=self._shutdown_seconds,
            kept=self._kept,
            history=self._recorder.history(self._runner.marks()),
        )

    async def _start_and_work(self) -> None:
        self._starting = asyncio.ensure_future(
            asyncio.to_thread(self._under_test.start, self._state_dir)
        )
        # A thread cannot be cancelled: the teardown waits for it.
        cluster = await asyncio.shield(self._starting)
        self._reached("cluster up")
        self._recorder.start()
        async with Client.connect(cluster.address, cluster.token) as client:
            digest = (await client.upload_archive(self._options.bundle)).digest
            self._reached("bundle there")
            offers = await what_it_offers(cluster, client)
        for phase in PHASES_WITH_CLUSTER:
            if self._runner.has_cases(phase):
                await self._run_phase(phase, offers, digest)
                self._reached(f"{phase.name.lower()} done")

    async def _run_phase(self, phase: Phase, offers: frozenset[str], digest: str) -> None:
        """With a client of its own: in the phase before, the controller may have been restarted."""
        cluster = await asyncio.to_thread(self._under_test.found)
        async with Client.connect(cluster.address, cluster.token) as client:
            await self._runner.run_phase(
                phase,
                offers=offers,
                make_context=lambda case: self._context(case, client, cluster, digest),
            )

    def _context(self, case: Case, client: Client, cluster: Cluster, digest: str) -> CaseContext:
        return CaseContext(
            client=client,
            cluster=cluster,
            bundle_digest=digest,
            python=self._options.python
            or (sys.executable if LOCAL_PROCESSES in cluster.offers else "python3"),
            prefix=self._prefix,
            case_name=case.name,
            ports=self._ports,
            seed=self._options.seed,
            joining=self._joining,
        )

    async def _tear_down(self) -> None:
        started = time.monotonic() - self._began
        problem = ""
        if self._starting is not None:
            await asyncio.wait({self._starting})
        if self._options.keep_on_failure and self._has_failed() and await self._keep(started):
            return
        try:
            await asyncio.to_thread(self._under_test.stop)
        except IrisError as error:
            problem = str(error)
        stopped = time.monotonic() - self._began
        self._reached("cluster stopped")
        if self._options.address is None:
            self._shutdown_seconds = stopped - started
        # In a thread: what the client's closed streams leave to the event loop to end needs it to turn.
        left = await asyncio.to_thread(self._under_test.leftovers)
        if left and not problem:
            problem = f"left behind: {'; '.join(left)}"
        evidence = (
            Evidence("stopped in", f"{stopped - started:.2f} s"),
            Evidence("left behind", str(len(left))),
        )
        if self._options.address is None:
            verdict = Verdict.FAILED if problem else Verdict.PASSED
            self._runner.record(
                CaseResult(_TEARDOWN, _TEARDOWN_WHAT, verdict, started, stopped, problem, evidence)
            )

    def _has_failed(self) -> bool:
        results = self._runner.results()
        return bool(self._problems) or not all(one.verdict.is_good for one in results)

    async def _keep(self, now: float) -> bool:
        """Leaves the cluster to whoever looks into what failed; False if it does not even answer."""
        try:
            self._kept = await asyncio.to_thread(self._under_test.keep)
        except IrisError as error:
            self._problems.append(f"the cluster could not be kept: {error}")
        if self._kept:
            told = "the cluster was kept"
            self._runner.record(
                CaseResult(_TEARDOWN, _TEARDOWN_WHAT, Verdict.SKIPPED, now, now, told)
            )
        return bool(self._kept)

    def _start_bounds(self, flow: asyncio.Task[object] | None) -> TreeBounds | None:
        if not self._options.cpu_limit and not self._options.memory_limit:
            return None
        assert flow is not None
        loop = asyncio.get_running_loop()

        def violated(problem: str) -> None:
            self._problems.append(problem)
            loop.call_soon_threadsafe(flow.cancel)

        cpus = limit_cpus(self._options.cpu_limit or _UNBOUNDED)
        bounds = TreeBounds(
            cpus=cpus, memory_limit=self._options.memory_limit or _UNBOUNDED, on_violation=violated
        )
        bounds.start()
        return bounds

    def _reached(self, step: str) -> None:
        at = time.monotonic() - self._began
        self._milestones.append((step, at))
        self._live.say(f"[{at:6.2f} s] {step}")


def chosen_cases(names: tuple[str, ...]) -> tuple[Case, ...]:
    """All cases, or those that are named (the boot case always runs). Raises InvalidArgument for a
    name there is not."""
    known = {case.name for case in ALL}
    unknown = sorted(set(names) - known)
    if unknown:
        raise InvalidArgument(
            f"No smoke case is called {', '.join(unknown)}.",
            hint=f"There are: {', '.join(sorted(known))}.",
        )
    return tuple(
        case for case in ALL if not names or case.name in names or case.phase is Phase.BOOT
    )
