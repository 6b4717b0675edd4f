"""A controller as a whole: puts its parts together, starts them and ends them in order."""

import asyncio
import logging
from random import Random

import grpc.aio
from iris_proto import actor_pb2_grpc, controller_pb2_grpc, worker_pb2_grpc

from iris.autoscaler.demand import CapacityPlanner, ScalingReport
from iris.controller.attach import WorkerService
from iris.controller.back_ups import DATABASE_NAME
from iris.controller.brain import Brain
from iris.controller.bundle_service import BundleService
from iris.controller.bundle_store import BundleStore
from iris.controller.housekeeping import Housekeeping, log_limits
from iris.controller.log_store import LogStore
from iris.controller.loop import ControlLoop
from iris.controller.options import ControllerOptions
from iris.controller.published_calls import active_task
from iris.controller.service import ControllerIdentity, ControllerService
from iris.controller.state import events
from iris.controller.state.machine import ControllerState
from iris.controller.store import Store
from iris.controller.submission import SubmissionRules
from iris.controller.ticket_service import TicketService
from iris.controller.watch import WatchHub
from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.model.errors import FailedPrecondition
from iris.model.ids import AttemptUid, SliceId
from iris.rpc.scopes import TaskScope
from iris.rpc.server import bind, create_server

_log = logging.getLogger(__name__)

LOG_FOLDER = "logs"
# How long calls under way may take to end by themselves when the controller stops.
_CALL_GRACE_SECONDS = 0.5


class Controller:
    """One controller on one event loop. It is the `Fleet` that its autoscaler works for.

    `start` and `stop` are each called once.
    """

    def __init__(
        self, options: ControllerOptions, *, planner: CapacityPlanner, clock: Clock, ids: IdSource
    ) -> None:
        self._options = options
        self._planner = planner
        self._clock = clock
        self._ids = ids
        self._hub = WatchHub()
        self._store: Store | None = None
        self._logs: LogStore | None = None
        self._loop: ControlLoop | None = None
        self._housekeeping: Housekeeping | None = None
        self._server: grpc.aio.Server | None = None
        self._planner_started = False
        self._address = ""
        self._incarnation_id = ids.fresh("controller")

    @property
    def incarnation_id(self) -> str:
        """Names this controller among all that ever ran; its Health answer says the same."""
        return self._incarnation_id

    @property
    def address(self) -> str:
        """`host:port`; known to those who work for the autoscaler before `start` returns."""
        return self._address

    @property
    def store(self) -> Store:
        """What survives it. Raises FailedPrecondition before `start` has opened it."""
        if self._store is None:
            raise FailedPrecondition("The controller is not running.", hint="Start it first.")
        return self._store

    async def start(self) -> str:
        """Binds, recovers what was stored, starts the loop, the server and then the autoscaler.

        Returns the address, `host:port`. Raises FailedPrecondition (the port is taken, another
        controller has the state, a newer Iris wrote it) or DataLoss (it is damaged); nothing is
        left running then, and nothing is harmed.
        """
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends the autoscaler, the streams, the loop, the housekeeping and the stores, in this
        order; waits for each.

        Everything that was acknowledged is committed. Idempotent, also after a start that failed.
        """
        if self._planner_started:
            self._planner_started = False
            await self._planner.stop()
        self._hub.close()
        if self._loop is not None:
            await self._loop.stop()
        if self._server is not None:
            await self._server.stop(_CALL_GRACE_SECONDS)
            self._server = None
        if self._housekeeping is not None:
            await self._housekeeping.stop()
        if self._logs is not None:
            self._logs.close()
        if self._store is not None:
            self._store.close()

    async def wait_failed(self) -> BaseException:
        """What ended the loop, the housekeeping or the autoscaler though nobody stopped it, for the
        process to end with. Never returns while all is well.
        """
        loop, housekeeping = self._running, self._housekeeping
        assert housekeeping is not None, "it is there whenever the loop is"
        waiters = [
            asyncio.ensure_future(one.wait_failed()) for one in (loop, housekeeping, self._planner)
        ]
        try:
            done, _ = await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for waiter in waiters:
                waiter.cancel()

    # --- Fleet -------------------------------------------------------------------------------

    async def drain_slice(self, slice_id: SliceId) -> bool:
        """See iris.autoscaler.demand.Fleet."""
        drained = False

        def make(state: ControllerState) -> events.Event | None:
            nonlocal drained
            known = state.fleet.slices.get(slice_id)
            drained = known is None or not known.attempts
            return events.SliceDraining(self._clock.now(), slice_id) if drained else None

        await self._running.request(make)
        if not drained:
            self._running.show_fleet()  # the autoscaler's view was out of date
        return drained

    async def slice_gone(self, slice_id: SliceId, reason: str) -> None:
        """See iris.autoscaler.demand.Fleet."""
        event = events.SliceGone(self._clock.now(), slice_id, reason, self._running.jitter())
        await self._running.request(lambda _: event)

    def scaling_changed(self, report: ScalingReport) -> None:
        """See iris.autoscaler.demand.Fleet."""
        self._running.scaling_changed(report)

    # --- putting it together -----------------------------------------------------------------

    @property
    def _running(self) -> ControlLoop:
        if self._loop is None:
            raise FailedPrecondition("The controller is not running.", hint="Start it first.")
        return self._loop

    async def _start(self) -> str:
        options = self._options
        self._server = create_server(options.token, find_task=self._find_task)
        self._address = f"{options.host}:{bind(self._server, options.host, options.port)}"
        self._store = Store.open(options.state_dir / DATABASE_NAME)
        self._logs = LogStore(options.state_dir / LOG_FOLDER, log_limits(options.retention))
        state = await self._recover(self._store)
        brain = Brain(
            state,
            options.scheduling,
            clock=self._clock,
            ids=self._ids,
            # Seeded from the ids, so that a test that counts its ids gets the same delays again.
            chance=Random(self._ids.fresh("seed")),
            lost_after=options.lost_after.total_seconds(),
            retention=options.retention.jobs,
        )
        self._housekeeping = Housekeeping(
            self._store, self._logs, clock=self._clock, keep_events=options.retention.events
        )
        self._loop = ControlLoop(
            brain, self._store, self._planner, self._hub, self._housekeeping, clock=self._clock
        )
        self._serve(self._server, self._loop, self._logs, brain, self._store)
        self._loop.start()
        self._housekeeping.start(state.jobs.attempt)
        await self._server.start()
        self._planner_started = True
        await self._planner.start(self)
        await self._forget_vanished_slices(state)
        _log.info("controller of %s listens on %s", options.cluster, self._address)
        return self._address

    def _find_task(self, uid: AttemptUid) -> TaskScope | None:
        return active_task(self._running.state, uid)

    async def _recover(self, store: Store) -> ControllerState:
        stored = await store.load()
        state = ControllerState(self._options.retry, stop_grace=self._options.stop_grace)
        state.restore(
            stored.jobs,
            {job_id: list(tasks) for job_id, tasks in stored.tasks.items()},
            stored.attempts,
            stored.workers,
            self._clock.now(),
            stored.next_number,
        )
        if stored.jobs:
            _log.info("recovered %d jobs, %d active", len(stored.jobs), state.jobs.active)
        return state

    def _serve(
        self,
        server: grpc.aio.Server,
        loop: ControlLoop,
        logs: LogStore,
        brain: Brain,
        store: Store,
    ) -> None:
        options = self._options
        bundles = BundleStore(options.bundle_dir, max_bytes=options.max_bundle_bytes)
        identity = ControllerIdentity(self._incarnation_id, self._clock.now())
        service = ControllerService(
            loop,
            self._planner,
            logs,
            self._hub,
            brain.reasons,
            SubmissionRules(self._planner, bundles, options),
            options,
            store=store,
            bundles=bundles,
            identity=identity,
            clock=self._clock,
        )
        workers = WorkerService(
            loop,
            logs,
            self._hub,
            options,
            incarnation_id=identity.incarnation_id,
            clock=self._clock,
        )
        controller_pb2_grpc.add_ControllerServiceServicer_to_server(service, server)
        controller_pb2_grpc.add_BundleServiceServicer_to_server(BundleService(bundles), server)
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(workers, server)
        tickets = TicketService(loop, self._options.token, clock=self._clock, ids=self._ids)
        actor_pb2_grpc.add_TicketServiceServicer_to_server(tickets, server)

    async def _forget_vanished_slices(self, state: ControllerState) -> None:
        """Slices that the state knows and the autoscaler did not find died with an earlier process.

        Their attempts need not wait until their workers have been silent for long enough.
        """
        report = self._planner.report()
        exist = {slice_.slice_id for group in report.groups for slice_ in group.slices}
        known = {worker.record.slice_id for worker in state.fleet if not worker.connected}
        for slice_id in sorted(known - exist - {SliceId("")}):
            await self.slice_gone(slice_id, f"slice {slice_id} did not outlive the last controller")
