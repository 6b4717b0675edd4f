"""Tests of what the package offers, and that it costs nothing until it is used."""

import os
import subprocess
import sys

import pytest

import iris.config


@pytest.mark.parametrize("name", iris.config.__all__)
def test_every_export_is_there(name: str) -> None:
    assert getattr(iris.config, name).__module__.startswith("iris.config.")


def test_a_name_that_is_not_exported() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'lod_config'"):
        iris.config.__getattr__("lod_config")


def test_yaml_is_imported_only_by_who_reads_yaml() -> None:
    program = "import sys, iris.config, iris.config.groups, iris.config.quantities as q;"
    program += "q.parse_size('1GiB'); print('yaml' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-s", "-c", program],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
