"""Who wants to know when something of a job changes.

Nobody polls, and a slow watcher holds up nobody.

A watcher is told that there is something new, not what: it looks at the state when it gets to it,
and so skips what it was too slow for.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from iris.model.ids import JobId


class Watcher:
    """One caller's interest in one job.

    Attributes:
        job_changed: The job's state changed since `clear`.
        logs: Indices of tasks whose logs grew since `clear`.
        closed: The controller stops; there will be nothing more.
    """

    def __init__(self) -> None:
        self.job_changed = False
        self.logs: set[int] = set()
        self.closed = False
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Returns at the next news, or at once if there are some."""
        await self._event.wait()

    def clear(self) -> tuple[bool, set[int]]:
        """Takes the news: whether the job changed, and whose logs grew."""
        self._event.clear()
        news = self.job_changed, self.logs
        self.job_changed, self.logs = False, set()
        return news

    def wake(self) -> None:
        """There are news."""
        self._event.set()


class WatchHub:
    """All watchers, by job. For one event loop."""

    def __init__(self) -> None:
        self._watchers: dict[JobId, set[Watcher]] = {}
        self._closed = False

    @contextmanager
    def watch(self, job_id: JobId) -> Iterator[Watcher]:
        """A watcher for as long as the block lasts."""
        watcher = Watcher()
        if self._closed:
            watcher.closed = True
            watcher.wake()
        self._watchers.setdefault(job_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            watchers = self._watchers[job_id]
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[job_id]

    def __len__(self) -> int:
        return sum(len(watchers) for watchers in self._watchers.values())

    def watched(self) -> Collection[JobId]:
        """The jobs that anybody watches."""
        return self._watchers.keys()

    def jobs_changed(self, job_ids: Iterable[JobId]) -> None:
        """The state of these jobs changed."""
        for job_id in job_ids:
            for watcher in self._watchers.get(job_id, ()):
                watcher.job_changed = True
                watcher.wake()

    def logs_grew(self, job_id: JobId, index: int) -> None:
        """A task of this job has new log lines."""
        for watcher in self._watchers.get(job_id, ()):
            watcher.logs.add(index)
            watcher.wake()

    def close(self) -> None:
        """The controller stops: every watcher is woken for the last time."""
        self._closed = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.closed = True
                watcher.wake()
