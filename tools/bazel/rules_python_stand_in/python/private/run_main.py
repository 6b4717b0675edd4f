"""Runs a program's main file with the import path that its target declared.

The path goes into `sys.path` of this process and not into PYTHONPATH, so that a child process
starts as bare as this one did. The standard library comes first, then the declared imports in
dependency order, then the workspace's root, as in a virtual environment.

Called by the bootstrap script: run_main.py RUNFILES MAIN IMPORTS WORKSPACE [ARGUMENT...], where
MAIN and the colon-separated IMPORTS are relative to RUNFILES.
"""

import os
import runpy
import sys


def main() -> None:
    runfiles, main_file, imports, workspace, *arguments = sys.argv[1:]
    # The main repository's own targets say "_main/../pypi..." for what lies in another one.
    path = [
        os.path.normpath(os.path.join(runfiles, entry)) for entry in imports.split(":") if entry
    ]
    path.append(os.path.join(runfiles, workspace))
    sys.path.extend(entry for entry in dict.fromkeys(path) if entry not in sys.path)
    program = os.path.normpath(os.path.join(runfiles, main_file))
    sys.argv = [program, *arguments]
    runpy.run_path(program, run_name="__main__")


main()
