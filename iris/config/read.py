"""From a file or a text to a checked configuration."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from iris_proto import config_pb2

from iris.config.completion import complete
from iris.config.errors import ConfigError, Problem
from iris.config.loader import Loaded, load_message
from iris.config.local import DEFAULT_LOCAL_FILE
from iris.config.scalars import Surroundings
from iris.config.validation import validate
from iris.config.yaml_nodes import MAX_TEXT_BYTES
from iris.host.budget import this_machine
from iris.model.resources import Resources

_log = logging.getLogger(__name__)


def _log_warning(warning: Problem) -> None:
    _log.warning("%s", warning)


def load_config(
    path: str | os.PathLike[str],
    *,
    machine: Callable[[], Resources] = this_machine,
    environment: Mapping[str, str] | None = None,
    warn: Callable[[Problem], None] = _log_warning,
) -> config_pb2.ClusterConfig:
    """Reads a configuration file. Raises ConfigError with every problem: `file:line:column: key:
    what is wrong`.

    Args:
        path: The file; relative paths in it are below its folder.
        machine: Says what this machine has, which local scale groups have to fit into.
        environment: What `${NAME}` stands for; None: this process's variables.
        warn: Told of every older spelling that was accepted; by default it is logged.
    """
    path = Path(path)
    text = read_file(path, str(path))
    return parse_config(
        text,
        str(path),
        folder=path.parent,
        machine=machine,
        environment=environment,
        warn=warn,
    )


def parse_config(
    text: str,
    source: str,
    *,
    folder: Path | None = None,
    machine: Callable[[], Resources] = this_machine,
    environment: Mapping[str, str] | None = None,
    warn: Callable[[Problem], None] = _log_warning,
) -> config_pb2.ClusterConfig:
    """The same for a text; `source` names it in errors, `folder` (default: the working one) is
    where relative paths are.
    """
    loaded = read_config(text, source, folder=folder, machine=machine, environment=environment)
    for warning in loaded.warnings:
        warn(warning)
    if loaded.problems:
        raise ConfigError(loaded.problems)
    return loaded.message


def read_config(
    text: str,
    source: str,
    *,
    folder: Path | None = None,
    machine: Callable[[], Resources] = this_machine,
    environment: Mapping[str, str] | None = None,
) -> Loaded[config_pb2.ClusterConfig]:
    """A text's configuration with where each value comes from, and with all problems instead of an
    error. Raises ConfigError only where the text is not YAML.
    """
    surroundings = Surroundings(
        Path(folder or ".").absolute(),
        Path.home,
        os.environ if environment is None else environment,
    )
    loaded = load_message(config_pb2.ClusterConfig, text, source, surroundings)
    loaded = replace(loaded, origins={**loaded.origins, **complete(loaded)})
    return replace(loaded, problems=(*loaded.problems, *validate(loaded, machine)))


def read_file(path: Path, source: str) -> str:
    """A configuration file's text. Raises ConfigError, with `source` for its name, where there is
    none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(None, "", f"{source}: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        message = f"{source}: byte {error.start} is not UTF-8 text; is this a configuration?"
        raise ConfigError([Problem(None, "", message)]) from error


def default_local_config(
    *, machine: Callable[[], Resources] = this_machine
) -> config_pb2.ClusterConfig:
    """The configuration of a local cluster for which none was given. Raises ConfigError on a
    machine too small for it.
    """
    return load_config(DEFAULT_LOCAL_FILE, machine=machine)
