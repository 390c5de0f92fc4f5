"""A town of nine customers, each with one trouble, as ingestion and scoring write it.

Belongs here: what the sources say. What the warehouse must make of it stands in the tests. Days run from
2026-10-12 to 2026-11-15; 2026-11-01 has 100 quarter-hours.

1 Ann Archer   solar, prompt, consents to everything; one day of her reads is corrected later
2 Bob Baker    a bill 40 days past due; two CRM contacts, one refuses marketing by e-mail; a gap of an hour
3 Cleo Carter  medical priority, in arrears; a whole day of reads missing
4 Dan Dunn     disputes a bill, in arrears; a spike
5 Eve Ellis    moved out on 2026-10-31
6 Fay Foster   moved in after Eve, pays by plan; frozen reads, then zeros, then a negative one and estimates
7 Gus Grant    deceased
8 Hal Hart     bankrupt
9 Ivy Bakery   a business that must not be contacted
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.dbt_project.raw_tables import (
    AS_OF,
    FIRST_DAY,
    RAW_SCHEMAS,
    account_no,
    at,
    contact_id,
    customer_id,
    service_point,
    write,
    yyyymmdd,
)
from tests.dbt_project.town_books import write_books
from tests.dbt_project.town_crm import write_crm
from tests.dbt_project.town_reads import write_correction, write_reads
from tests.dbt_project.town_scores import write_scores


def write_town(root: Path) -> None:
    """Everything the warehouse reads, under the data root ``root``."""
    for table in RAW_SCHEMAS:
        write(root, table, [], date(1970, 1, 1), "_empty")
    _write_cis(root)
    _write_collections(root)
    write_crm(root)
    for day in days():
        write_reads(root, day)
    write_correction(root)
    _write_events(root)
    _write_identity(root)
    write_books(root)
    write_scores(root)


def days() -> list[date]:
    """Business days with a file of reads."""
    return [FIRST_DAY + timedelta(days=n) for n in range((AS_OF - FIRST_DAY).days + 1)]


_NAMES = {
    1: ("Ann", "Archer"),
    2: ("Bob", "Baker"),
    3: ("Cleo", "Carter"),
    4: ("Dan", "Dunn"),
    5: ("Eve", "Ellis"),
    6: ("Fay", "Foster"),
    7: ("Gus", "Grant"),
    8: ("Hal", "Hart"),
}
MOVED_OUT = date(2026, 10, 31)


def _premise_of(customer: int) -> int:
    """Fay lives where Eve did."""
    return 5 if customer == 6 else customer


def _write_cis(root: Path) -> None:
    changed = 20261015103000
    customers = [
        (
            n,
            "P",
            None,
            given,
            surname,
            None,
            19700101,
            [("M", f"(608) 555-010{n}"), (" ", None)],
            f"{given}.{surname}@Example.com",
            "EN",
            "ME" if n == 3 else None,
            20200101,
            changed,
        )
        for n, (given, surname) in _NAMES.items()
    ]
    customers.append(
        (
            9,
            "B",
            None,
            None,
            None,
            "Ivy Bakery LLC",
            0,
            [("W", "608-555-0109"), (" ", None)],
            None,
            "EN",
            None,
            20200101,
            changed,
        )
    )
    phones = [[{"phone_kind": kind, "phone_no": number} for kind, number in row[7]] for row in customers]
    premises = [
        (
            n,
            f"{n} Mill St.",
            "Riverbend",
            "WI",
            "53999",
            f"F{n % 2}",
            "WX1",
            "America/Chicago",
            "H",
            Decimal("43.10000"),
            Decimal("-89.40000"),
            changed,
        )
        for n in (1, 2, 3, 4, 5, 7, 8, 9)
    ]
    accounts = [
        (
            n,
            n,
            _premise_of(n),
            service_point(_premise_of(n)),
            f"M{_premise_of(n):07d}",
            "FLAT",
            yyyymmdd(MOVED_OUT + timedelta(days=1)) if n == 6 else 20200101,
            yyyymmdd(MOVED_OUT) if n == 5 else 0,
            "MO" if n == 5 else None,
            20270115 if n == 1 else 0,
            Decimal("10.50"),
            {2: "CA", 3: "ON"}.get(n, "DD"),
            "Y" if n == 1 else "N",
            changed,
        )
        for n in range(1, 10)
    ]
    tariffs = [
        ("FLAT", "One price", Decimal("0.5000"), 1, [("ALL", 0, 24, Decimal("0.15000"))]),
        (
            "TOU",
            "Night and day",
            Decimal("0.6000"),
            2,
            [("DAY", 6, 22, Decimal("0.20000")), ("NIGHT", 22, 6, Decimal("0.08000"))],
        ),
    ]
    keys = ("period_name", "from_hour", "to_hour", "usd_per_kwh")
    tariffs = [(*row[:4], [dict(zip(keys, rate, strict=True)) for rate in row[4]]) for row in tariffs]
    bills, payments = _bills_and_payments()
    day = FIRST_DAY
    rows: dict[str, list[tuple[Any, ...]]] = {
        "header": [("CISX", yyyymmdd(day), 20261012233000, "CIS")],
        "customer": [(*row[:7], phone, *row[8:]) for row, phone in zip(customers, phones, strict=True)],
        "premise": premises,
        "account": accounts,
        "tariff": tariffs,
        "bill": bills,
        "payment": payments,
    }
    rows["trailer"] = [
        (
            *(len(rows[t]) for t in ("customer", "premise", "account", "tariff", "bill", "payment")),
            sum(b[7] for b in bills),
            sum(p[4] for p in payments),
        )
    ]
    for table, values in rows.items():
        write(root, f"cis/{table}", values, day)
    # A later extract: Bob has a new number, bill 9 of Ann is reversed.
    later = [list(rows["customer"][1])]
    later[0][7] = [{"phone_kind": "M", "phone_no": "608.555.0199"}, {"phone_kind": " ", "phone_no": None}]
    reversed_bill = [(*next(b for b in bills if b[0] == 109)[:9], "Y")]
    changes: dict[str, list[Any]] = {
        "header": [("CISX", yyyymmdd(AS_OF), 20261115233000, "CIS")],
        "customer": later,
        "bill": reversed_bill,
        "trailer": [(1, 0, 0, 0, 1, 0, Decimal("100.00"), Decimal("0.00"))],
    }
    for table, values in changes.items():
        write(root, f"cis/{table}", values, AS_OF, "later")


def due_date(month: int) -> date:
    """Due date of the bill of month ``month`` (1 is December 2025, 11 is October 2026)."""
    year, index = divmod(month + 10, 12)
    return date(2025 + year, index + 1, 6)


def _bills_and_payments() -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Eleven monthly bills of 100 USD an account (Fay: none yet), due on the 6th.

    Paid five days early, except: Bob pays ten days late, and the bill due on 2026-10-06 not at all; Cleo and
    Dan have left the last two open; Ann's bill of September is paid in two parts, after a payment that the
    bank returned.
    """
    bills: list[tuple[Any, ...]] = []
    payments: list[tuple[Any, ...]] = []
    for n in (1, 2, 3, 4, 5, 7, 8, 9):
        for month in range(1, 12):
            due = due_date(month)
            issued = due - timedelta(days=20)
            bill_no = n * 100 + month
            bills.append(
                (
                    bill_no,
                    n,
                    yyyymmdd(issued - timedelta(days=31)),
                    yyyymmdd(issued - timedelta(days=1)),
                    yyyymmdd(issued),
                    yyyymmdd(due),
                    Decimal("500.000"),
                    Decimal("100.00"),
                    "E" if month == 3 else "A",
                    "N",
                )
            )
            is_open = (n == 2 and month == 11) or (n in (3, 4) and month >= 10)
            if is_open:
                continue
            paid = due + timedelta(days=10 if n == 2 else -5)
            parts = [Decimal("60.00"), Decimal("40.00")] if (n, month) == (1, 10) else [Decimal("100.00")]
            for part, amount in enumerate(parts):
                received = paid + timedelta(days=8 * part)
                payments.append((bill_no * 10 + part, n, bill_no, yyyymmdd(received), amount, "CK", "P"))
    payments.append((11019, 1, 110, yyyymmdd(due_date(10) - timedelta(days=6)), Decimal("100.00"), "CK", "R"))
    return bills, payments


def _write_collections(root: Path) -> None:
    then = at(date(2026, 11, 1))
    rows: dict[str, list[tuple[Any, ...]]] = {
        "invoice": [
            (
                211,
                account_no(2),
                f"{211:012d}",
                date(2026, 9, 16),
                date(2026, 10, 6),
                Decimal("100.00"),
                Decimal("100.00"),
                "open",
                then,
            ),
            (
                411,
                account_no(4),
                f"{411:012d}",
                date(2026, 9, 16),
                date(2026, 10, 6),
                Decimal("100.00"),
                Decimal("100.00"),
                "disputed",
                then,
            ),
        ],
        "payment": [(1, account_no(4), 411, then, Decimal("1.00"), "ON", "posted", then)],
        "dispute": [
            (1, account_no(4), 411, at(date(2026, 10, 20)), None, "amount", "open", then),
            (2, account_no(1), None, at(date(2026, 5, 1)), at(date(2026, 6, 1)), "amount", "rejected", then),
        ],
        "payment_plan": [(1, account_no(6), date(2026, 11, 5), 6, Decimal("20.00"), "active", then)],
        "account_flag": [
            (account_no(7), "deceased", date(2026, 9, 1), None, then),
            (account_no(8), "bankruptcy", date(2026, 9, 1), None, then),
            (account_no(9), "do_not_contact", date(2026, 9, 1), None, then),
            (account_no(1), "vulnerable", date(2025, 1, 1), date(2025, 6, 1), then),
        ],
    }
    for table, values in rows.items():
        write(root, f"collections/{table}", values, date(2026, 11, 1))


def _write_events(root: Path) -> None:
    weather = [
        ("WX1", at(FIRST_DAY, 0) + timedelta(hours=h), Decimal(h % 24) - 2, Decimal("60.00"))
        for h in range(24 * len(days()))
    ]
    rows: dict[str, list[tuple[Any, ...]]] = {
        "weather/observation": weather,
        "han/appliance_use": [(service_point(1), "dishwasher", at(date(2026, 11, 4), 2, 10), 3600, 1200)],
        "han/appliance_event": [
            ("timer_set", service_point(1), "ev_charger", at(date(2026, 11, 4), 23), "22:00", "1,2,3")
        ],
        "oms/outage": [
            ("O1", None, "5", at(date(2026, 10, 20)), at(date(2026, 10, 20), 13, 30), "tree"),
            ("O2", "F1", None, at(date(2026, 11, 14)), None, "equipment"),
        ],
        "dialer/call": [
            (
                "D1",
                None,
                None,
                None,
                account_no(2),
                "+16085550102",
                at(date(2026, 11, 11), 16, 5),
                "A1",
                "voicemail",
                20,
                1,
                False,
            ),
            (
                "D2",
                None,
                None,
                None,
                account_no(2),
                "+16085550102",
                at(date(2026, 11, 14), 0, 40),
                "A1",
                "answered_rpc",
                90,
                2,
                True,
            ),
            (
                "D3",
                "L1",
                f"{customer_id(255)}:2026-11-13",
                customer_id(255),
                account_no(1),
                "+16085550101",
                at(date(2026, 11, 13), 16),
                "A2",
                "answered_wrong",
                9,
                1,
                False,
            ),
        ],
        "print/letter_status": [
            (f"{customer_id(2)}-000000000211-letter_reminder", "mailed", at(date(2026, 11, 10)))
        ],
        "campaign/event": [
            (
                "E1",
                "CMP1",
                f"CMP1:{customer_id(1)}",
                customer_id(1),
                "responded",
                at(date(2026, 11, 10)),
                Decimal("20.00"),
            )
        ],
    }
    for table, values in rows.items():
        write(root, table, values, AS_OF)


def _write_identity(root: Path) -> None:
    """Ann's contact came by an id merged into hers; Bob has two contacts; Prudence is nobody's customer."""
    records = {f"cis:{n:010d}": customer_id(n) for n in range(1, 10)}
    records |= {
        f"crm:{contact_id(1)}": customer_id(255),
        f"crm:{contact_id(2)}": customer_id(2),
        f"crm:{contact_id(3)}": customer_id(2),
        f"crm:{contact_id(4)}": customer_id(3),
        f"crm:{contact_id(5)}": customer_id(99),
    }
    rows = [
        (customer, record, record[:3], record[4:], 0.99, "splink", at(FIRST_DAY))
        for record, customer in records.items()
    ]
    epoch = date(1970, 1, 1)
    write(root, "gridcrm/customer_xref", rows, epoch, "xref")
    alias = [(customer_id(255), customer_id(1), at(FIRST_DAY))]
    write(root, "gridcrm/customer_alias", alias, epoch, "alias")
