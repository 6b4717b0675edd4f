"""Writes numbered lines, and a secret it was given, then the digest of all of it.

Usage: flood.py LINES [GATE]. The secret is in SMOKE_TOKEN. With a gate, only the first line comes before that file is
there.
"""

import hashlib
import os
import sys
import time

total = int(sys.argv[1])
secret = os.environ["SMOKE_TOKEN"]
print(f"the secret is {secret}, and {secret} again", flush=True)
while len(sys.argv) > 2 and not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
digest = hashlib.sha256()
for start in range(0, total, 1000):
    text = "".join(f"line {number}\n" for number in range(start, min(start + 1000, total)))
    digest.update(text.encode())
    sys.stdout.write(text)
sys.stdout.flush()
print(f"digest {digest.hexdigest()}", flush=True)
