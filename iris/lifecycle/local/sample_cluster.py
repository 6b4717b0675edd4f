"""For tests: a small cluster's configuration, and programs that use LocalController from processes
of their own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris_proto import config_pb2

from iris.config import config_to_yaml, parse_config

_TEXT = """
name: sample
controller_vm:
  local:
    state_dir: {state_dir}
    machine: {{cpu: 1, memory: 1GiB, disk: 1GiB, oversubscribe: true}}
scale_groups:
  cpu:
    provider: {{local: {{}}}}
    vm: {{cpu: 500m, memory: 64MiB, disk: 64MiB}}
    max_slices: 2
autoscaler:
  idle_timeout: 1h
worker:
  stop_grace: 0.2s
"""

# `config` is the sample's; what the program prints is an answer.
_PRELUDE = """
import sys
from pathlib import Path
from iris.config import parse_config
from iris.lifecycle.local.controller import LocalController
from iris.model.errors import IrisError
config = parse_config(Path(sys.argv[1]).read_text(), "sample.yaml")
"""


def sample_config(
    state_dir: Path, *, port: int = 0, hosting: config_pb2.WorkerHosting = config_pb2.IN_PROCESS
) -> config_pb2.ClusterConfig:
    """A cluster that any machine can hold, with its state there."""
    config = parse_config(_TEXT.format(state_dir=state_dir), "sample.yaml")
    config.controller_vm.local.port = port
    config.controller_vm.local.workers = hosting
    return config


@contextmanager
def running_program(
    program: str, config: config_pb2.ClusterConfig, scratch: Path
) -> Iterator[subprocess.Popen[str]]:
    """Another process with a program that finds `config` and LocalController; killed at the end if
    it still runs.
    """
    config_file = scratch / "sample.yaml"
    config_file.write_text(config_to_yaml(config))
    process = subprocess.Popen(
        [sys.executable, "-P", "-s", "-c", _PRELUDE + program, str(config_file)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def run_program(program: str, config: config_pb2.ClusterConfig, scratch: Path) -> str:
    """What it prints. Raises AssertionError if it does not end well."""
    with running_program(program, config, scratch) as process:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output.strip()
