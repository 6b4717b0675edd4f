"""Iris as one file that any machine with the right Python can run: `python3 iris.pyz worker ...`.

The file is a zip with everything in it: Iris, its messages and its wheels. As shared libraries cannot
be loaded out of a zip it unpacks itself, once, into a folder named by its contents.
"""

from iris.ship.archive import Archive, write_archive
from iris.ship.locate import shipped_file

__all__ = ["Archive", "shipped_file", "write_archive"]
