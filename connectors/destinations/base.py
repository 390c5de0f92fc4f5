"""What every destination must do, in the words of the sender.

Belongs here: the batch, the answer, the protocol and the two ways in which a delivery fails. Does not
belong here: any protocol's own work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, Protocol

import pyarrow as pa

from connectors.destinations.settings import Column
from connectors.errors import GridCRMError

BatchOp = Literal["upsert", "delete"]


class DestinationUnavailableError(GridCRMError):
    """A transient failure: nobody knows whether the batch arrived, trying again is right.

    ``retry_after_seconds`` is what the destination asked for, if it did.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DestinationRefusedError(GridCRMError):
    """The destination will not take the batch, and trying again changes nothing: credentials, a missing
    table."""


@dataclass(frozen=True)
class Batch:
    """Rows for one delivery. ``batch_id`` is derived from them, so sending a batch again is harmless.

    ``rows`` has ``key`` (string) and ``payload`` (string: a JSON object of canonical texts and nulls, keys
    as in ``columns``); for a delete the payload is the one last acknowledged.
    """

    batch_id: str
    push: str
    op: BatchOp
    as_of_date: date
    key_column: str
    columns: Mapping[str, Column]
    rows: pa.Table = field(repr=False)


@dataclass(frozen=True)
class Delivery:
    """What became of a batch: the destination's own words for each row it would not take, by key."""

    rejected: Mapping[str, str] = field(default_factory=dict, repr=False)
    artifacts: tuple[str, ...] = ()


class Destination(Protocol):
    """A system outside that takes batches."""

    batch_size: int
    # Rows that differ in this column never share a batch.
    group_column: str | None
    # How often the sender may try a batch; 1 where the transport already repeats each request itself.
    attempts: int

    def check(self, rows: pa.Table) -> None:
        """Look at the ``payload`` of all rows about to be sent; raise DestinationRefusedError if none may
        be."""

    def deliver(self, batch: Batch) -> Delivery:
        """Hand the batch over; the same batch again has no further effect.

        Raises:
            DestinationUnavailableError: transient, try again.
            DestinationRefusedError: permanent, for the whole batch; nothing of it was taken.
        """

    def delivered(self, batch: Batch) -> bool | None:
        """Whether an interrupted delivery arrived; None where the destination cannot say."""

    def withdraw(self, batch: Batch) -> None:
        """Remove what an interrupted delivery, known not to have arrived, left behind."""

    def close(self) -> None:
        """Let go of connections."""
