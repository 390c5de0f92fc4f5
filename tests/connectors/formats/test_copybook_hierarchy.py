"""Child records and the parents they belong to, across blocks and around quarantine."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.formats import SettingsError, schema
from connectors.formats.copybook import records
from tests.connectors.formats.encode import rdw, text
from tests.connectors.formats.sink import MemorySink, decoded

COPYBOOK = """
       01 R.
          05 KIND PIC X.
          05 CUSTOMER.
             10 CUST-NO PIC 9(3).
          05 ACCOUNT REDEFINES CUSTOMER.
             10 ACCT-NO PIC 9(3).
          05 BILL REDEFINES CUSTOMER.
             10 BILL-NO PIC 9(3).
          05 TRAILER REDEFINES CUSTOMER.
             10 FILLER PIC X(3).
"""
SETTINGS: dict[str, Any] = {
    "copybook": COPYBOOK,
    "record_format": "V",
    "discriminator": "KIND",
    "records": {
        "B": {
            "group": "BILL", "table": "bill", "parent": "account",
            "parent_columns": ["acct_no", "customer_cust_no"],
        },
        "A": {"group": "ACCOUNT", "table": "account", "parent": "customer", "parent_columns": ["cust_no"]},
        "C": {"group": "CUSTOMER", "table": "customer"},
        "Z": {"group": "TRAILER", "table": "trailer"},
    },
}  # fmt: skip


def run(*lines: str) -> MemorySink:
    return decoded(b"".join(rdw(text(line, len(line))) for line in lines), "copybook", SETTINGS)[0]


def bills(sink: MemorySink) -> list[tuple[int, int, int, int]]:
    return [
        (row["bill_no"], row["_parent_no"], row["account_acct_no"], row["account_customer_cust_no"])
        for row in sink.rows("bill")
    ]


def test_children_carry_the_number_and_keys_of_their_parents() -> None:
    sink = run("C001", "A010", "B100", "B101", "A011", "B102", "C002", "A012", "Z...", "B103")
    assert sink.rejects == []
    assert bills(sink) == [(100, 2, 10, 1), (101, 2, 10, 1), (102, 5, 11, 1), (103, 8, 12, 2)]
    assert [(r["acct_no"], r["_parent_no"], r["customer_cust_no"]) for r in sink.rows("account")] == [
        (10, 1, 1), (11, 1, 1), (12, 7, 2),
    ]  # fmt: skip
    assert schema("copybook", SETTINGS)["bill"].names == [
        "_record_no", "_parent_no", "account_acct_no", "account_customer_cust_no", "kind", "bill_no",
    ]  # fmt: skip


def test_children_before_any_parent_are_orphans() -> None:
    sink = run("B100", "A010", "C001", "B101", "A011", "B102", "C002", "B103")
    # 3: the account of a new customer has not come yet, and the last one was another customer's.
    assert sorted(sink.rules) == [
        (1, "orphan"), (2, "orphan"), (4, "orphan"), (8, "orphan"),
    ]  # fmt: skip
    assert bills(sink) == [(102, 5, 11, 1)]


def test_children_of_a_quarantined_parent_go_with_it() -> None:
    sink = run("C001", "A0x0", "B100", "A011", "B101", "C0x0", "A012", "B102", "C003", "A013", "B103")
    assert sorted(sink.rules) == [
        (2, "bad_value"), (3, "parent_quarantined"), (6, "bad_value"),
        (7, "parent_quarantined"), (8, "parent_quarantined"),
    ]  # fmt: skip
    assert bills(sink) == [(101, 4, 11, 1), (103, 10, 13, 3)]


def test_a_record_of_unknown_type_may_have_been_a_parent() -> None:
    sink = run("C001", "A010", "?...", "B100", "A011", "C002", "A012", "B101")
    assert sorted(sink.rules) == [
        (3, "unknown_record_type"), (4, "parent_quarantined"), (5, "parent_quarantined"),
    ]  # fmt: skip
    assert bills(sink) == [(101, 7, 12, 2)]


def test_an_empty_line_parts_no_family() -> None:
    settings = {**SETTINGS, "record_format": "lines", "code_page": "ascii"}
    sink, _ = decoded(b"C001\nA010\n\nB100\n", "copybook", settings)
    assert sink.rules == [(3, "empty_record")]
    assert bills(sink) == [(100, 2, 10, 1)]


def test_a_discriminator_of_many_values_is_told_apart_at_once() -> None:
    lines = [f"C{number:03d}" for number in range(1000)] * 20
    settings: dict[str, Any] = {
        "copybook": "       01 R.\n          05 K PIC X(4).\n",
        "discriminator": "K",
        "records": {"C042": {"group": "R", "table": "r"}},
    }
    sink, result = decoded(b"".join(text(line, 4) for line in lines), "copybook", settings)
    assert (result.loaded, result.quarantined) == (20, 19_980)
    assert {row["k"] for row in sink.rows("r")} == {"C042"}


def test_parents_hold_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["C001", "A010", "B100", "B101", "A0x0", "B102", "C002", "B103", "A011", "B104", "?...", "B105"]
    whole = run(*lines)
    for size in (8, 16, 24, 40):
        monkeypatch.setattr(records, "BLOCK_BYTES", size)
        parts = run(*lines)
        assert sorted(parts.rules) == sorted(whole.rules)
        assert bills(parts) == bills(whole)
        assert parts.rows("account") == whole.rows("account")
    assert bills(whole) == [(100, 2, 10, 1), (101, 2, 10, 1), (104, 9, 11, 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"C": {"group": "CUSTOMER", "table": "customer", "parent": "bill"}}, "is its own ancestor"),
        ({"Z": {"group": "TRAILER", "table": "trailer", "parent": "nobody"}}, "'nobody' is no table"),
        ({"Z": {"group": "TRAILER", "table": "trailer", "parent_columns": ["x"]}}, "needs a parent"),
        (
            {"Z": {"group": "TRAILER", "table": "trailer", "parent": "bill", "parent_columns": ["x"]}},
            "table bill has no column 'x'",
        ),
    ],
)
def test_settings_of_parents_are_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        schema("copybook", {**SETTINGS, "records": {**SETTINGS["records"], **change}})
