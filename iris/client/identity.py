"""Which attempt of which task this process belongs to, as its environment says."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from iris.model.errors import FailedPrecondition
from iris.model.ids import AttemptUid, JobId, TaskId

_PORT_PREFIX = "IRIS_PORT_"


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """A task that runs, seen from inside.

    Attributes:
        index: Of the task within its job, from 0.
        num_tasks: How many tasks the job has.
        attempt_number: 0 is the task's first attempt.
        controller_address: `host:port`.
        token: What this attempt presents to the controller.
        ports: By the names that the job gave them.
        peer_hosts: Of the gang's tasks in order of their indices; empty without a gang.
    """

    job_id: JobId
    task_id: TaskId
    index: int
    num_tasks: int
    attempt_uid: AttemptUid
    attempt_number: int
    controller_address: str
    token: str = field(repr=False)
    ports: Mapping[str, int] = field(default_factory=dict)
    peer_hosts: tuple[str, ...] = ()


def task_identity(environment: Mapping[str, str]) -> TaskIdentity:
    """Raises FailedPrecondition where this is no task of Iris's."""
    try:
        return TaskIdentity(
            job_id=JobId(environment["IRIS_JOB_ID"]),
            task_id=TaskId(environment["IRIS_TASK_ID"]),
            index=int(environment["IRIS_TASK_INDEX"]),
            num_tasks=int(environment["IRIS_NUM_TASKS"]),
            attempt_uid=AttemptUid(environment["IRIS_ATTEMPT_ID"]),
            attempt_number=int(environment["IRIS_ATTEMPT_NUMBER"]),
            controller_address=environment["IRIS_CONTROLLER_ADDRESS"],
            token=environment["IRIS_TASK_TOKEN"],
            ports={
                name.removeprefix(_PORT_PREFIX).lower(): int(value)
                for name, value in sorted(environment.items())
                if name.startswith(_PORT_PREFIX)
            },
            peer_hosts=tuple(filter(None, environment.get("IRIS_PEER_HOSTS", "").split(","))),
        )
    except KeyError as missing:
        raise FailedPrecondition(
            f"This process is no task of an Iris job: its environment has no {missing.args[0]}.",
            hint="Outside of a task, use Client.connect with the cluster's address and token.",
        ) from None
    except ValueError as error:
        raise FailedPrecondition(
            f"The environment of this task is not as Iris made it: {error}.",
            hint="Do not change variables that begin with IRIS_.",
        ) from None
