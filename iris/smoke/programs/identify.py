"""Prints, as one JSON line, what Iris told this task about itself."""

import json
import os

NAMES = (
    "IRIS_JOB_ID",
    "IRIS_TASK_ID",
    "IRIS_TASK_INDEX",
    "IRIS_NUM_TASKS",
    "IRIS_ATTEMPT_ID",
    "IRIS_WORKER_ID",
    "TPU_NAME",
    "TPU_WORKER_ID",
    "TPU_TOPOLOGY",
)

print(json.dumps({name: os.environ.get(name) for name in NAMES} | {"pid": os.getpid()}), flush=True)
