"""The program that compiles libraries on machines without rules_python: the same bytes wherever the
sources lie and whenever, valid beside their source, and never a reason for a build to fail.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from absl import flags

_COMPILE = flags.DEFINE_string("compile", "", "The program.")
_NAME = "some/module.py"
# By PEP 552: bit 0 says that the file is valid by hash, bit 1 (not set) that it is to be checked.
_UNCHECKED = 0b01


def _compiled(folder: Path, text: str, modified: int) -> Path:
    folder.mkdir()
    source, output = folder / "module.py", folder / "module.pyc"
    source.write_text(text)
    os.utime(source, (modified, modified))
    subprocess.run([sys.executable, _COMPILE.value, source, _NAME, output], check=True)
    return output


def test_the_bytes_hold_no_time_and_no_folder(tmp_path: Path) -> None:
    text = "WORDS = {'b', 'a', 'c'}\ndef where():\n    return where.__code__.co_filename\n"
    one = _compiled(tmp_path / "one", text, 1_000).read_bytes()
    two = _compiled(tmp_path / "two", text, 2_000).read_bytes()
    assert one == two
    assert str(tmp_path).encode() not in one
    assert one[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(one[4:8], "little") == _UNCHECKED


def test_what_does_not_compile_fails_where_it_is_imported(tmp_path: Path) -> None:
    output = _compiled(tmp_path / "one", "def (:\n", 1_000)
    assert output.read_bytes() == b""
