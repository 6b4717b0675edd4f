"""The bugs that others had and that show end to end. Each is named after what went wrong."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import Any

from tests.bugs.put_back import Bug


def _report_is_sent_once(outbox: ModuleType) -> None:
    """An end that was sent counts as delivered: on a new connection nobody hears of it."""
    connected = outbox.Outbox.connected

    def forgetful(self: Any) -> Any:
        sent = set(self._end_sent) | self._withheld
        seen = connected(self)
        for uid in sent:
            self._changed.pop(uid, None)
        return [one for one in seen if one.attempt_uid not in sent] if sent else seen

    outbox.Outbox.connected = forgetful


def _no_pause(retry: ModuleType) -> None:
    retry.RetryPolicy.delay = lambda self, retries, jitter: timedelta(0)


def _dead_run_on(attachments: ModuleType) -> None:
    """A lost worker is taken off the list, and its attempts stay what they were."""

    def lose(self: Any, worker: Any, reason: str, at: Any, jitter: float, effects: Any) -> None:
        self._fleet.disconnect(worker)
        effects.reschedule = True

    attachments.Attachments._lose = lose


def _nothing_given_back(fleet: ModuleType) -> None:
    give_back = fleet.Fleet.give_back

    def keep(self: Any, worker_id: Any, uid: Any, at: Any) -> bool:
        worker = self.get(worker_id)
        place = None if worker is None else worker.attempts.get(uid)
        if place is not None and place.stopping:
            return False
        return bool(give_back(self, worker_id, uid, at))

    fleet.Fleet.give_back = keep


def _restart_forgets(database: ModuleType) -> None:
    load = database.Database.load
    database.Database.load = lambda self: replace(
        load(self), jobs=(), tasks={}, attempts=(), workers=()
    )


def _wrong_reason(fit: ModuleType) -> None:
    def misfit(group: Any, constraints: Any) -> Any:
        return fit.Misfit(3, "cpu", "0 cores", "0 cores", "Ask for less.", 1.0)

    fit._unmet_constraint = misfit


def _one_at_a_time(plan: ModuleType) -> None:
    """One idle slice goes back, and the next one not for a long time."""
    made = plan.plan
    first: list[Any] = []

    def slow(*args: Any, **kwargs: Any) -> Any:
        whole = made(*args, **kwargs)
        kept = []
        for decision in whole.decisions:
            if decision.reason is plan.ScalingReason.IDLE:
                if not first:
                    first.append(decision.slice_id)
                if decision.slice_id != first[0]:
                    continue
            kept.append(decision)
        return replace(whole, decisions=tuple(kept))

    plan.plan = slow


def _last_lines_vanish(log_pump: ModuleType) -> None:
    """Output is passed on when more of it comes; what came last never is."""
    feed = log_pump._Pipe.feed
    late: dict[Any, bytes] = {}

    def feed_late(self: Any, data: bytes) -> Any:
        before, late[self] = late.get(self, b""), data
        return feed(self, before)

    log_pump._Pipe.feed = feed_late


def _gangs_are_safe(preempt: ModuleType) -> None:
    preempt.Preemptor.make_room_for_gang = lambda self, *args, **kwargs: None


def _kill_does_nothing(reconcile: ModuleType) -> None:
    """A worker that is told to stop an attempt does not."""
    desired = reconcile.Reconciler.desired

    def deaf(self: Any, *, complete: bool, run: Any, stop: Any) -> Any:
        return desired(self, complete=complete, run=run, stop=())

    reconcile.Reconciler.desired = deaf


def _spoiled_cache(tree_cache: ModuleType) -> None:
    """What is in the cache is handed out, whatever it is."""

    async def trust(self: Any, key: str, say: Any) -> Any:
        return self._lease(self._entries[key])

    tree_cache.TreeCache._checked = trust


def _stop_does_nothing(local: ModuleType) -> None:
    local.LocalController.stop = lambda self: None


def _shared_ports(ports: ModuleType) -> None:
    """Every task is told the same numbers."""
    lease = ports.PortAllocator.lease
    numbers: dict[str, int] = {}

    def shared(self: Any, name: str) -> Any:
        made = lease(self, name)
        made.port = numbers.setdefault(name.partition(" of ")[0], made.port)
        return made

    ports.PortAllocator.lease = shared


def _no_token_needed(auth: ModuleType) -> None:
    async def let_in(self: Any, continuation: Any, details: Any) -> Any:
        return await continuation(details)

    auth.TokenInterceptor.intercept_service = let_in


def _one_slice_after_the_other(autoscaler: ModuleType) -> None:
    """It waits for a slice to come up before it does anything else."""
    turn = autoscaler.Autoscaler._turn

    def wait(self: Any) -> Any:
        slices = [one for group in self._groups.values() for one in group.slices.values()]
        if any(one.vm_group.status().value == "booting" for one in slices):
            return self._clock.now() + timedelta(milliseconds=20)
        return turn(self)

    autoscaler.Autoscaler._turn = wait


def _what_comes_is_not_counted(slices: ModuleType) -> None:
    """A slice that is asked for and not there yet is asked for once more."""
    state = slices.ManagedGroup.state

    def forget(self: Any) -> Any:
        whole = state(self)
        return replace(whole, slices=tuple(one for one in whole.slices if one.booted), creating=0)

    slices.ManagedGroup.state = forget


def _ill_is_well_enough(fleet: ModuleType) -> None:
    refusal = fleet.Fleet.refusal

    def ignore(self: Any, worker: Any) -> str:
        why = refusal(self, worker)
        return "" if why == "unhealthy" else str(why)

    fleet.Fleet.refusal = ignore


def _loop_ends_unnoticed(loop: ModuleType) -> None:
    """A mistake in a turn ends the loop, and the process goes on without it."""

    async def run(self: Any) -> None:
        try:
            while not self._stopping or self._inbox:
                await self._turn()
                await asyncio.sleep(0)
                if len(self.state.jobs):
                    raise ZeroDivisionError("a mistake")
                await self._wait()
        except ZeroDivisionError:
            pass

    loop.ControlLoop._run = run


def _watchers_are_waited_for(loop: ModuleType) -> None:
    """Nothing goes on before everybody who watches a job has been sent what is new, however long that takes."""
    turn = loop.ControlLoop._turn

    async def patient(self: Any) -> None:
        await turn(self)
        everybody = self._hub._watchers
        while any(one.job_changed for some in everybody.values() for one in some):  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    loop.ControlLoop._turn = patient


def _strange_flags_are_the_command(arguments: ModuleType) -> None:
    """A flag of `job run` that nobody knows becomes a part of the user's command."""
    parse = arguments.parse_arguments

    def guess(words: Any) -> Any:
        try:
            return parse(words)
        except arguments.UsageError as error:
            strange = str(error).partition(" has no flag ")[2].partition(".")[0]
            if not strange:
                raise
            place = next(n for n, word in enumerate(words) if word.startswith(strange))
            head, _, tail = arguments.split_command([*words[:place], *words[place + 1 :]])
            return parse([*head, arguments.SEPARATOR, *tail, words[place]])

    arguments.parse_arguments = guess


def _silent_while_building(attempt: ModuleType) -> None:
    attempt.Attempt._say_build = lambda self, text: None


def _secrets_are_shown(redaction: ModuleType) -> None:
    redaction.Redaction.pattern = None


BUGS = {
    "report-lost": Bug(
        "A completion report was lost on the wire, and the finished task was taken for a failure.",
        "iris.worker.stream.outbox",
        "lost-and-doubled-report",
        _report_is_sent_once,
    ),
    "retried-without-pause": Bug(
        "A task that failed was retried again and again without a pause.",
        "iris.controller.state.retry",
        "retries-then-success",
        _no_pause,
    ),
    "dead-tasks-run-on": Bug(
        "A worker was gone, and its dead tasks were running for hours.",
        "iris.controller.state.attachments",
        "worker-killed",
        _dead_run_on,
    ),
    "cancel-keeps-resources": Bug(
        "Cancelling a job did not give its resources back.",
        "iris.controller.state.fleet",
        "cancel-stubborn-tree",
        _nothing_given_back,
    ),
    "restart-forgets": Bug(
        "Restarting the controller lost every job.",
        "iris.controller.store.database",
        "controller-killed",
        _restart_forgets,
    ),
    "wrong-reason": Bug(
        "Too little cpu was given as the reason when an attribute was missing.",
        "iris.autoscaler.fit",
        "unschedulable-explained",
        _wrong_reason,
    ),
    "idle-one-by-one": Bug(
        "Idle slices went back one in five minutes.",
        "iris.autoscaler.plan",
        "slices-go-back",
        _one_at_a_time,
    ),
    "one-slice-after-the-other": Bug(
        "The autoscaler waited for one slow slice, and nothing else was bought or given back.",
        "iris.autoscaler.autoscaler",
        "held-up-slice",
        _one_slice_after_the_other,
    ),
    "what-comes-is-not-counted": Bug(
        "What was on its way was not counted, and too much was bought.",
        "iris.autoscaler.slices",
        "held-up-slice",
        _what_comes_is_not_counted,
    ),
    "ill-worker-gets-work": Bug(
        "A worker with a full disk kept getting work.",
        "iris.controller.state.fleet",
        "ill-worker",
        _ill_is_well_enough,
    ),
    "loop-ends-unnoticed": Bug(
        "An exception ended a loop, nobody noticed, and jobs hung.",
        "iris.controller.loop",
        "hello",
        _loop_ends_unnoticed,
    ),
    "deaf-client-holds-all": Bug(
        "One connection that was half open held up a loop that everybody shared.",
        "iris.controller.loop",
        "deaf-client",
        _watchers_are_waited_for,
    ),
    "strange-flag-is-command": Bug(
        "A mistyped flag of `job run` silently became a part of the user's command.",
        "iris.cli.arguments",
        "command-line",
        _strange_flags_are_the_command,
    ),
    "last-lines-vanish": Bug(
        "The last log lines vanished when a task ended.",
        "iris.worker.logs.log_pump",
        "log-completeness",
        _last_lines_vanish,
    ),
    "silent-while-building": Bug(
        "There were no logs while a task was being built.",
        "iris.worker.attempts.attempt",
        "slow-bundle-download",
        _silent_while_building,
    ),
    "secrets-are-shown": Bug(
        "What was meant to be secret stood in a log.",
        "iris.worker.logs.redaction",
        "log-completeness",
        _secrets_are_shown,
    ),
    "batch-gang-stays": Bug(
        "An interactive job could not take the place of a batch gang.",
        "iris.scheduler.preempt",
        "gang-preemption",
        _gangs_are_safe,
    ),
    "kill-does-nothing": Bug(
        "Killing a local task did nothing.",
        "iris.worker.reconcile",
        "cancel-stubborn-tree",
        _kill_does_nothing,
    ),
    "spoiled-cache": Bug(
        "The bundle cache handed out folders that were not what they should be.",
        "iris.worker.tree_cache",
        "corrupt-bundle",
        _spoiled_cache,
    ),
    "stop-does-nothing": Bug(
        "Stop did nothing, and said that all was well.",
        "iris.lifecycle.local.controller",
        "teardown-leaves-nothing",
        _stop_does_nothing,
    ),
    "shared-ports": Bug(
        "Two tasks were given the same port.",
        "iris.host.ports",
        "named-ports",
        _shared_ports,
    ),
    "no-token-needed": Bug(
        "Calls without a token were answered.",
        "iris.rpc.auth",
        "refused-without-token",
        _no_token_needed,
    ),
}
