"""Computes for some seconds of wall time, and says how much of a processor it got.

Usage: spin.py SECONDS
"""

import sys
import time

began, used = time.monotonic(), time.process_time()
until = began + float(sys.argv[1])
while time.monotonic() < until:
    pass
used, took = time.process_time() - used, time.monotonic() - began
print(f"share {used / took:.4f} of one processor: {used:.3f} s in {took:.3f} s", flush=True)
