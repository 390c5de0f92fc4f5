"""Who is who: records of many systems become customers with an id that lasts.

Belongs here: pure functions from a table of silo records to customers, the evidence for what was left
undecided, and the ledger that keeps ids alive. Does not belong here: Dagster, reading a source system, or
the survivorship of fields (dbt does that with the cross reference made here).

The path of a record: :mod:`.records` cleans it, :mod:`.model` and :mod:`.matching` compare it with others
(Splink, unsupervised), :mod:`.clusters` groups the pairs that are sure and guards against over-merging,
:mod:`.stable_ids` gives each group the id it had before, and :mod:`.ledger` remembers.
"""

from orchestration.identity.ledger import IdentityLedger
from orchestration.identity.resolution import (
    IdentityConfig,
    IdentityError,
    IdentityState,
    Resolution,
    resolve,
)

__all__ = [
    "IdentityConfig",
    "IdentityError",
    "IdentityLedger",
    "IdentityState",
    "Resolution",
    "resolve",
]
