"""Counts to a number in steps, and publishes each step as a checkpoint. Begins where an earlier attempt got to.

Usage: steps.py STEPS PAUSE_AT. The first attempt waits for ever after step PAUSE_AT: something has to end it.
"""

import json
import sys
import time
from pathlib import Path

import iris.client
from iris.model.errors import NotFound

task = iris.client.current()
steps, pause_at = int(sys.argv[1]), int(sys.argv[2])
try:
    task.fetch_output(task.task_id, "checkpoint", "restored")
    state = json.loads(Path("restored", "state.json").read_text())
except NotFound:
    state = {"step": 0, "attempts": []}
print(f"begins at {state['step']}", flush=True)
for step in range(state["step"] + 1, steps + 1):
    state = {"step": step, "attempts": [*state["attempts"], task.attempt_number]}
    if step in (pause_at, steps):
        folder = Path(f"checkpoint-{step}")
        folder.mkdir()
        (folder / "state.json").write_text(json.dumps(state))
        task.publish_output("checkpoint", folder)
    if step == pause_at and task.attempt_number == 0:
        print(f"ready after {step}", flush=True)
        time.sleep(3600)
print("steps " + json.dumps(state["attempts"]), flush=True)
task.close()
