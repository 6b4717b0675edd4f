"""Finds ports that are written down: two programs that want the same one cannot run at once.

A port to listen on is 0, and told later, or comes from `iris.host.ports.PortAllocator`. Addresses
that are only names (in a message, of a service elsewhere) are not looked at: what counts is a number
in a call that opens a socket, or in a flag of a build target.
"""

import ast
import re
from collections.abc import Iterator

# What opens a listening socket: of the standard library, of asyncio, of grpc, and of iris.rpc.
_OPENERS = frozenset(
    {
        "add_insecure_port",
        "add_secure_port",
        "bind",
        "create_server",
        "start_server",
        "HTTPServer",
        "ThreadingHTTPServer",
        "TCPServer",
        "ThreadingTCPServer",
        "UDPServer",
    }
)
_PORT_FLAG = re.compile(r"--[a-z_]*port[= ]+[1-9][0-9]*")
_ADDRESS = re.compile(r":[1-9][0-9]*$")
_HIGHEST_PORT = 65535


def fixed_ports_in_python(source: str) -> list[int]:
    """Lines of calls that listen on a port of their own choice.

    Raises:
        SyntaxError: it is no Python.
    """
    return sorted(
        call.lineno
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and _name(call.func) in _OPENERS
        and any(_is_port(value) for value in _constants(call))
    )


def fixed_ports_in_flags(text: str) -> list[int]:
    """Lines of a BUILD file that give a program a port."""
    return [number for number, line in enumerate(text.splitlines(), 1) if _PORT_FLAG.search(line)]


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _constants(call: ast.Call) -> Iterator[object]:
    """Of the arguments, of tuples among them (an address is one), and the ends of f-strings."""
    arguments = [*call.args, *(word.value for word in call.keywords if _may_be_port(word.arg))]
    for argument in arguments:
        parts = argument.elts if isinstance(argument, ast.Tuple) else [argument]
        for part in parts:
            if isinstance(part, ast.JoinedStr) and part.values:
                part = part.values[-1]
            if isinstance(part, ast.Constant):
                yield part.value


def _may_be_port(keyword: str | None) -> bool:
    return keyword is not None and ("port" in keyword or "address" in keyword)


def _is_port(value: object) -> bool:
    if isinstance(value, str):
        return _ADDRESS.search(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _HIGHEST_PORT
