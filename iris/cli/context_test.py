"""How the program is called, for hints."""

from pathlib import Path

import pytest

from iris.cli.fake_person import FakePerson


@pytest.mark.parametrize(
    ("environment", "folder", "command"),
    [
        ({}, "/p", "iris"),
        ({"BUILD_WORKSPACE_DIRECTORY": "/w"}, "/w", "./bazelw run //tools:iris --"),
        ({"BUILD_WORKSPACE_DIRECTORY": "/w"}, "/p", "/w/bazelw run //tools:iris --"),
    ],
)
def test_how_to_call_again(environment: dict[str, str], folder: str, command: str) -> None:
    assert FakePerson(Path(folder), environment).context.command == command
