"""The date a run answers for.

Belongs here: how ``as_of_date`` is chosen. Does not belong here: what is computed as of it. Nothing after
the end of this date enters a feature or a score, so that a run repeated later gives the same answer.
"""

from __future__ import annotations

from datetime import date, timedelta

from orchestration.gateway import Gateway
from orchestration.partitions import window

# The nightly extract that closes a business day: bills and payments are known up to its date.
CLOSING_SOURCE = "cis"


def as_of_date(tags: dict[str, str], gateway: Gateway) -> date:
    """The end of the run's window; else the last day that billing has closed; else yesterday."""
    asked = window(tags)
    if asked:
        return asked.end
    ledger = gateway.ingest().ledger
    closed = [
        r["business_date"] for r in ledger.rows(CLOSING_SOURCE, states=["published"]) if r["business_date"]
    ]
    if closed:
        return max(closed)
    return gateway.today() - timedelta(days=1)
