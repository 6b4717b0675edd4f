"""Fails on purpose: prints two lines and exits with the code it is given."""

import sys

print("about to fail", flush=True)
print("the reason: this is what the last line says", file=sys.stderr, flush=True)
sys.exit(int(sys.argv[1]))
