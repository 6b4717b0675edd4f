"""A folder as one content-addressed archive: what a job's tasks find in their working directory.

The client packs the caller's folder, the worker unpacks it, a build rule packs a workspace. Which
bundle it is, is its digest: over the sorted (path, mode, content) entries and never over the
archive's bytes, so that a cache entry is good whoever packed it, with whatever compression.
"""

from iris.bundle.digest import BundleInfo
from iris.bundle.errors import BundleMismatch, BundleTooLarge, InvalidBundle, UnpackableFolder
from iris.bundle.ignore import IgnoreRules
from iris.bundle.limits import BundleLimits
from iris.bundle.pack import digest_directory, pack_directory, pack_files
from iris.bundle.unpack import UNPACKING_PREFIX, inspect_archive, unpack

__all__ = [
    "UNPACKING_PREFIX",
    "BundleInfo",
    "BundleLimits",
    "BundleMismatch",
    "BundleTooLarge",
    "IgnoreRules",
    "InvalidBundle",
    "UnpackableFolder",
    "digest_directory",
    "inspect_archive",
    "pack_directory",
    "pack_files",
    "unpack",
]
