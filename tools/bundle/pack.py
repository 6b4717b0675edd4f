"""Packs the files of a manifest into a bundle, for the workspace_bundle rule.

The manifest has a line for each file: its path in the bundle, a tab, and where it is. Writes the
archive and its digest, and prints the digest with the target's label.
"""

import pathlib

from absl import app, flags

from iris.bundle import UnpackableFolder, pack_files

_MANIFEST = flags.DEFINE_string("manifest", None, "The manifest.", required=True)
_ARCHIVE = flags.DEFINE_string("archive", None, "Where the archive goes.", required=True)
_DIGEST = flags.DEFINE_string("digest", None, "Where the digest goes, as text.", required=True)
_LABEL = flags.DEFINE_string("label", "", "The target that is packed, for messages.")

# How programs begin: scripts, ELF, and Mach-O in its 64-bit and universal forms.
_PROGRAM_MAGIC = (b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


def read_manifest(text: str) -> dict[str, pathlib.Path]:
    """Path in the bundle -> file.

    Raises:
        app.UsageError: a line has no tab, or a path occurs twice.
    """
    files: dict[str, pathlib.Path] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, tab, path = line.partition("\t")
        if not tab:
            raise app.UsageError(f"line {number} of the manifest has no tab: {line!r}")
        if name in files:
            raise app.UsageError(f"line {number} of the manifest: {name!r} occurs twice")
        files[name] = pathlib.Path(path)
    return files


def is_program(path: pathlib.Path) -> bool:
    """Whether a file begins as a program does, whatever its permissions are in this checkout."""
    with path.open("rb") as file:
        return file.read(4).startswith(_PROGRAM_MAGIC)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    files = read_manifest(pathlib.Path(_MANIFEST.value).read_text(encoding="utf-8"))
    try:
        with open(_ARCHIVE.value, "wb") as out:
            info = pack_files(files, out, is_executable=is_program)
    except UnpackableFolder as error:
        raise app.UsageError(str(error)) from error
    pathlib.Path(_DIGEST.value).write_text(f"{info.digest}\n", encoding="utf-8")
    print(f"{_LABEL.value} {info.digest} ({info.entries} files, {info.content_bytes} bytes)")


if __name__ == "__main__":
    app.run(main)
