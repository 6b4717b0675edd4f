"""No program and no test of the project listens on a port that is written down."""

from pathlib import Path

import pytest
from absl import flags

from tests.hermetic.fixed_ports import fixed_ports_in_flags, fixed_ports_in_python

CONFIGURATION = flags.DEFINE_string(
    "configuration", None, "A file in the root of the sources.", required=True
)


def root() -> Path:
    return Path(CONFIGURATION.value).parent


def test_every_source_is_looked_at() -> None:
    names = {str(path.relative_to(root())) for path in root().rglob("*.py")}
    assert {"iris/worker/worker.py", "tests/smoke_local.py", "iris/rpc/rpc_test.py"} <= names


def test_no_python_listens_on_a_fixed_port() -> None:
    found = [
        f"{path.relative_to(root())}:{line}"
        for path in sorted(root().rglob("*.py"))
        for line in fixed_ports_in_python(path.read_text())
    ]
    assert found == []


def test_no_target_is_given_a_fixed_port() -> None:
    found = [
        f"{path.relative_to(root())}:{line}"
        for path in sorted(root().rglob("*.txt"))
        for line in fixed_ports_in_flags(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "socket.create_server(('127.0.0.1', 8080))",
        "server.bind(('', 80))",
        "await asyncio.start_server(handle, '127.0.0.1', 50051)",
        "await loop.create_server(make, host='::1', port=8080)",
        "bind(server, '127.0.0.1', 7077)",
        "server.add_insecure_port('[::]:50051')",
        "server.add_insecure_port(f'{host}:50051')",
        "HTTPServer(('localhost', 8000), Handler)",
    ],
)
def test_a_fixed_port_is_recognised(source: str) -> None:
    assert fixed_ports_in_python(f"async def f():\n    {source}\n") == [2]


@pytest.mark.parametrize(
    "source",
    [
        "socket.create_server(('127.0.0.1', 0))",
        "socket.create_server(('', port))",
        "server.bind(str(folder / 'socket'))",
        "server.add_insecure_port(f'127.0.0.1:{port}')",
        "server.add_insecure_port('127.0.0.1:0')",
        "socket.create_connection(('127.0.0.1', 8080))",
        "create_server(address, backlog=128)",
    ],
)
def test_a_port_that_is_found_out_is_not(source: str) -> None:
    assert fixed_ports_in_python(source) == []


def test_a_port_in_a_flag_is_recognised() -> None:
    text = 'py_test(\n    args = ["--port=8080", "--reports=3"],\n)\npy_test(args = ["--port=0"])\n'
    assert fixed_ports_in_flags(text) == [2]
