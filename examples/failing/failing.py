"""Fails on purpose, as a program with a mistake in its input does: a traceback on stderr and exit
code 1.
"""

SAMPLES = {"train": 1200, "test": 0}


def mean_loss(split: str) -> float:
    """Divides by the number of samples, which is zero for one of the splits."""
    return 42.0 / SAMPLES[split]


for split in SAMPLES:
    print(f"{split}: {SAMPLES[split]} samples", flush=True)
    print(f"{split}: mean loss {mean_loss(split):.4f}", flush=True)
