"""What GridCRM wrote down of itself in the town: files, records set aside, rows sent, pairs in doubt.

Belongs here: the four books. What they speak of is in town.py.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tests.dbt_project.raw_tables import AS_OF, FIRST_DAY, account_no, at, contact_id, customer_id, write

EPOCH = date(1970, 1, 1)
GOOD, TORN, LANDED, PULL, OLDER = "aa" * 8, "bb" * 8, "cc" * 8, "dd" * 8, "ee" * 8
#: A value that stands in the bytes of a quarantined record, and one by which a card is looked up.
SECRET_IN_BYTES = "Ann Archer"
PHONE = "+16085550101"
_TOTALS = [
    {"declared": 3, "found": 3, "name": "records", "ok": True, "state": "holds"},
    {"declared": "2.50", "found": "2.50", "name": 'amount, "state": "wrong"', "ok": True, "state": "holds"},
]
_WRONG = [{"declared": 9, "found": 3, "name": "records", "ok": False, "state": "wrong"}, _TOTALS[0]]


def write_books(root: Path) -> None:
    """Ledger, quarantine, receipts and the pairs that wait for a person."""
    write(root, "gridcrm/ingestion_ledger", _ledger(), EPOCH, "ledger")
    write(root, "gridcrm/quarantine", _quarantine(), FIRST_DAY, f"mdm-{GOOD}")
    write(root, "gridcrm/push_receipt", _receipts(), AS_OF, "receipts")
    pairs = [
        (f"cis:{1:010d}", f"crm:{contact_id(2)}", 0.7, "surname: different; telephone: shared"),
    ]
    write(root, "gridcrm/identity_review", pairs, EPOCH, "all")


def _ledger() -> list[tuple[Any, ...]]:
    seen = at(FIRST_DAY + timedelta(days=1))

    def row(source: str, file_id: str, state: str, counts: tuple[int, int, int, int], totals: Any) -> Any:
        name = f"{source}-{file_id[:2]}"
        reason = "control total 'records' declares 9, found 3" if state == "refused" else None
        day = None if file_id == PULL else FIRST_DAY
        published_at = seen if state == "published" else None
        by = GOOD if state == "superseded" else None
        words = (json.dumps(totals, sort_keys=True), "{}", "test/1", 1, seen, seen, published_at, by, "{}", 1)
        taken = (source, file_id, file_id * 4, f"/{source}/{name}", name, 10, day, state, reason)
        return (*taken, *counts, "{}", "{}", *words)

    return [
        row("mdm", GOOD, "published", (10, 6, 2, 2), _TOTALS),
        row("mdm", OLDER, "superseded", (9, 9, 0, 0), _TOTALS),
        row("cis", TORN, "refused", (0, 0, 0, 0), _WRONG),
        row("cis", LANDED, "landed", (0, 0, 0, 0), []),
        row("crm", PULL, "published", (4, 4, 0, 0), []),
    ]


def _quarantine() -> list[tuple[Any, ...]]:
    return [
        (
            "mdm",
            GOOD,
            "mdm-aa",
            record_no,
            100 * record_no,
            SECRET_IN_BYTES.encode(),
            "bad_value",
            "value 41 of 96 is not a number",
            at(FIRST_DAY),
            "a.csv",
            None,
            state,
            at(AS_OF),
            at(AS_OF) if state == "healed" else None,
        )
        for record_no, state in ((3, "open"), (7, "open"), (8, "healed"))
    ]


def _receipts() -> list[tuple[Any, ...]]:
    """Ann under an id merged into hers; Bob's letter refused; Cleo's card by account and by telephone;
    an alert of Dan's account.
    """
    sent: list[tuple[str, str, str, str | None]] = [
        ("campaign_audience", f"CMP03:{customer_id(255)}", "sent", None),
        ("letters", f"{customer_id(2)}-{210:012d}-letter_reminder", "rejected", "no such <postcode>"),
        ("crm_inbound_card", f"account:{account_no(3)}", "sent", None),
        ("crm_inbound_card", f"phone:{PHONE}", "sent", None),
        ("crm_account_alert", f"{account_no(4)}:dispute_open", "sent", None),
    ]
    return [
        (n, push, f"{push}>test", key, "create", state, words, "0" * 64, push, 1, AS_OF, at(AS_OF))
        for n, (push, key, state, words) in enumerate(sent, start=1)
    ]
