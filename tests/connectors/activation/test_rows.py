"""Rows get one canonical form, whatever Arrow type brings them."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa
import pytest

from connectors.activation import RowsError
from connectors.activation.rows import canonical
from tests.connectors.activation.helpers import make_push, make_rows

EVERY_TYPE = {
    "customer_id": "string",
    "n": "int",
    "big": "bigint",
    "amount_usd": "decimal(12,2)",
    "share": "double",
    "is_on": "boolean",
    "day": "date",
    "at": "timestamp",
    "card": "json",
    "phone": "phone",
}


def every_type(**changes: pa.Array) -> pa.Table:
    columns = {
        "customer_id": pa.array(["C1"]),
        "n": pa.array([7], pa.int32()),
        "big": pa.array([2**40], pa.int64()),
        "amount_usd": pa.array([Decimal("12.50")], pa.decimal128(12, 2)),
        "share": pa.array([0.1], pa.float64()),
        "is_on": pa.array([True]),
        "day": pa.array([dt.date(2026, 11, 1)]),
        "at": pa.array([dt.datetime(2026, 11, 1, 6, 30, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
        "card": pa.array(['{"b": 1, "a": [1, 2]}']),
        "phone": pa.array(["+16085550100"]),
        "withheld_reason": pa.array([None], pa.string()),
    }
    return pa.table({**columns, **changes})


def payload(rows: pa.Table) -> dict[str, str | None]:
    found = canonical(rows, make_push(columns=EVERY_TYPE))
    loaded: dict[str, str | None] = json.loads(found.column("payload")[0].as_py())
    return loaded


def test_a_payload_is_exact_text() -> None:
    assert payload(every_type()) == {
        "customer_id": "C1",
        "n": "7",
        "big": "1099511627776",
        "amount_usd": "12.50",
        "share": "0.1",
        "is_on": "true",
        "day": "2026-11-01",
        "at": "2026-11-01T06:30:00.000000Z",
        "card": '{"b":1,"a":[1,2]}',
        "phone": "+16085550100",
    }


def test_null_is_not_the_empty_text() -> None:
    empty = payload(every_type(card=pa.array([None], pa.string()), phone=pa.array([""])))
    assert empty["card"] is None
    assert empty["phone"] == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"customer_id": pa.array(["C1"], pa.large_string())},
        {"customer_id": pa.array(["C1"]).dictionary_encode()},
        {"n": pa.array([7], pa.int64())},
        {"amount_usd": pa.array([12.5], pa.float64())},
        {"amount_usd": pa.array([Decimal("12.5000")], pa.decimal128(18, 4))},
        {"card": pa.array(['{ "b":1,"a":[1,2] }'])},
        {"at": pa.array([dt.datetime(2026, 11, 1, 6, 30)], pa.timestamp("ms"))},
    ],
)
def test_the_same_row_in_other_arrow_types_has_the_same_hash(changes: dict[str, pa.Array]) -> None:
    push = make_push(columns=EVERY_TYPE)
    one = canonical(every_type(), push).column("payload_hash")
    assert canonical(every_type(**changes), push).column("payload_hash") == one


def test_not_a_number_is_nothing() -> None:
    found = payload(every_type(share=pa.array([float("nan")]), amount_usd=pa.array([float("nan")])))
    assert found["share"] is None
    assert found["amount_usd"] is None


def test_a_column_that_is_not_compared_goes_along_without_counting() -> None:
    push = make_push()
    one = canonical(make_rows({"C1": 1}, day=dt.date(2026, 11, 15)), push)
    other = canonical(make_rows({"C1": 1}, day=dt.date(2026, 11, 16)), push)
    assert one.column("payload_hash") == other.column("payload_hash")
    assert one.column("payload") != other.column("payload")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (make_rows({"C1": 1}).drop_columns("amount_usd"), "has no column amount_usd"),
        (make_rows({"C1": 1}).drop_columns("withheld_reason"), "has no column withheld_reason"),
        (make_rows({"": 1, "C1": 1}), r"key customer_id is empty \(1 rows\)"),
        (pa.concat_tables([make_rows({"C1": 1}), make_rows({"C1": 2}, {"C1": "x"})]), "more than once"),
        (
            make_rows({"C1": 1}).set_column(2, "amount_usd", pa.array([10.0**12])),
            r"amount_usd does not fit decimal\(12,2\) \(1 rows\)",
        ),
        (
            make_rows({"C1": 1}).set_column(2, "amount_usd", pa.array(["1.00"])),
            r"amount_usd is string in push_customers but declared decimal\(12,2\)",
        ),
    ],
)
def test_wrong_rows_are_refused_with_what_and_how_many(rows: pa.Table, words: str) -> None:
    with pytest.raises(RowsError, match=words):
        canonical(rows, make_push())


def test_broken_json_is_refused_without_showing_it() -> None:
    with pytest.raises(RowsError) as caught:
        payload(every_type(card=pa.array(['{"name": "Ada Lovelace"'])))
    assert "card is not JSON (1 rows)" in str(caught.value)
    assert "Ada" not in str(caught.value)
