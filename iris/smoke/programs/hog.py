"""Takes the memory it is told to (in MiB) and touches all of it, then waits to be found."""

import sys
import time

print("ready", flush=True)
taken = []
for _ in range(int(sys.argv[1])):
    taken.append(b"x" * (1 << 20))
time.sleep(60)
print("nobody noticed", flush=True)
