"""SIGKILL at any instant loses nothing that was acknowledged, doubles nothing, and halves nothing."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

from iris.controller.store import Database
from iris.controller.store.kill_writer import Story, turns_of

SEED = int(os.environ.get("TEST_RANDOM_SEED", "0"))
KILLS = 40


def writer(path: Path) -> subprocess.Popen[bytes]:
    """One that waits for the word."""
    return subprocess.Popen(
        [sys.executable, "-m", "iris.controller.store.kill_writer", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def let_run_and_kill(process: subprocess.Popen[bytes], chance: Random) -> int:
    """The last turn that it acknowledged; 0 if it came to none."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()
    wanted = chance.choice((0, 1, 2, 5, 10, 20))
    said = b""
    while said.count(b"\n") < wanted:
        more = os.read(process.stdout.fileno(), 4096)
        assert more, "the writer has ended by itself"
        said += more
    # From there on some instant: of a commit, of pruning, or of opening the file.
    moment = chance.uniform(0, 0.005) if wanted else chance.uniform(0, 0.02)
    select.select([], [], [], moment)
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read()
    assert process.wait() == -signal.SIGKILL
    process.stdin.close()
    process.stdout.close()
    whole = said[: said.rfind(b"\n") + 1].split()
    return int(whole[-1]) if whole else 0


def check(database: Database, acknowledged: int, story: Story) -> int:
    """Everything up to the last turn is there once, and that is the one that was acknowledged or
    the one that was under way. Returns its number.
    """
    turns = dict(turns_of(database))
    last = max(turns, default=0)
    assert last - acknowledged in (0, 1), f"{acknowledged} was acknowledged, {last} is the last"
    assert list(turns) == list(range(min(turns, default=1), last + 1))
    assert turns == {turn: len(story.events(turn)) for turn in turns}
    assert list(database.events()) == [event for turn in turns for event in story.events(turn)]
    found = database.load()
    jobs, tasks, attempts = story.stored_after(last)
    assert list(found.jobs) == jobs
    assert found.tasks == tasks
    assert list(found.attempts) == attempts
    assert found.next_number == story.next_number(last)
    return last


def test_what_was_acknowledged_survives_a_kill_at_any_instant(tmp_path: Path) -> None:
    print(f"TEST_RANDOM_SEED={SEED}")
    chance, story, path = Random(SEED), Story(), tmp_path / "state.db"
    last = 0
    unsaid = 0
    waiting = writer(path)
    for kill in range(KILLS):
        process, waiting = waiting, writer(path)
        try:
            acknowledged = max(last, let_run_and_kill(process, chance))
            database = Database.open(path, durable=False)
            last = check(database, acknowledged, story)
            unsaid += last > acknowledged
            database.close()
        except BaseException:
            print(f"kill {kill} of {KILLS}")
            waiting.kill()
            waiting.communicate()
            raise
    waiting.kill()
    waiting.communicate()
    assert last > KILLS, "too few commits to mean anything"
    print(f"{last} turns, of {unsaid} the word did not get out")
