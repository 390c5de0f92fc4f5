"""The collections ledger's rows: the mainframe's bills and payments as those see them who chase them.

Belongs here: invoices, payments, disputes, plans and flags as Arrow tables in the columns of ddl.py. Does
not belong here: what happened (billing.py), nor how rows are loaded (postgres.py).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from demo.world.billing import Bills, Payments, open_cents
from demo.world.block import Block
from demo.world.cis import payment_numbers
from demo.world.clock import local_epoch
from demo.world.config import FAR_DAY, Ints
from demo.world.households import METHODS
from demo.world.identifiers import account_numbers, bill_numbers, decimals, padded
from demo.world.vocab import take

WRITE_OFF_DAYS = 180
INSTALMENTS = 6


def usd(cents: Ints, precision: int = 12) -> pa.Array:
    """Integer cents as an exact decimal with two places."""
    return decimals(cents, precision, 2)


def dates(days: Ints) -> pa.Array:
    """Day numbers as dates; ``FAR_DAY`` and beyond are null."""
    return pa.array(np.asarray(days).astype(np.int32), mask=np.asarray(days) >= FAR_DAY).cast(pa.date32())


def moments(days: Ints, seconds: Ints) -> pa.Array:
    """Local times of day numbers as UTC time stamps; ``FAR_DAY`` and beyond are null."""
    far = np.asarray(days) >= FAR_DAY
    epochs = local_epoch(np.where(far, 0, days), np.asarray(seconds) + np.zeros(len(far), np.int64))
    return pa.array(epochs * 1_000_000, mask=far).cast(pa.timestamp("us", tz="UTC"))


def ledger_tables(block: Block, bills: Bills, payments: Payments) -> dict[str, pa.Table]:
    """The block's rows of every table of the ledger at the end of the last business date."""
    return {
        "invoice": _invoices(block, bills, payments),
        "payment": _payments(block, bills, payments),
        "dispute": _disputes(block, bills),
        "payment_plan": _plans(block, bills, payments),
        "account_flag": _flags(block),
    }


def _accounts(block: Block, tenancy: Ints) -> pa.Array:
    return padded(account_numbers(block.people.tenancies.number[tenancy]), 12)


def invoice_numbers(block: Block, bills: Bills, rows: Ints) -> Ints:
    """Invoice numbers of the bills at ``rows``."""
    return 10_000_000 + block.people.tenancies.number[bills.tenancy[rows]] * 100 + bills.slot[rows]


def _invoices(block: Block, bills: Bills, payments: Payments) -> pa.Table:
    config = block.config
    rows = np.arange(len(bills))
    left = open_cents(config, bills, payments)
    written_off = (left > 0) & (bills.due + WRITE_OFF_DAYS <= config.end_day)
    disputed = (left > 0) & (bills.disputed_on <= config.end_day) & (bills.dispute_closed_on > config.end_day)
    status = np.select([left == 0, written_off, disputed], ["paid", "written_off", "disputed"], "open")
    latest = bills.issued.copy()
    np.maximum.at(latest, payments.bill, payments.received)
    for day in (payments.returned_on,):
        known = day <= config.end_day
        np.maximum.at(latest, payments.bill[known], day[known])
    for column in (bills.disputed_on, bills.dispute_closed_on, bills.reversed_on):
        latest = np.where(column <= config.end_day, np.maximum(latest, column), latest)
    latest = np.where(written_off, np.maximum(latest, bills.due + WRITE_OFF_DAYS), latest)
    return pa.table(
        {
            "invoice_id": invoice_numbers(block, bills, rows),
            "account_no": _accounts(block, bills.tenancy),
            "bill_no": padded(bill_numbers(block.people.tenancies.number[bills.tenancy], bills.slot), 12),
            "issued_date": dates(bills.issued),
            "due_date": dates(bills.due),
            "amount_usd": usd(bills.cents),
            "open_usd": usd(left),
            "status": pa.array(status),
            "updated_at": moments(latest, 20 * 3600 + rows % 3_000),
        }
    )


def _payments(block: Block, bills: Bills, payments: Payments) -> pa.Table:
    account = block.people.tenancies.number[payments.tenancy]
    returned = payments.returned_on <= block.config.end_day
    number = payment_numbers(account, bills.slot[payments.bill], payments.part)
    return pa.table(
        {
            "payment_id": number,
            "account_no": _accounts(block, payments.tenancy),
            "invoice_id": invoice_numbers(block, bills, payments.bill),
            "received_at": moments(payments.received, 7 * 3600 + number % 36_000),
            "amount_usd": usd(payments.cents),
            "method": take(METHODS, block.character.method[payments.tenancy]),
            "status": pa.array(np.where(returned, "returned", "posted")),
            "updated_at": moments(
                np.where(returned, payments.returned_on, payments.received), 20 * 3600 + number % 3_000
            ),
        }
    )


def _disputes(block: Block, bills: Bills) -> pa.Table:
    rows = np.flatnonzero(bills.disputed_on <= block.config.end_day)
    part = bills.take(rows)
    closed = part.dispute_closed_on < FAR_DAY
    status = np.select([~closed, part.is_upheld], ["open", "upheld"], "rejected")
    reason = np.select([part.is_estimated, rows % 3 == 0], ["estimated_read", "wrong_tariff"], "high_bill")
    number = invoice_numbers(block, bills, rows)
    return pa.table(
        {
            "dispute_id": number + 1_000_000_000,
            "account_no": _accounts(block, part.tenancy),
            "invoice_id": pa.array(number, mask=rows % 10 == 7),
            "opened_at": moments(part.disputed_on, 9 * 3600 + rows * 71 % 28_000),
            "closed_at": moments(part.dispute_closed_on, 15 * 3600 + rows * 37 % 9_000),
            "reason": pa.array(reason),
            "status": pa.array(status),
            "updated_at": moments(
                np.where(closed, part.dispute_closed_on, part.disputed_on), 18 * 3600 + rows % 3_000
            ),
        }
    )


def _plans(block: Block, bills: Bills, payments: Payments) -> pa.Table:
    end = block.config.end_day
    rows = np.flatnonzero((bills.plan_on <= end) & (bills.reversed_on > end))
    # One plan an account: the latest.
    latest = rows[np.lexsort((bills.plan_on[rows], bills.tenancy[rows]))]
    rows = (
        latest[np.append(bills.tenancy[latest][1:] != bills.tenancy[latest][:-1], True)]
        if len(latest)
        else latest
    )
    part = bills.take(rows)
    left = open_cents(block.config, bills, payments)[rows]
    is_young = part.plan_on + INSTALMENTS * 30 > end
    status = np.select([is_young & (left > 0), left == 0], ["active", "kept"], "broken")
    changed = np.where(is_young, part.plan_on, np.minimum(part.plan_on + INSTALMENTS * 30, end))
    return pa.table(
        {
            "plan_id": invoice_numbers(block, bills, rows) + 2_000_000_000,
            "account_no": _accounts(block, part.tenancy),
            "started_date": dates(part.plan_on),
            "instalments": pa.array(np.full(len(rows), INSTALMENTS)),
            "instalment_usd": usd(part.cents // INSTALMENTS),
            "status": pa.array(status),
            "updated_at": moments(changed, 17 * 3600 + rows % 3_000),
        }
    )


def _flags(block: Block) -> pa.Table:
    character, end = block.character, block.config.end_day
    open_now = np.arange(len(block.people.tenancies))
    parts = []
    for flag, values in (
        ("medical", character.is_medical),
        ("vulnerable", character.is_vulnerable),
        ("deceased", character.is_deceased),
        ("bankruptcy", character.is_bankrupt),
        ("do_not_contact", character.is_do_not_contact),
    ):
        rows = open_now[values]
        since = np.maximum(block.people.tenancies.opened[rows], end - 20 - rows * 53 % 600)
        since = np.minimum(since, end)
        ended = np.where((rows % 17 == 3) & (since < end - 120), since + 100, FAR_DAY)
        parts.append(
            pa.table(
                {
                    "account_no": _accounts(block, rows),
                    "flag": pa.array([flag] * len(rows), pa.string()),
                    "from_date": dates(since),
                    "to_date": dates(ended),
                    "updated_at": moments(np.where(ended < FAR_DAY, ended, since), 16 * 3600 + rows % 3_000),
                }
            )
        )
    return pa.concat_tables(parts)
