"""What every command works with."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from iris.cli.folder import caller_folder
from iris.cli.names import user_name
from iris.cli.terminal import Terminal
from iris.host.clock import Clock
from iris.host.ids import IdSource


@dataclass(frozen=True, slots=True)
class Context:
    """The world around one command.

    Attributes:
        folder: Where the person stands; relative paths they give are below it.
        command: How this program is called, for hints.
        opened: What the command keeps open until its end, such as a tunnel.
    """

    environment: Mapping[str, str]
    folder: Path
    user: str
    terminal: Terminal
    clock: Clock
    ids: IdSource
    command: str
    opened: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def of(
        cls,
        environment: Mapping[str, str],
        cwd: Path,
        terminal: Terminal,
        clock: Clock,
        ids: IdSource,
    ) -> "Context":
        """For a program with this environment in this folder."""
        folder, user = caller_folder(environment, cwd), user_name(environment)
        return cls(environment, folder, user, terminal, clock, ids, _command(environment, folder))


def _command(environment: Mapping[str, str], folder: Path) -> str:
    """`iris`, unless Bazel ran us: then that is how to call us again."""
    workspace = environment.get("BUILD_WORKSPACE_DIRECTORY")
    if workspace is None:
        return "iris"
    wrapper = "./bazelw" if folder == Path(workspace) else f"{workspace}/bazelw"
    return f"{wrapper} run //tools:iris --"
