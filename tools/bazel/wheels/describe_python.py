"""Says which CPython runs it, as JSON on standard output.

Run by the stand-in's repository rule with whatever `python3` it found on PATH, which may be a shim
(pyenv, asdf) or belong to a virtual environment, so it looks through both to the interpreter itself.
Any Python 3 must be able to run it: a too old one is refused by what it says, not by a syntax error.

Output:
    executable      the interpreter, with no symbolic link left in its path
    home            its folder, as a pyvenv.cfg wants it
    version         3.11.7
    minor_version   3.11
    identity        what else decides how programs behave; goes into the key of every action
    pip             "-m" when pip is installed with it, else the path of the pip wheel that it brings
                    (ensurepip), else empty
"""

import glob
import json
import os
import platform
import sys
import sysconfig


def find_pip() -> str:
    """How this interpreter can run pip; see the module's docstring."""
    try:
        import pip  # noqa: F401

        return "-m"
    except ImportError:
        pass
    try:
        import ensurepip
    except ImportError:
        return ""
    folders = [os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")]
    folders.append(sysconfig.get_config_var("WHEEL_PKG_DIR"))  # where distributions move it
    for folder in filter(None, folders):
        wheels = sorted(glob.glob(os.path.join(folder, "pip-*.whl")))
        if wheels:
            return wheels[-1]
    return ""


def describe() -> "dict[str, object]":
    """Everything that is printed, as a dictionary."""
    executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    return {
        "executable": executable,
        "home": os.path.dirname(executable),
        "version": platform.python_version(),
        "minor_version": ".".join(platform.python_version_tuple()[:2]),
        "identity": {
            "build": sys.version,
            "implementation": platform.python_implementation(),
            "platform": sysconfig.get_platform(),
            "soabi": sysconfig.get_config_var("SOABI"),
            "version": platform.python_version(),
        },
        "pip": find_pip(),
    }


if __name__ == "__main__":
    json.dump(describe(), sys.stdout)
