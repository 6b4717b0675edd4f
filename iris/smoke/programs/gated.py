"""Says `ready` with its attempt, writes a line every 20 ms, and ends well once a file is there.

Usage: gated.py PATH. The path is one that whoever runs the flow can write to: this is for tasks on its machine.
"""

import os
import sys
import time

print(f"ready attempt={os.environ['IRIS_ATTEMPT_NUMBER']}", flush=True)
number = 0
while not os.path.exists(sys.argv[1]):
    print(f"tick {number}", flush=True)
    number += 1
    time.sleep(0.02)
print(f"done after {number}", flush=True)
