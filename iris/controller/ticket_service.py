"""Tickets for calls between tasks."""

from datetime import timedelta

from iris_proto import actor_pb2, actor_pb2_grpc

from iris.controller.loop import ControlLoop
from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.model.errors import NotFound
from iris.model.ids import AttemptUid, user_of
from iris.rpc.scopes import caller_scope, task_token
from iris.rpc.tickets import ticket_key

# So long a caller may use one before it has to ask for the next. Callers and called are given up much
# sooner than this when they are gone: it is the connection that ends then.
TICKET_LASTS = timedelta(minutes=5)


class TicketService(actor_pb2_grpc.TicketServiceServicer):
    """See actor.proto."""

    def __init__(self, loop: ControlLoop, token: str, *, clock: Clock, ids: IdSource) -> None:
        self._loop = loop
        self._token = token
        self._clock = clock
        self._ids = ids

    async def IssueTicket(
        self, request: actor_pb2.IssueTicketRequest, context: object
    ) -> actor_pb2.Ticket:
        """Tasks of one user trust each other; whoever has the cluster's token may call anybody."""
        await self._loop.settled()
        uid = AttemptUid(request.attempt_uid)
        attempt = self._loop.state.jobs.attempt(uid)
        if attempt is None or not attempt.state.is_active:
            raise NotFound(
                f"No attempt {uid} runs.", hint="Look up the endpoint again: it may have moved."
            )
        scope = caller_scope()
        if scope is not None and user_of(scope.job_id) != user_of(attempt.job_id):
            raise scope.refusal(f"call tasks of {attempt.job_id}")
        caller = "cluster" if scope is None else scope.attempt_uid
        bearer = f"{caller}/{self._ids.fresh('ticket')}"
        expires_at = int((self._clock.now() + TICKET_LASTS).timestamp())
        key = ticket_key(task_token(self._token, uid), bearer, expires_at)
        return actor_pb2.Ticket(bearer=bearer, expires_at=expires_at, key=key)
