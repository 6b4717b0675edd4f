"""How a spawner's supervisors contain their trees: the best that this machine allows, found out by
trying when the spawner starts.
"""

from iris.worker.runtime import namespaces, process_tree
from iris.worker.runtime.cgroups import Groups
from iris.worker.runtime.limits import CPU, DISK, MEMORY, PROCESSES

# What can be left out: see `find`.
CGROUPS = "cgroups"
NAMESPACES = "namespaces"
ALL_TIERS = frozenset({CGROUPS, NAMESPACES})


class Containment:
    """What to use for every attempt.

    Attributes:
        groups: Empty where no control groups can be had.
        namespace: Whether a tree gets a PID namespace.
        isolation: All of that in one line.
    """

    def __init__(self, groups: Groups, *, namespace: bool) -> None:
        self.groups = groups
        self.namespace = namespace
        self.isolation = f"{self._how_ended()}; {self._how_limited()}"

    @classmethod
    def find(cls, allowed: frozenset[str]) -> "Containment":
        """Tries what is allowed; without any, trees are held by being walked, which works
        everywhere.
        """
        groups = Groups.find() if CGROUPS in allowed else Groups([])
        return cls(groups, namespace=NAMESPACES in allowed and not namespaces.probe())

    def _how_ended(self) -> str:
        if self.namespace:
            return "PID namespace"
        plain = process_tree.isolation()
        return plain.replace("(", "(cgroup.kill, ", 1) if self.groups.can_kill else plain

    def _how_limited(self) -> str:
        by: dict[str, list[str]] = {}
        for what in (MEMORY, CPU, PROCESSES, DISK):
            version = self.groups.by_version(what)
            by.setdefault(f"cgroup v{version}" if version else "watchdog", []).append(what)
        return ", ".join(f"{', '.join(what)} by {means}" for means, what in by.items())
