"""What an agent must know of an account the moment it is so: read from the live ledger, not the warehouse.

Belongs here: the alerts and their queries. Does not belong here: sending them (connectors/activation) or
watching for them (realtime.py). Pure but for the connection it is given.
"""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import sqlalchemy as sa

LEDGER = "collections_sql"
RETURNED_WITHIN = timedelta(days=30)
SCHEMA = pa.schema(
    [
        ("alert_key", pa.string()),
        ("account_no", pa.string()),
        ("alert", pa.string()),
        ("since_date", pa.date32()),
        ("amount_usd", pa.decimal128(12, 2)),
        ("withheld_reason", pa.string()),
    ]
)

# One row an account and alert. An account in dispute or with a protected person is shown as such beside its
# arrears, so that nobody reads the arrears alone.
_ALERTS = sa.text(
    """
    select account_no, 'missed_payment' as alert, min(due_date) as since_date, sum(open_usd) as amount_usd
    from collections.invoice
    where status = 'open' and open_usd > 0 and due_date < :today
    group by account_no
    union all
    select account_no, 'payment_returned', min(cast(received_at as date)), sum(amount_usd)
    from collections.payment
    where status = 'returned' and received_at >= :returned_since
    group by account_no
    union all
    select account_no, 'dispute_open', min(cast(opened_at as date)), null
    from collections.dispute
    where status = 'open'
    group by account_no
    union all
    select account_no, 'protected_customer', min(from_date), null
    from collections.account_flag
    where flag in ('medical', 'vulnerable') and from_date <= :today and (to_date is null or to_date >= :today)
    group by account_no
    order by 1, 2
    """
)

_LAST_CHANGE = sa.text(
    """
    select max(changed) from (
        select max(updated_at) as changed from collections.invoice
        union all select max(updated_at) from collections.payment
        union all select max(updated_at) from collections.dispute
        union all select max(updated_at) from collections.account_flag
    ) as changes
    """
)


def account_alerts(engine: sa.Engine, today: date) -> pa.Table:
    """Every alert that holds today: grain account × alert, columns of :data:`SCHEMA`."""
    with engine.connect() as connection:
        rows = connection.execute(_ALERTS, {"today": today, "returned_since": today - RETURNED_WITHIN}).all()
    accounts, alerts, since, amounts = zip(*rows, strict=True) if rows else ((), (), (), ())
    keys = [f"{account}:{alert}" for account, alert in zip(accounts, alerts, strict=True)]
    return pa.table([keys, accounts, alerts, since, amounts, [None] * len(keys)], schema=SCHEMA)


def last_change(engine: sa.Engine) -> str | None:
    """When the ledger last changed, as text that orders; ``None`` for an empty ledger."""
    with engine.connect() as connection:
        changed = connection.execute(_LAST_CHANGE).scalar_one_or_none()
    return changed.isoformat() if changed else None
