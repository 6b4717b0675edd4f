"""From a file or a text to a checked configuration."""

import os
from collections.abc import Callable
from pathlib import Path

from iris_proto import config_pb2

from iris.config.errors import ConfigError, Problem
from iris.config.loader import load_message
from iris.config.local import DEFAULT_LOCAL_FILE
from iris.config.scalars import PathBase
from iris.config.validation import validate
from iris.config.yaml_nodes import MAX_TEXT_BYTES
from iris.host.budget import this_machine
from iris.model.resources import Resources


def load_config(
    path: str | os.PathLike[str], *, machine: Callable[[], Resources] = this_machine
) -> config_pb2.ClusterConfig:
    """Reads a configuration file. Raises ConfigError with every problem: `file:line:column: key:
    what is wrong`.

    Args:
        path: The file; relative paths in it are below its folder.
        machine: Says what this machine has, which local scale groups have to fit into.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(None, "", f"{path}: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        message = f"{path}: byte {error.start} is not UTF-8 text; is this a configuration?"
        raise ConfigError([Problem(None, "", message)]) from error
    return parse_config(text, str(path), folder=path.parent, machine=machine)


def parse_config(
    text: str,
    source: str,
    *,
    folder: Path | None = None,
    machine: Callable[[], Resources] = this_machine,
) -> config_pb2.ClusterConfig:
    """The same for a text; `source` names it in errors, `folder` (default: the working one) is
    where relative paths are.
    """
    base = PathBase(Path(folder or ".").absolute(), Path.home)
    loaded = load_message(config_pb2.ClusterConfig, text, source, base)
    problems = (*loaded.problems, *validate(loaded, machine))
    if problems:
        raise ConfigError(problems)
    return loaded.message


def default_local_config(
    *, machine: Callable[[], Resources] = this_machine
) -> config_pb2.ClusterConfig:
    """The configuration of a local cluster for which none was given. Raises ConfigError on a
    machine too small for it.
    """
    return load_config(DEFAULT_LOCAL_FILE, machine=machine)
