"""From the rows of a push model to rows a destination has acknowledged.

Belongs here: the difference, its plan and guards, the outbox, receipts. Does not belong here: which
customers are chosen (dbt models and scores), how each system is spoken to (``connectors.destinations``).
"""

from connectors.activation.activation import Activation, GuardError, PushReport
from connectors.activation.config import Guards, PushConfig, PushError, load_pushes
from connectors.activation.locking import SendInProgressError
from connectors.activation.plan import Plan
from connectors.activation.receipts import RECEIPT_SCHEMA
from connectors.activation.rows import RowsError

__all__ = [
    "RECEIPT_SCHEMA",
    "Activation",
    "GuardError",
    "Guards",
    "Plan",
    "PushConfig",
    "PushError",
    "PushReport",
    "RowsError",
    "SendInProgressError",
    "load_pushes",
]
