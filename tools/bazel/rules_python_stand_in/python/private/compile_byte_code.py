"""Compiles modules: compile_byte_code.py [SOURCE NAME OUTPUT]...

SOURCE is a .py file, NAME what tracebacks call it until it is imported, OUTPUT its .pyc. The bytes
depend on the source's text, NAME and the interpreter alone: they hold no time, and are valid for as
long as they lie beside their source, which Bazel sees to. A module that does not compile is an error
when it is imported, and not before: its OUTPUT is left empty, which Python passes over.
"""

import py_compile
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    for source, name, output in zip(*[iter(arguments)] * 3, strict=True):
        try:
            py_compile.compile(
                source,
                cfile=output,
                dfile=name,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError:
            Path(output).touch()


main(sys.argv[1:])
