"""What rules over a whole configuration report with: each problem at the key that is to blame, and
none about what could not even be read.
"""

from dataclasses import dataclass, field

from iris_proto import config_pb2

from iris.config.errors import Problem
from iris.config.loader import Loaded


@dataclass(slots=True)
class Checks:
    """The configuration under test, and what was found so far."""

    loaded: Loaded[config_pb2.ClusterConfig]
    problems: list[Problem] = field(default_factory=list)

    @property
    def config(self) -> config_pb2.ClusterConfig:
        """What the rules are about."""
        return self.loaded.message

    def add(self, path: str, message: str, *compared: str) -> None:
        """Notes a problem, unless one of the values that were compared could not even be read."""
        if all(self.loaded.is_sound(other) for other in (path, *compared)):
            self.problems.append(Problem(self.loaded.position(path), path, message))

    def add_once(self, path: str, message: str) -> None:
        """The same for what is wrong with a value by itself: several scale groups may have it from
        the one place where it is written, and that is where it is noted.
        """
        origin = self.loaded.origins.get(path)
        written = origin.path if origin else path
        problem = Problem(self.loaded.position(path), written, message)
        if self.loaded.is_sound(path) and problem not in self.problems:
            self.problems.append(problem)

    def all_sound(self, path: str) -> bool:
        """Whether a value, and everything in it, was read without a problem."""
        within = (f"{path}.", f"{path}[")
        return not any(bad == path or bad.startswith(within) for bad in self.loaded.unsound)

    def may_weigh_groups(self) -> bool:
        """Whether all that decides about fitting into the machine was read; else a second error
        would mislead.
        """
        weighed = ("scale_group", "controller_vm.local.machine")
        found = (*self.loaded.problems, *self.problems)
        return not any(problem.path.startswith(weighed) for problem in found)

    def is_named(self, path: str) -> bool:
        """Whether the text says it, at the place itself or where it is merged from."""
        return path in self.loaded.origins

    def guilty(self, *paths: str) -> str:
        """The first of these that the text names."""
        return next((path for path in paths if self.is_named(path)), paths[0])
