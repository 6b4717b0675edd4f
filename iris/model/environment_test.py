"""An environment that cannot be is refused with the value that is wrong."""

import pytest

from iris.model.environment import MAX_SETUP_COMMANDS, EnvironmentSpec
from iris.model.errors import InvalidArgument


@pytest.mark.parametrize("version", ["3.9", "3.11", "3.11.9"])
def test_a_version_of_python(version: str) -> None:
    assert EnvironmentSpec(python=version).has_python_environment


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "asks for nothing"),
        ({"python": "2.7"}, "'2.7' is no version of Python"),
        ({"python": "3"}, "'3' is no version"),
        ({"python": "/usr/bin/python3"}, "'/usr/bin/python3' is no version"),
        ({"lock_file": "/etc/passwd"}, "'/etc/passwd' is no path inside the bundle"),
        ({"lock_file": "../lock"}, "'../lock' is no path"),
        ({"lock_file": "a//lock"}, "'a//lock' is no path"),
        ({"lock_file": "./lock"}, "'./lock' is no path"),
        ({"lock_file": "a\0"}, "is no path"),
        ({"lock_file": "\udcff"}, "is no path"),
        ({"lock_file": "lock", "wheelhouse": "a/../.."}, "The wheelhouse 'a/../..' is no path"),
        ({"wheelhouse": "wheels"}, "'wheels' and no lock file"),
        ({"setup": ("",)}, "'' is no set-up command"),
        ({"setup": ("a\0b",)}, "is no set-up command"),
        ({"setup": ("true",) * (MAX_SETUP_COMMANDS + 1)}, "101 set-up commands; at most 100"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        EnvironmentSpec(**fields)  # type: ignore[arg-type]
    assert says in refused.value.problem
    assert refused.value.hint


@pytest.mark.parametrize(
    ("spec", "has_python", "needs_bundle", "is_uv_lock"),
    [
        (EnvironmentSpec(setup=("true",)), False, False, False),
        (EnvironmentSpec(python="3.11"), True, False, False),
        (EnvironmentSpec(lock_file="requirements.txt"), True, True, False),
        (EnvironmentSpec(lock_file="deep/uv.lock"), True, True, True),
        (EnvironmentSpec(lock_file="deep/my-uv.lock"), True, True, False),
    ],
)
def test_what_it_takes(
    spec: EnvironmentSpec, has_python: bool, needs_bundle: bool, is_uv_lock: bool
) -> None:
    assert spec.has_python_environment == has_python
    assert spec.needs_bundle == needs_bundle
    assert spec.is_uv_lock == is_uv_lock
