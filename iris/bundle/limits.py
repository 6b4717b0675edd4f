"""How much a bundle may hold. Checked while packing and, for whoever sends us one, while unpacking."""

from dataclasses import dataclass

from iris.bundle.errors import BundleTooLarge

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """Upper bounds; passing one is a `BundleTooLarge`."""

    entries: int = 100_000
    """Files and links."""
    file_bytes: int = 1024 * _MIB
    """Of one file."""
    content_bytes: int = 2048 * _MIB
    """Of all files together, unpacked. What an archive of a few KiB may grow to."""

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
