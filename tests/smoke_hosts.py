"""The smoke flow with workers on hosts that are reached over SSH: real servers, on this machine.

The flow's own groups, which break machines on purpose, are local ones beside them.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from iris.testing.ssh_hosts import SshHosts

_HOSTS = 4
_CONFIG = """
name: hosts
controller_vm:
  local: {{state_dir: {folder}/state}}
ssh: {{config_file: {ssh_config}}}
scale_groups:
  hosts:
    provider: {{manual: {{hosts: [{names}]}}}}
    bootstrap: {{python: {python}}}
    vm: {{cpu: 2, memory: 1GiB, disk: 1GiB}}
autoscaler: {{idle_timeout: 1s}}
worker: {{inherit_env: [PATH, LANG]}}
"""


def main(flags: list[str]) -> int:
    """The flow's exit code."""
    # Short: paths of sockets may not be long.
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        SshHosts(Path(folder) / "hosts", _HOSTS) as hosts,
    ):
        config = Path(folder) / "hosts.yaml"
        config.write_text(
            _CONFIG.format(
                folder=folder,
                ssh_config=hosts.config_file,
                names=", ".join(hosts.names),
                python=os.path.realpath(sys.executable),
            )
        )
        # A process of its own: the servers are none of what it has to bound and clean up.
        flow = (sys.executable, "-P", "-s", "-m", "iris.smoke.main", f"--config={config}")
        reports = os.environ["TEST_UNDECLARED_OUTPUTS_DIR"]
        return subprocess.run(
            [*flow, f"--report_dir={reports}", *flags],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
