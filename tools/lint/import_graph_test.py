"""Tests that every import goes down, that pure rooms are pure, and that a breach would be found."""

import pathlib

import pytest
from absl import flags

from tools.lint import import_graph
from tools.lint.import_graph import ROOMS, read_sources, unused_rules, violations

_CONFIGURATION = flags.DEFINE_string(
    "configuration", None, "ruff.toml, in the sources' root.", required=True
)


def test_every_import_goes_down_and_pure_rooms_are_pure() -> None:
    sources = read_sources(pathlib.Path(_CONFIGURATION.value).parent)
    assert len(sources) > 20, "the workspace's sources are not there"
    assert violations(sources) == []
    assert unused_rules(sources) == []


def test_the_order_of_rooms_has_no_circle() -> None:
    above: list[set[str]] = []
    left = {room: set(below) for room, below in ROOMS.items()}
    while left:
        ready = {room for room, below in left.items() if not below}
        assert ready, f"these rooms need each other: {sorted(left)}"
        above.append(ready)
        left = {room: below - ready for room, below in left.items() if room not in ready}


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        ("iris/model/a.py", "import iris.config.load", "model may not import iris.config.load"),
        ("iris/model/a.py", "from iris import config", "model may not import iris.config"),
        ("iris/model/a.py", "from ..config import load", "model may not import iris.config.load"),
        (
            "iris/model/__init__.py",
            "from ..config import load",
            "model may not import iris.config.load",
        ),
        ("iris/controller/a.py", "from iris.worker.worker import Worker", "controller may not"),
        ("iris/controller/a.py", "import iris.platforms.local", "controller may not"),
        ("iris/worker/a.py", "from iris.controller import state", "worker may not"),
        ("iris/worker/a.py", "def f():\n    import iris.controller", "iris/worker/a.py:2:"),
        (
            "iris/worker/a.py",
            "from iris.testing import clock",
            "worker may not import iris.testing",
        ),
        ("iris/cli/a.py", "from iris.cli.fake_person import Person", "only tests may import"),
        ("iris/cli/a.py", "from iris.cli import play_fixture", "only tests may import"),
        ("iris/basement/a.py", "", "is no room"),
        ("iris/model/a.py", "import time", "may not import time"),
        ("iris/model/a.py", "from os import path", "may not import os.path"),
        ("iris/model/a.py", "import grpc.aio", "may not import grpc.aio"),
        (
            "iris/model/a.py",
            "def f():\n    from random import random",
            "may not import random.random",
        ),
        ("iris/scheduler/a.py", "import asyncio", "may not import asyncio"),
        ("iris/controller/state/a.py", "import logging", "may not import logging"),
        ("iris/autoscaler/plan.py", "import datetime\ndatetime.datetime.now()", "call .now()"),
        ("iris/model/a.py", "open('x')", "may not call open()"),
    ],
)
def test_a_breach_is_found(path: str, text: str, problem: str) -> None:
    found = violations({path: text})
    assert len(found) == 1 and problem in found[0], found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("iris/model/a.py", "from iris.model import ids\nimport dataclasses, datetime, math"),
        ("iris/model/a.py", "from iris.version import VERSION"),
        ("iris/controller/a.py", "import asyncio, time\nfrom iris.scheduler import schedule"),
        ("iris/model/a_test.py", "import random, pathlib\nfrom iris.testing import clock"),
        ("iris/cli/fake_person.py", "from iris.testing import clock"),
        ("iris/cli/a_test.py", "from iris.cli.fake_person import Person"),
        ("iris/testing/a.py", "import iris.controller, iris.worker"),
        ("iris/version.py", "import os"),
    ],
)
def test_what_is_allowed_is_no_breach(path: str, text: str) -> None:
    assert violations({path: text}) == []


def test_a_rule_about_nothing_is_found() -> None:
    assert unused_rules(["iris/model/ids.py"]) != []
    everything = [name.replace(".", "/") + ".py" for name in import_graph.PURE]
    assert unused_rules(everything) == []
