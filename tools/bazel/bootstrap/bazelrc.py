"""The flags of Debian's Bazel that only the machine can know: where its parts lie.

What lies in the workspace (the registry of files, the stand-in for rules_python) is said in the
project's own `.bazelrc`, under the same `locked_down` configuration; both are added up.
"""

from pathlib import Path

_MODULES = {
    "bazel_features": "usr/share/bazel/tools/features",
    "bazel_skylib": "usr/share/bazel/tools/skylib",
    "platforms": "usr/share/bazel/tools/platforms",
    "rules_cc": "usr/share/bazel/rules/cc",
    "rules_java": "usr/share/bazel/rules/java",
    "rules_license": "usr/share/bazel/rules/license",
    "rules_proto": "usr/share/bazel/rules/proto",
}
"""Modules whose sources Debian ships; the registry they come from elsewhere is out of reach."""


def machine_bazelrc(root: Path, java_home: Path) -> str:
    """The text of the generated rc file for the Bazel in `root`."""
    lines = [
        "# Written by bazelw; deleted and written anew with the folder of the same name.",
        f"startup {_quoted(f'--install_base={root}/usr/share/bazel')}",
        # The install base is a package's folder, not one that Bazel has unpacked and stamped itself.
        "startup --trust_install_base",
        f"startup {_quoted(f'--server_javabase={java_home}')}",
        "common --config=locked_down",
        *(
            f"common:locked_down {_quoted(f'--override_module={name}={root}/{path}')}"
            for name, path in _MODULES.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _quoted(flag: str) -> str:
    """Bazel splits rc lines at white space unless it is quoted."""
    escaped = flag.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if any(character.isspace() for character in flag) else flag
