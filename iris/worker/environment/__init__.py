"""What a machine has to offer: as it was told, or as it is."""

from iris.worker.environment.provider import (
    LocalEnvironmentProvider,
    MachineEnvironmentProvider,
)

__all__ = ["LocalEnvironmentProvider", "MachineEnvironmentProvider"]
