"""What can be wrong with a bundle. All are of the project's one family of errors."""

from iris.model.errors import DataLoss, InvalidArgument


class UnpackableFolder(InvalidArgument):
    """A folder holds something that a bundle cannot: the message names the path and says why."""


class InvalidBundle(InvalidArgument):
    """An archive is not a bundle, or would write outside its folder. Nothing of it was kept."""


class BundleTooLarge(InvalidArgument):
    """A limit of `BundleLimits` was passed; the message names it, and the entry where it happened."""


class BundleMismatch(DataLoss):
    """An archive's content is not what its digest says. Nothing of it was kept."""
