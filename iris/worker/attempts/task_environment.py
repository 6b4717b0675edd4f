"""The environment variables of a task, built from nothing: only what is put in here is in it."""

from collections.abc import Mapping
from pathlib import Path

from iris.model.fleet import ATTRIBUTE_TPU_NAME, ATTRIBUTE_TPU_TOPOLOGY, ATTRIBUTE_TPU_WORKER_ID
from iris.model.ids import AttemptUid, WorkerId
from iris.worker.attempts.model import AttemptSpec

# As Cloud TPU's own machines name them.
_TPU_VARIABLES = {
    "TPU_NAME": ATTRIBUTE_TPU_NAME,
    "TPU_WORKER_ID": ATTRIBUTE_TPU_WORKER_ID,
    "TPU_TOPOLOGY": ATTRIBUTE_TPU_TOPOLOGY,
}


def task_environment(
    uid: AttemptUid,
    spec: AttemptSpec,
    *,
    worker_id: WorkerId,
    controller_address: str,
    attributes: Mapping[str, str],
    inherit: Mapping[str, str],
    home: Path,
    tmp: Path,
    ports: Mapping[str, int],
) -> dict[str, str]:
    """What the task sees. The job's own variables win over all but Iris's (it cannot name those)."""
    return (
        dict(inherit)
        | {"HOME": str(home), "TMPDIR": str(tmp)}
        | _tpu(spec, attributes)
        | dict(spec.env)
        | {
            "IRIS_JOB_ID": spec.job_id,
            "IRIS_TASK_ID": spec.task_id,
            "IRIS_TASK_INDEX": str(spec.task_index),
            "IRIS_NUM_TASKS": str(spec.num_tasks),
            "IRIS_ATTEMPT_ID": uid,
            "IRIS_ATTEMPT_NUMBER": str(spec.number),
            "IRIS_CONTROLLER_ADDRESS": controller_address,
            "IRIS_WORKER_ID": worker_id,
        }
        | ({"IRIS_TASK_TOKEN": spec.task_token} if spec.task_token else {})
        | ({"IRIS_PEER_HOSTS": ",".join(spec.peer_hosts)} if spec.peer_hosts else {})
        | {f"IRIS_PORT_{name.upper()}": str(port) for name, port in ports.items()}
    )


def _tpu(spec: AttemptSpec, attributes: Mapping[str, str]) -> dict[str, str]:
    if ATTRIBUTE_TPU_NAME not in attributes:
        return {}
    variables = {
        variable: attributes[attribute]
        for variable, attribute in _TPU_VARIABLES.items()
        if attribute in attributes
    }
    # A gang's tasks are in the order of the slice's workers.
    if spec.peer_hosts:
        variables["TPU_WORKER_HOSTNAMES"] = ",".join(spec.peer_hosts)
    return variables
