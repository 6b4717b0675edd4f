"""What a caller may do: everything with the cluster's token, little with the token of a task.

Each attempt of a task is given a token of its own. It follows from the cluster's token and the
attempt, so nobody has to keep it; it is good for as long as the attempt is active, and only for the
jobs below the task's own.
"""

import hashlib
import hmac
from contextvars import ContextVar
from dataclasses import dataclass

from iris.model.errors import PermissionDenied
from iris.model.ids import AttemptUid, JobId

_PREFIX = "task."
_CONTROLLER = "/iris.v1.ControllerService/"
_BUNDLES = "/iris.v1.BundleService/"
_TICKETS = "/iris.v1.TicketService/"

# What a task may call at all; which jobs and attempts it may name is for the handlers to check.
TASK_METHODS = frozenset(
    {
        *(
            _CONTROLLER + method
            for method in (
                "Health",
                "LaunchJob",
                "GetJob",
                "WatchJob",
                "ExplainJob",
                "TerminateJob",
                "TailLogs",
                "RegisterEndpoint",
                "UnregisterEndpoint",
                "ListEndpoints",
                "PublishOutput",
                "GetOutput",
            )
        ),
        *(_BUNDLES + method for method in ("HasBundle", "UploadBundle", "DownloadBundle")),
        _TICKETS + "IssueTicket",
    }
)


@dataclass(frozen=True, slots=True)
class TaskScope:
    """A caller that is an attempt of a task of this job."""

    attempt_uid: AttemptUid
    job_id: JobId

    def says(self) -> str:
        """What it may do, for people."""
        return (
            f"A task of {self.job_id} may look at that job, run jobs below {self.job_id}/, use its "
            "own endpoints and outputs, and move bundles."
        )

    def refusal(self, what: str) -> PermissionDenied:
        """The error for something that it may not do."""
        return PermissionDenied(f"A task of {self.job_id} may not {what}.", hint=self.says())


# Of the call that is being handled; None: the whole cluster's.
_SCOPE: ContextVar[TaskScope | None] = ContextVar("iris-caller-scope", default=None)


def enter_scope(scope: TaskScope | None) -> None:
    """The rest of this asyncio task handles a call of that caller."""
    _SCOPE.set(scope)


def caller_scope() -> TaskScope | None:
    """Who calls; None: somebody with the cluster's token."""
    return _SCOPE.get()


def check_may_change(job_id: str, doing: str) -> None:
    """Whether the caller may launch or end that job. Raises PermissionDenied."""
    scope = caller_scope()
    if scope is not None and not job_id.startswith(f"{scope.job_id}/"):
        raise scope.refusal(f"{doing} {job_id}")


def check_may_read(job_id: str, doing: str) -> None:
    """Whether the caller may look at that job, or at a task of it. Raises PermissionDenied."""
    scope = caller_scope()
    if scope is not None and job_id != scope.job_id:
        check_may_change(job_id, doing)


def check_is_attempt(uid: str, doing: str) -> None:
    """Whether the caller may speak for that attempt. Raises PermissionDenied."""
    scope = caller_scope()
    if scope is not None and uid != scope.attempt_uid:
        raise scope.refusal(f"{doing} attempt {uid}")


def task_token(cluster_token: str, uid: AttemptUid) -> str:
    """The token of one attempt."""
    mac = hmac.new(cluster_token.encode(), uid.encode(), hashlib.sha256)
    return f"{_PREFIX}{uid}.{mac.hexdigest()}"


def attempt_of_token(cluster_token: str, presented: str) -> AttemptUid | None:
    """The attempt that this is the token of; None if it is not one of this cluster's. Whether the
    attempt is active is another question.
    """
    if not presented.startswith(_PREFIX):
        return None
    uid = AttemptUid(presented.removeprefix(_PREFIX).rpartition(".")[0])
    right = hmac.compare_digest(
        presented.encode(errors="replace"), task_token(cluster_token, uid).encode()
    )
    return uid if right else None
