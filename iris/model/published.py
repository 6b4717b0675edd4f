"""What a running task makes known: where it can be reached, and folders that are to outlive it."""

import re
from dataclasses import dataclass

from iris.model.errors import InvalidArgument
from iris.model.texts import can_travel

MAX_ENDPOINTS = 64
MAX_OUTPUTS = 64
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_ADDRESS = re.compile(r"[!-~]{1,512}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_METADATA = 16
_MAX_METADATA_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an attempt can be reached.

    Attributes:
        name: Within its job.
        address: `host:port`, or a URL.
        metadata: In order of the keys.
    """

    name: str
    address: str
    metadata: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _check_name("endpoint", self.name)
        if not _ADDRESS.fullmatch(self.address):
            raise InvalidArgument(
                f"{self.address[:80]!r} is no address of an endpoint.",
                hint="Write host:port, or a URL; at most 512 characters.",
            )
        words = [word for pair in self.metadata for word in pair]
        characters = sum(map(len, words))
        if len(self.metadata) > _MAX_METADATA or characters > _MAX_METADATA_CHARACTERS:
            raise InvalidArgument(
                f"The endpoint {self.name} has {len(self.metadata)} values of metadata with "
                f"{characters:,} characters.",
                hint=f"At most {_MAX_METADATA} with {_MAX_METADATA_CHARACTERS:,} are taken.",
            )
        if not all(map(can_travel, words)):
            raise InvalidArgument(
                f"The metadata of the endpoint {self.name} has a NUL byte, or is not UTF-8.",
                hint="Encode such bytes, e.g. as base64.",
            )


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """A folder that an attempt has published, kept as a bundle.

    Attributes:
        name: Within its task.
        digest: Of the bundle.
        size_bytes: Of the bundle's archive.
    """

    name: str
    digest: str
    size_bytes: int

    def __post_init__(self) -> None:
        _check_name("output", self.name)
        if not _DIGEST.fullmatch(self.digest):
            raise InvalidArgument(
                f"{self.digest!r} is no bundle digest.", hint="It is sha256: and 64 hex digits."
            )


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name[:80]!r} is no name of an {what}.",
            hint="Use letters, digits, '.', '_' and '-'; at most 63 characters.",
        )
