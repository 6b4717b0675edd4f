"""What a job's tasks need around them before they start: a Python environment, set-up commands."""

import re
from dataclasses import dataclass

from iris.model.errors import InvalidArgument
from iris.model.texts import can_travel

# Of set-up commands; what takes more is a script of the bundle.
MAX_SETUP_COMMANDS = 100

_PYTHON_VERSION = re.compile(r"3\.[0-9]{1,2}(\.[0-9]{1,3})?")
_UV_LOCK = "uv.lock"


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """A job's environment as it was asked for.

    Attributes:
        python: A version, e.g. "3.11" or "3.11.9", that the worker's machine has; empty: the one
            that the worker itself runs on.
        lock_file: What is installed: the path, in the bundle, of a requirements file in which each
            requirement is pinned and has hashes, or of a uv.lock beside its pyproject.toml. Empty:
            nothing.
        wheelhouse: A folder of the bundle with all the wheels: no network is needed. Empty: they
            come from the index that uv is configured for on the worker.
        setup: Command lines, run by /bin/sh in the task's working folder, one after the other,
            before each attempt's program.
    """

    python: str = ""
    lock_file: str = ""
    wheelhouse: str = ""
    setup: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.python or self.lock_file or self.wheelhouse or self.setup):
            raise InvalidArgument(
                "The job's environment asks for nothing.",
                hint="Leave it out, or name a Python, a lock file or set-up commands.",
            )
        if self.python and not _PYTHON_VERSION.fullmatch(self.python):
            raise InvalidArgument(
                f"{self.python!r} is no version of Python.", hint="Write 3.11 or 3.11.9."
            )
        for what, path in (("lock file", self.lock_file), ("wheelhouse", self.wheelhouse)):
            if path:
                _check_path(what, path)
        if self.wheelhouse and not self.lock_file:
            raise InvalidArgument(
                f"The job names the wheelhouse {self.wheelhouse!r} and no lock file.",
                hint="Name the lock file that says what is installed from it.",
            )
        self._check_setup()

    def _check_setup(self) -> None:
        if len(self.setup) > MAX_SETUP_COMMANDS:
            raise InvalidArgument(
                f"The job has {len(self.setup)} set-up commands; at most {MAX_SETUP_COMMANDS} are taken.",
                hint="Put them into a script of the bundle.",
            )
        for command in self.setup:
            if not command.strip() or not can_travel(command):
                raise InvalidArgument(
                    f"{command!r} is no set-up command.",
                    hint="Write a command line for /bin/sh, without NUL bytes and in UTF-8.",
                )

    @property
    def needs_bundle(self) -> bool:
        """Whether it names files of the bundle."""
        return bool(self.lock_file)

    @property
    def has_python_environment(self) -> bool:
        """Whether there is more to it than set-up commands."""
        return bool(self.python or self.lock_file)

    @property
    def is_uv_lock(self) -> bool:
        """Whether the lock file is uv's own, not a requirements file."""
        return self.lock_file.rpartition("/")[2] == _UV_LOCK


def _check_path(what: str, path: str) -> None:
    parts = path.split("/")
    if not can_travel(path) or any(part in ("", ".", "..") for part in parts):
        raise InvalidArgument(
            f"The {what} {path!r} is no path inside the bundle.",
            hint="Name it relative to the bundle's folder, without '.' and '..'.",
        )
