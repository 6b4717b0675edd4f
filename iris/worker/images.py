"""What a runtime starts from. For plain processes that is the machine itself."""

from collections.abc import Callable

from iris.model.errors import FailedPrecondition
from iris.worker.protocols import Image


class MachineImageProvider:
    """An ImageProvider for runtimes that start programs of the machine itself."""

    async def prepare(self, image: Image, say: Callable[[str], None]) -> Image:
        """See ImageProvider. There is one image, the machine, which is there."""
        if image.name:
            raise FailedPrecondition(
                f"The image {image.name!r} cannot be had: this worker runs plain processes.",
                hint="Leave the image out, or use a scale group whose workers run containers.",
            )
        return image
