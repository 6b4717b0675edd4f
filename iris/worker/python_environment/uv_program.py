"""The uv program: where it is, what it is given of this machine's settings, and its command lines."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path

import uv

from iris.model.errors import FailedPrecondition

# What uv may know of the worker's own environment: how the network is reached, and which indexes
# there are. Nothing that would have it build elsewhere or otherwise.
_KNOWN = frozenset(
    {
        "ALL_PROXY",
        "HOME",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "LANG",
        "LC_ALL",
        "NETRC",
        "NO_PROXY",
        "PATH",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "UV_CONFIG_FILE",
        "UV_DEFAULT_INDEX",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_HTTP_RETRIES",
        "UV_HTTP_TIMEOUT",
        "UV_INSECURE_HOST",
        "UV_KEYRING_PROVIDER",
        "UV_NO_INDEX",
        "UV_OFFLINE",
        "UV_PYTHON_INSTALL_DIR",
        "UV_PYTHON_PREFERENCE",
        "UV_SYSTEM_CERTS",
        "XDG_CONFIG_DIRS",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "all_proxy",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    }
)
# UV_INDEX, UV_INDEX_URL, UV_INDEX_STRATEGY, UV_INDEX_<NAME>_USERNAME and so on.
_KNOWN_PREFIX = "UV_INDEX"
_QUIET = ("--no-progress", "--color", "never")


@functools.cache
def uv_program() -> Path:
    """The executable of the uv wheel. Raises FailedPrecondition where there is none."""
    # Where the wheel's own function does not look: a wheel that was unpacked as it is, with its
    # scripts in the folder beside its site-packages.
    beside = Path(uv.__file__).parents[2] / "bin" / "uv"
    if beside.is_file():
        return beside
    try:
        return Path(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise FailedPrecondition(
            "The uv program is not there: this worker cannot build Python environments.",
            hint="Install Iris with all that requirements_lock.txt names.",
        ) from error


def machine_settings(own: Mapping[str, str]) -> dict[str, str]:
    """Of a process's own variables, those that uv may know."""
    return {
        name: value
        for name, value in own.items()
        if name in _KNOWN or name.startswith(_KNOWN_PREFIX)
    }


def uv_variables(own: Mapping[str, str], tmp: Path) -> dict[str, str]:
    """The environment of uv, from the worker's own."""
    fixed = {"TMPDIR": str(tmp), "UV_PYTHON_DOWNLOADS": "never"}
    return {"PATH": os.defpath} | machine_settings(own) | fixed


def make_environment(target: Path, python: str) -> tuple[str, ...]:
    """An empty environment that may be moved. `python`: a version, or an interpreter's path."""
    return _uv("venv", "--relocatable", "--no-project", "--python", python, str(target))


def export_lock(project: Path, target: Path, requirements: Path) -> tuple[str, ...]:
    """A requirements file with hashes from the uv.lock in the folder `project`; what that locks but
    the project itself, and whatever else is a folder and no distribution.
    """
    return _uv(
        "export",
        "--quiet",
        "--frozen",
        "--no-emit-local",
        "--no-header",
        "--no-annotate",
        "--project",
        str(project),
        "--python",
        _python_of(target),
        "--output-file",
        str(requirements),
    )


def install(target: Path, requirements: Path, wheelhouse: Path | None) -> tuple[str, ...]:
    """Puts what the file names into the environment; with a wheelhouse without any network."""
    offline = ("--offline", "--no-index", "--find-links", str(wheelhouse)) if wheelhouse else ()
    return _uv(
        "pip",
        "install",
        "--require-hashes",
        "--compile-bytecode",
        "--link-mode",
        "hardlink",
        "--python",
        _python_of(target),
        *offline,
        "--requirements",
        str(requirements),
    )


def _uv(*arguments: str) -> tuple[str, ...]:
    # What uv would keep of its own accord has no bound. Here it is the environment that is kept.
    return (str(uv_program()), *arguments, *_QUIET, "--no-cache")


def _python_of(target: Path) -> str:
    return str(target / "bin" / "python")
