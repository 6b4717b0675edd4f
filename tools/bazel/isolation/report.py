"""Prints what it sees, as JSON: the subject of isolation_test."""

import importlib.util
import json
import sys

import iniconfig

if __name__ == "__main__":
    json.dump(
        {
            "declared": iniconfig.__file__,
            "path": sys.path,
            "version": sys.version_info[:3],
            "found": [name for name in sys.argv[1:] if importlib.util.find_spec(name)],
        },
        sys.stdout,
    )
