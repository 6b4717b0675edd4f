"""Writes Iris as one file, for the self_contained rule.

The manifest has a line for each file: its path in the folder that the file is unpacked into, a tab, and
where it is.
"""

import pathlib

from absl import app, flags

from iris.ship import write_archive

_MANIFEST = flags.DEFINE_string("manifest", None, "The manifest.", required=True)
_ARCHIVE = flags.DEFINE_string("archive", None, "Where the file goes.", required=True)


def read_manifest(text: str) -> dict[str, pathlib.Path]:
    """Path in the folder -> file.

    Raises:
        app.UsageError: a line has no tab, or two different files want one path.
    """
    files: dict[str, pathlib.Path] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, tab, source = line.partition("\t")
        if not tab:
            raise app.UsageError(f"line {number} of the manifest has no tab: {line!r}")
        path = pathlib.Path(source)
        # Wheels may share a file (of a package that several add to), if they agree on it.
        if name in files and files[name].read_bytes() != path.read_bytes():
            raise app.UsageError(f"{name!r} is {files[name]} and {path}, which differ")
        files[name] = path
    return files


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    files = read_manifest(pathlib.Path(_MANIFEST.value).read_text(encoding="utf-8"))
    write_archive(files, pathlib.Path(_ARCHIVE.value))


if __name__ == "__main__":
    app.run(main)
