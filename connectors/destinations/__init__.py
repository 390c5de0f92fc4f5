"""Where pushed rows go: one module a kind of destination.

Belongs here: how a batch of rows is handed to a system outside (SQL, SFTP, HTTP), whether it arrived, and
what the system said of each row. Does not belong here: which rows are sent and when; that is
``connectors.activation``.
"""

from connectors.destinations.base import (
    Batch,
    Delivery,
    Destination,
    DestinationRefusedError,
    DestinationUnavailableError,
)
from connectors.destinations.opening import open_destination

__all__ = [
    "Batch",
    "Delivery",
    "Destination",
    "DestinationRefusedError",
    "DestinationUnavailableError",
    "open_destination",
]
