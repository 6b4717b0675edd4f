"""Waits for ever on its first attempt; ends well at once on any later one."""

import os
import time

number = int(os.environ["IRIS_ATTEMPT_NUMBER"])
print(f"ready attempt={number} on={os.environ['IRIS_WORKER_ID']}", flush=True)
while number == 0:
    time.sleep(3600)
print(f"done by attempt {number}", flush=True)
