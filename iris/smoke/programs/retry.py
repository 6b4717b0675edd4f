"""Fails on its first attempt and succeeds on the next."""

import os
import sys

number = int(os.environ["IRIS_ATTEMPT_NUMBER"])
print(f"attempt {number}", flush=True)
sys.exit(3 if number == 0 else 0)
