"""What every kind of controller has to be able to do, as one suite of tests.

An implementation has a file of tests of its own:

    class TestLocalController(ControllerConformance):
        @pytest.fixture
        def harness(self, tmp_path: Path) -> Iterator[ControllerHarness]: ...

Everything is real: controllers run as processes of this machine, whatever machine they think they
are on, and are asked over real connections.
"""

import pytest

pytest.register_assert_rewrite("iris.testing.controller_conformance.suite")

from iris.testing.controller_conformance.harness import (  # noqa: E402
    ControllerHarness,
    conformance_config,
)
from iris.testing.controller_conformance.suite import ControllerConformance  # noqa: E402

__all__ = ["ControllerConformance", "ControllerHarness", "conformance_config"]
