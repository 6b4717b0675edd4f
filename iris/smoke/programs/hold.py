"""Says `ready` and waits for ever, or ends by itself after a number of seconds or once a file is there.

Usage: hold.py [SECONDS]
"""

import os
import sys
import time

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
until = time.monotonic() + seconds
print(
    f"ready attempt={os.environ['IRIS_ATTEMPT_NUMBER']} on={os.environ['IRIS_WORKER_ID']}",
    flush=True,
)
while (left := until - time.monotonic()) > 0:
    time.sleep(min(left, 3600))
print("done", flush=True)
