"""YAML to a typed, complete configuration; every error says where, what, and what is near it.

The schema is iris_proto/config.proto. What is exported here is imported when it is first used: a
controller that is starting, or a command that only parses a size, needs no YAML parser.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iris.config.budget import check_budget, machine_budget
    from iris.config.dump import config_to_yaml
    from iris.config.errors import ConfigError, Position, Problem
    from iris.config.explain import Explained, Source, explain_config
    from iris.config.groups import scale_groups_of
    from iris.config.local import make_local_config
    from iris.config.quantities import parse_cpu, parse_duration, parse_size
    from iris.config.read import default_local_config, load_config, parse_config, read_file

_MODULES = {
    "ConfigError": "errors",
    "Explained": "explain",
    "Position": "errors",
    "Problem": "errors",
    "Source": "explain",
    "check_budget": "budget",
    "config_to_yaml": "dump",
    "default_local_config": "read",
    "explain_config": "explain",
    "load_config": "read",
    "machine_budget": "budget",
    "make_local_config": "local",
    "parse_config": "read",
    "parse_cpu": "quantities",
    "parse_duration": "quantities",
    "parse_size": "quantities",
    "read_file": "read",
    "scale_groups_of": "groups",
}

__all__ = [
    "ConfigError",
    "Explained",
    "Position",
    "Problem",
    "Source",
    "check_budget",
    "config_to_yaml",
    "default_local_config",
    "explain_config",
    "load_config",
    "machine_budget",
    "make_local_config",
    "parse_config",
    "parse_cpu",
    "parse_duration",
    "parse_size",
    "read_file",
    "scale_groups_of",
]


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
