"""One task hosts a meter, the others add to it, by calls from task to task.

Usage: meters.py GATE. Task 0 waits until each of the others has said goodbye, and until that file is there.
"""

import json
import os
import sys
import threading
import time

import iris.actor
import iris.client
from iris.model.errors import IrisError

task = iris.client.current()
others = task.num_tasks - 1


class Meter:
    """What is added up, and by whom."""

    def __init__(self) -> None:
        self.total = 0
        self.left = set()
        self.all_left = threading.Event()

    def add(self, amount: int) -> int:
        self.total += amount
        return self.total

    def refuse(self, why: str) -> None:
        raise LookupError(why)

    def leave(self, index: int) -> int:
        self.left.add(index)
        if len(self.left) == others:
            self.all_left.set()
        return self.total


def measure() -> None:
    meter = Meter()
    with iris.actor.host(meter, "meter") as name:
        print(f"ready {name}", flush=True)
        if not meter.all_left.wait(300):
            raise SystemExit(f"only {sorted(meter.left)} of {others} have come")
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.01)
    print(f"total {meter.total}", flush=True)


def add() -> None:
    meter = iris.actor.connect(f"{task.job_id}/meter")
    for step in range(1, 11):
        meter.add(task.index * step)
    try:
        meter.refuse(f"not for {task.index}")
    except LookupError as refusal:
        told = {"error": str(refusal), "trace": "in refuse" in "".join(refusal.__notes__)}
    try:
        meter._private()
    except (AttributeError, IrisError) as refusal:
        told["private"] = type(refusal).__name__
    meter.leave(task.index)
    print("told " + json.dumps(told), flush=True)


add() if task.index else measure()
task.close()
