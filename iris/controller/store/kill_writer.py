"""For kill_test: commits turn after turn, and says so after each, until it is killed.

A turn submits some jobs, ends those of the turn before and forgets those of the third before that.
What is in turn number n follows from n alone, so who finds the file knows what has to be in it.

Usage: kill_writer FILE. Begins once it is sent a line.
"""

import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from random import Random

from iris.controller.state.events import Event
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord
from iris.controller.store import Changes, Database
from iris.controller.store.sample_records import NOW, job, ran, submitted
from iris.model.ids import JobId

_SIZES = (1, 1, 1, 2, 5, 30, 300)
_KEPT_TURNS = 10

_job = lru_cache(4096)(job)


class Story:
    """What each turn has in it."""

    def __init__(self) -> None:
        self._next = [1]  # by turn; nothing happens in turn 0

    def jobs(self, turn: int) -> tuple[JobRecord, ...]:
        """Those that it submits; none before the first."""
        if turn < 1:
            return ()
        return tuple(map(_job, range(self.next_number(turn - 1), self.next_number(turn))))

    def next_number(self, turn: int) -> int:
        """Of the job after its last."""
        while len(self._next) <= turn:
            self._next.append(self._next[-1] + Random(len(self._next)).choice(_SIZES))
        return self._next[turn]

    def events(self, turn: int) -> list[Event]:
        """What happens in it."""
        return submitted(*self.jobs(turn), at=NOW + timedelta(seconds=turn))

    def changes(self, turn: int) -> Changes:
        """The records that it writes."""
        ends = [ran(each) for each in self.jobs(turn - 1)]
        return Changes(
            (*self.jobs(turn), *(record for end in ends for record in end.jobs)),
            tuple(task for end in ends for task in end.tasks),
            tuple(attempt for end in ends for attempt in end.attempts),
            pruned=tuple(each.job_id for each in self.jobs(turn - 3)),
        )

    def stored_after(
        self, turn: int
    ) -> tuple[list[JobRecord], dict[JobId, tuple[TaskRecord, ...]], list[AttemptRecord]]:
        """What there is once it is committed: jobs, tasks, attempts."""
        ends = [ran(each) for before in (turn - 2, turn - 1) for each in self.jobs(before)]
        return (
            [*(record for end in ends for record in end.jobs), *self.jobs(turn)],
            {job_id: (task,) for end in ends for job_id, task in end.tasks},
            [attempt for end in ends for attempt in end.attempts],
        )


def turns_of(database: Database) -> Iterator[tuple[int, int]]:
    """Number and number of events of each turn that is there."""
    yield from database._connection.execute(
        "SELECT number, last_event - first_event + 1 FROM turns ORDER BY number"
    )


def main(path: Path) -> None:
    """See the module."""
    sys.stdin.readline()
    database = Database.open(path)
    story = Story()
    turn = max((number for number, _ in turns_of(database)), default=0)
    while True:
        turn += 1
        database.commit(story.events(turn), story.changes(turn))
        print(turn, flush=True)
        if turn % 5 == 0:
            database.prune_events(NOW + timedelta(seconds=turn - _KEPT_TURNS))
            database.shrink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
