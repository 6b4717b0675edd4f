"""Our side of agent.py: requests to it over a connection, as typed calls."""

import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from iris.model.errors import FailedPrecondition, Internal
from iris.platforms.manual.claims import Claim
from iris.ssh import RemoteProcess, SshConnection

# What it is given on its command line; the rest comes down its standard input.
_LOADER = (
    "import sys; f = sys.stdin.buffer; "
    "exec(compile(f.read(int(f.readline())), 'iris-agent', 'exec'))"
)
_NO_SUCH_COMMAND = 127


@dataclass(frozen=True, slots=True)
class HostLook:
    """What a host is, and what runs there.

    Attributes:
        python: Version, implementation, system and machine, as in the file that is shipped.
        executable: Of that Python.
        address: Of the host, as the connection leads to it; empty if it does not know.
        claim: Whoever's it is.
    """

    python: Mapping[str, Any]
    executable: str
    address: str
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class HostAgent:
    """Each call is one run of the agent there. Raises Unavailable when the connection is lost,
    FailedPrecondition for what cannot be done there, and what SshConnection raises.

    Attributes:
        python: The program, as bootstrap.python names it.
    """

    connection: SshConnection
    python: str

    async def look(self) -> HostLook:
        """What is there."""
        told = await self._ask({"action": "look"})
        names = ("python", "implementation", "system", "machine")
        return HostLook(
            python={name: told[name] for name in names},
            executable=told["executable"],
            address="".join(told["address"]),
            claim=Claim.from_json(told["claim"]) if told["claim"] else None,
        )

    async def claim(self, claim: Claim) -> Claim:
        """Takes the host if nobody has it; the claim that is there now, with its vm_id whose it is."""
        told = await self._ask({"action": "claim", "claim": claim.to_json()})
        return Claim.from_json(told.get("claim") or told["held"])

    async def note(self, claim: Claim, hosts: Sequence[str]) -> None:
        """Adds to the claim on which hosts the slice is."""
        await self._ask({"action": "note", **_named(claim), "hosts": list(hosts)})

    async def release(self, claim: Claim) -> None:
        """Gives the host back; nothing of the claim is left there but caches. Idempotent."""
        await self._ask({"action": "release", **_named(claim)})

    async def command(
        self,
        command: str,
        timeout: timedelta,
        environment: Mapping[str, str],
        cwd: str,
        on_line: Callable[[str], None],
    ) -> int:
        """Its exit status, as a shell says it."""
        request = {
            "action": "command",
            "command": command,
            "seconds": timeout.total_seconds(),
            "environment": dict(environment),
            "cwd": cwd,
        }
        return int(
            await self._ask(
                request, on_message=lambda said: on_line(str(said["line"])), keep_open=True
            )
        )

    async def tidy(self, ship_dir: str, digest: str) -> None:
        """Removes what was shipped before, of other digests."""
        await self._ask({"action": "tidy", "ship_dir": ship_dir, "digest": digest})

    async def start(
        self, claim: Claim, argv: Sequence[str], environment: Mapping[str, str], options: str
    ) -> None:
        """Starts the worker; `options` is a line for its standard input, and travels nowhere else."""
        request = {
            "action": "start",
            **_named(claim),
            "argv": list(argv),
            "environment": dict(environment),
        }
        await self._ask(request, more=options.encode() + b"\n")

    async def end(self, claim: Claim, grace: timedelta) -> None:
        """Returns once nothing of the worker is left. Idempotent."""
        await self._ask({"action": "end", **_named(claim), "grace": grace.total_seconds()})

    async def watch(self, claim: Claim, log_from: int) -> AsyncIterator[Mapping[str, Any]]:
        """Yields {"line": ...} of the worker's log until it has registered, then {"state":
        "registered"}, and last, when it has ended, {"problem": why}.
        """
        request = {"action": "watch", "vm_dir": claim.vm_dir, "log_from": log_from}
        async with self._running(request) as process:
            async for message in _messages(process):
                if "ok" in message:
                    yield message["ok"]
                    return
                if "refused" not in message:
                    yield message
            raise await self._how_it_ended(process)

    async def _ask(
        self,
        request: Mapping[str, Any],
        *,
        more: bytes = b"",
        on_message: Callable[[Mapping[str, Any]], None] | None = None,
        keep_open: bool = False,
    ) -> Any:
        async with self._running(request, more) as process:
            if not keep_open:
                await process.close_stdin()
            async for message in _messages(process):
                if "ok" in message:
                    return message["ok"]
                if "refused" in message:
                    raise FailedPrecondition(f"{self.connection.host}: {message['refused']}.")
                if on_message is not None:
                    on_message(message)
            raise await self._how_it_ended(process)

    @contextlib.asynccontextmanager
    async def _running(
        self, request: Mapping[str, Any], more: bytes = b""
    ) -> AsyncIterator[RemoteProcess]:
        source = agent_source()
        data = b"%d\n" % len(source) + source + json.dumps(request).encode() + b"\n" + more
        words = [self.python, "-I", "-S", "-c", _LOADER]
        async with self.connection.process(words) as process:
            await process.write(data)
            yield process

    async def _how_it_ended(self, process: RemoteProcess) -> Exception:
        """What to raise for an agent that ended without its result."""
        host = self.connection.host
        status, _, stderr = await process.wait()
        if status is None:
            return await self.connection.broken(f"a request to {self.python}", stderr)
        lines = stderr.decode(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "without a word"
        if status == _NO_SUCH_COMMAND:
            return FailedPrecondition(
                f"There is no {self.python} on {host}: {said}.",
                hint="Install it, or name another in bootstrap.python.",
            )
        return Internal(f"{self.python} on {host} ended with exit status {status}: {said}.")


@functools.cache
def agent_source() -> bytes:
    """The agent's text."""
    return Path(__file__).with_name("agent.py").read_bytes()


def _named(claim: Claim) -> dict[str, str]:
    return {"label": claim.label, "vm_id": claim.vm_id}


async def _messages(process: RemoteProcess) -> AsyncIterator[Mapping[str, Any]]:
    """What it says; what else is on its standard output (of sitecustomize, say) is left out."""
    async for line in process.lines():
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            yield message
