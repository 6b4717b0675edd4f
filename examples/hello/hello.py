"""Says hello, and who and where this task is."""

import os
import platform

index, count = os.environ["IRIS_TASK_INDEX"], os.environ["IRIS_NUM_TASKS"]
print(f"Hello from task {index} of {count}, on worker {os.environ['IRIS_WORKER_ID']}.")
print(f"Python {platform.python_version()} in process {os.getpid()}.")
