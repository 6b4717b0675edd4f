"""A Compute Engine whose machines are folders of this machine, with real controllers in them.

All of it lies in one folder: another process that opens the same one sees the same cloud.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from iris.host.files import atomic_write
from iris.host.processes import (
    ProcessIdentity,
    all_processes,
    descendants,
    end_processes,
    process_strings,
)
from iris.lifecycle.gcp.compute_api import Instance, InstanceSpec, InstanceState
from iris.lifecycle.remote.host_messages import read_answer
from iris.model.errors import AlreadyExists, NotFound, Unavailable

_MODULE = "iris.lifecycle.remote.host_program"
_RECORD, _CONSOLE, _HOME = "instance.json", "console", "home"
_END_SECONDS = 10.0


class FakeCompute:
    """See ComputeApi.

    Attributes:
        address: Of every machine that is on.
        host_keys: Of every machine that is on.
        calls: What was asked of this object, in order: names of methods.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = "127.0.0.1"
        self.host_keys: tuple[str, ...] = ()
        self.calls: list[str] = []

    def create(self, spec: InstanceSpec) -> None:
        """See ComputeApi."""
        self.calls.append("create")
        machine = self._folder / spec.name
        try:
            machine.mkdir(parents=True)
        except FileExistsError:
            raise AlreadyExists(f"There is an instance {spec.name} already.") from None
        (machine / _HOME).mkdir()
        self._write(spec.name, labels=dict(spec.labels), metadata=dict(spec.metadata), on=False)
        self._boot(spec.name)

    def find(self, labels: Mapping[str, str]) -> Sequence[Instance]:
        """See ComputeApi."""
        self.calls.append("find")
        records = sorted(self._folder.glob(f"*/{_RECORD}"))
        found = [(path.parent.name, json.loads(path.read_text())) for path in records]
        return [
            self._instance(name, record)
            for name, record in found
            if labels.items() <= record["labels"].items()
        ]

    def power_on(self, name: str) -> None:
        """See ComputeApi."""
        self.calls.append("power_on")
        if not self._read(name)["on"]:
            self._boot(name)

    def power_off(self, name: str) -> None:
        """See ComputeApi."""
        self.calls.append("power_off")
        self._read(name)
        on_it = self.processes(name)
        below = {child for one in on_it for child in descendants(one)}
        end_processes([*on_it, *below], grace=0, deadline=_END_SECONDS)
        self._write(name, on=False)

    def set_metadata(self, name: str, entries: Mapping[str, str]) -> None:
        """See ComputeApi."""
        self.calls.append("set_metadata")
        self._write(name, metadata={**self._read(name)["metadata"], **entries})

    def serial_output(self, name: str) -> str:
        """See ComputeApi."""
        self.calls.append("serial_output")
        self._read(name)
        return (self._folder / name / _CONSOLE).read_text()

    def home(self, name: str) -> Path:
        """Of whoever logs in there."""
        return self._folder / name / _HOME

    def processes(self, name: str) -> list[ProcessIdentity]:
        """What was started on it by who logged in, tasks and workers aside."""
        home = f"HOME={self.home(name)}"
        return [one for one in all_processes() if home in process_strings(one, "environ")]

    def way(self, instance: Instance) -> "FakeHost":
        """To a machine, without SSH."""
        return FakeHost(instance.name, self.home(instance.name))

    def end(self) -> None:
        """Nothing is left."""
        for record in self._folder.glob(f"*/{_RECORD}"):
            self.power_off(record.parent.name)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _boot(self, name: str) -> None:
        script = self._read(name)["metadata"].get("startup-script", "")
        done = subprocess.run(
            ["/bin/sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        console = (
            f"{name} boots\n{done.stdout.decode()}startup-script exit status {done.returncode}\n"
        )
        (self._folder / name / _CONSOLE).write_text(console)
        self._write(name, on=True)

    def _instance(self, name: str, record: Mapping[str, Any]) -> Instance:
        instance = Instance(name, InstanceState.OFF, metadata=record["metadata"])
        if not record["on"]:
            return instance
        return dataclasses.replace(
            instance, state=InstanceState.RUNNING, address=self.address, host_keys=self.host_keys
        )

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return dict(json.loads((self._folder / name / _RECORD).read_text()))
        except FileNotFoundError:
            raise NotFound(f"There is no instance {name}.") from None

    def _write(self, name: str, **changes: Any) -> None:
        path = self._folder / name / _RECORD
        before = json.loads(path.read_text()) if path.exists() else {}
        atomic_write(path, json.dumps({**before, **changes}).encode())


class FakeHost:
    """See RemoteHost: the program runs here, with another home. It is its own session."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self._home = home

    @contextlib.contextmanager
    def session(self) -> Iterator["FakeHost"]:
        """See RemoteHost."""
        if not self._home.is_dir():
            raise Unavailable(f"{self.name} is not there.")
        yield self

    def ask(self, word: str, request: bytes, timeout: timedelta) -> Mapping[str, Any]:
        """See HostSession."""
        done = subprocess.run(
            [sys.executable, "-P", "-s", "-m", _MODULE, word],
            input=request,
            capture_output=True,
            timeout=timeout.total_seconds(),
            env={
                "HOME": str(self._home),
                "PATH": os.defpath,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            cwd=self._home,
            check=False,
        )
        answer = read_answer(done.stdout)
        if answer is None:
            raise Unavailable(f"{self.name} did not answer: {done.stderr.decode()}")
        return answer

    @contextlib.contextmanager
    def forward(self, address: str) -> Iterator[str]:
        """See HostSession: it is the same network."""
        yield address
