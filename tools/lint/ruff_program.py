"""Where ruff is: in the wheel's bin folder, beside its site-packages."""

import pathlib

import ruff


def ruff_program() -> pathlib.Path:
    """The executable."""
    return pathlib.Path(ruff.__file__).parents[2] / "bin/ruff"
