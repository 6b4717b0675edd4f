"""How much a bundle may hold. Checked while packing and, for whoever sends us one, while unpacking."""

import tarfile
from dataclasses import dataclass

from iris.bundle.errors import BundleTooLarge

_MIB = 1 << 20
_TAR_OVERHEAD = 4 * 512
"""What an entry may take in a tar beside its content: two headers, and padding. (A path that needs
more is paid for by `MAX_HEADER_BYTES`.)"""

MAX_HEADER_BYTES = 1 << 16
"""Of a pax header, which holds a long path. tarfile reads it into memory as a whole."""


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """Upper bounds; passing one is a `BundleTooLarge`."""

    entries: int = 100_000
    """Files and links."""
    file_bytes: int = 1024 * _MIB
    """Of one file."""
    content_bytes: int = 2048 * _MIB
    """Of all files together, unpacked. What an archive of a few KiB may grow to."""

    @property
    def archive_bytes(self) -> int:
        """Of its archive, compressed or not: gzip makes what it cannot compress a little longer."""
        tar = self.content_bytes + (self.entries + 1) * _TAR_OVERHEAD
        return tar + tar // 1000 + MAX_HEADER_BYTES + tarfile.RECORDSIZE

    def check(self, path: str, *, entries: int, file_bytes: int, content_bytes: int) -> None:
        """Checks the running totals of a bundle, with the entry that was reached.

        Args:
            path: that entry's path, for the message.
            entries: how many there are so far, with this one.
            file_bytes: the size of this one.
            content_bytes: of all so far, with this one.

        Raises:
            BundleTooLarge: one of them is above its limit.
        """
        for what, is_, may_be in (
            ("entries", entries, self.entries),
            (f"bytes in {path!r}", file_bytes, self.file_bytes),
            ("bytes in all files together", content_bytes, self.content_bytes),
        ):
            if is_ > may_be:
                raise BundleTooLarge(
                    f"The bundle has at least {is_:,} {what}, at {path!r}; {may_be:,} are allowed.",
                    hint="Leave out what the job does not read: name it in .irisignore.",
                )
