"""What could not be ended when its slice was, because its host was out of reach: ended once that is back."""

import asyncio
import logging
from datetime import timedelta

from iris.host.clock import Clock
from iris.model.errors import IrisError
from iris.platforms.manual.claims import Claim
from iris.platforms.manual.host_agent import HostAgent
from iris.platforms.manual.options import ManualOptions
from iris.ssh import SshClient

_LOG = logging.getLogger(__name__)
# A worker gets its attempts' grace cut short, and needs some seconds more for its last words.
_END_GRACE = timedelta(seconds=10)


async def clear(agent: HostAgent, claim: Claim) -> None:
    """Ends all that runs under a claim, waits until nothing is left, and gives the host back. Idempotent."""
    await agent.end(claim, _END_GRACE)
    await agent.release(claim)


class Leftovers:
    """Belongs to one event loop; `stop` ends the trying."""

    def __init__(self, ssh: SshClient, options: ManualOptions, clock: Clock) -> None:
        self._ssh = ssh
        self._options = options
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, host: str, claim: Claim) -> None:
        """Tries again as often as hosts that are set aside are."""
        task = asyncio.create_task(self._clear(host, claim), name=f"leftovers of {claim.vm_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _clear(self, host: str, claim: Claim) -> None:
        while True:
            await self._clock.sleep(self._options.set_aside.total_seconds())
            try:
                connection = await self._ssh.connect(host, self._options.ssh)
                try:
                    await clear(HostAgent(connection, self._options.python), claim)
                finally:
                    await connection.close()
            except IrisError as error:
                _LOG.info("%s is still left on %s: %s", claim.vm_id, host, error)
            else:
                _LOG.info("nothing of %s is left on %s any more", claim.vm_id, host)
                return
