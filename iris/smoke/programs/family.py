"""A task that submits child jobs, which submit child jobs of their own, and waits for all of them.

Usage: family.py DEPTH. Prints `family <json>`: what each descendant said, by its job.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import iris.client
from iris.model.job import Entrypoint
from iris.model.states import JobState

task = iris.client.current()
depth = int(sys.argv[1])
said = {task.job_id: f"depth {depth}"}
if depth:
    own = task.client.get(task.job_id).spec
    argv = (*own.entrypoint.argv[:-1], str(depth - 1))
    child = task.launch_child("child", replace(own, entrypoint=Entrypoint(argv)))
    ended = child.wait()
    if ended.state is not JobState.SUCCEEDED:
        sys.exit(f"{child.job_id} ended as {ended.state.value}: {ended.error}")
    task.fetch_output(f"{child.job_id}/0", "said", "said-by-child")
    said |= json.loads(Path("said-by-child", "said.json").read_text())
Path("said").mkdir()
Path("said", "said.json").write_text(json.dumps(said))
task.publish_output("said", "said")
print("family " + json.dumps(said), flush=True)
task.close()
