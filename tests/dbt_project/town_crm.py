"""What the legacy CRM says of the town: see town.py for who lives there."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.dbt_project.raw_tables import LOADED, account_no, at, contact_id, write


def write_crm(root: Path) -> None:
    """Five contacts of four people, what they consented to, and a campaign they were drawn for."""
    then = at(date(2026, 10, 1))
    later = at(date(2026, 11, 1))
    people = {
        1: ("Ann Archer", "+1 608 555 0101", account_no(1)),
        2: ("Robert Baker", "608/555/0102 x12", "2"),
        3: ("BAKER, BOB", "555-0102", None),
        4: ("Cleo Carter", None, account_no(3)),
        5: ("Prudence Prospect", "608 555 0177", None),
    }
    consents = [
        *[
            (10 + i, contact_id(1), purpose, channel, granularity, True, then, "web", then)
            for i, (purpose, channel, granularity) in enumerate(
                [
                    ("marketing", "any", "billing"),
                    ("collections", "phone", "billing"),
                    ("profiling", "any", "interval"),
                ]
            )
        ],
        (20, contact_id(2), "marketing", "email", "billing", True, later, "agent", later),
        (21, contact_id(3), "marketing", "email", "billing", False, then, "web", then),
        (22, contact_id(2), "collections", "phone", "billing", False, then, "web", then),
        (23, contact_id(2), "collections", "phone", "billing", True, later, "agent", later),
        (30, contact_id(4), "marketing", "email", "billing", True, at(date(2026, 11, 20)), "web", later),
        (31, contact_id(4), "collections", "any", "billing", True, then, "web", then),
    ]
    rows: dict[str, list[tuple[Any, ...]]] = {
        "contact": [
            (contact_id(k), name, None, None, None, phone, None, None, None, account, None, then, then)
            for k, (name, phone, account) in people.items()
        ],
        "consent": consents,
        "preference": [
            (contact_id(1), "es", "email", "evening", False, then),
            (contact_id(2), "en", "phone", "none", False, later),
            (contact_id(3), "en", "phone", "morning", False, then),
        ],
        "interaction": [
            (
                1,
                contact_id(2),
                account_no(2),
                at(date(2026, 11, 3)),
                "phone_in",
                "complaint",
                300,
                "A1",
                False,
                later,
            ),
            (2, contact_id(3), None, at(date(2026, 7, 3)), "web", "billing", 0, None, True, then),
        ],
        "campaign": [
            (
                "CMP1",
                "Smart thermostat",
                "thermostat",
                "email",
                "marketing",
                date(2026, 9, 1),
                date(2026, 12, 31),
                Decimal("0.5000"),
                then,
            )
        ],
        "campaign_assignment": [
            ("CMP1", contact_id(1), "treatment", Decimal("0.5000"), then, later, Decimal("20.00"), later),
            ("CMP1", contact_id(2), "control", Decimal("0.5000"), then, None, None, then),
            ("CMP1", contact_id(3), "treatment", Decimal("0.5000"), later, later, Decimal("5.00"), later),
        ],
    }
    for table, values in rows.items():
        write(root, f"crm/{table}", values, date(2026, 11, 1))
    # Contact 6 was never anybody's: the next pull finds it gone.
    ghost = [(contact_id(6), "Test Test", *[None] * 9, then, then)]
    write(root, "crm/contact", ghost, date(2026, 11, 1), "ghost")
    next_pull = LOADED + timedelta(days=1)
    write(root, "crm/contact", ghost, date(2026, 11, 2), "sweep", is_deleted=True, loaded_at=next_pull)
