"""The copybook reader: its language, its layouts, and what goes wrong in extracts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors.formats import RefusedFile, SettingsError, schema
from tests.connectors.formats.encode import binary, packed, rdw, text, zoned
from tests.connectors.formats.sink import MemorySink, decoded

BILLING = """
000100* WHAT STANDS IN COLUMNS 1-6 AND 73-80 IS NOT PART OF THE LINE
000200 01  BILLING-RECORD.                                              IGNORED!
           05  REC-TYPE            PIC X.
               88  IS-HEADER       VALUE 'H'.
           05  HEADER-REC.
               10  RUN-DATE        PIC 9(8).
               10  FILLER          PIC X(3).
           05  BILL-REC REDEFINES HEADER-REC.
               10  BILL-NO         PIC 9(6).
               10  AMOUNT          PIC S9(7)V99
                                   COMP-3.
           05  RATES-REC REDEFINES HEADER-REC.
               10  RATE-COUNT      PIC 9(2) COMP.
               10  RATE OCCURS 1 TO 3 TIMES DEPENDING ON RATE-COUNT.
                   15  PERIOD      PIC X(4).
                   15  PRICE       PIC S9V9(3) COMP-3.
               10  NOTE            PIC X(5).
           05  TRAILER-REC REDEFINES HEADER-REC.
               10  BILL-COUNT      PIC 9(9) COMP.
               10  BILL-AMOUNT     PIC S9(9)V99 COMP-3.
"""
SETTINGS: dict[str, Any] = {
    "copybook": BILLING,
    "record_format": "V",
    "discriminator": "REC-TYPE",
    "records": {
        "H": {"group": "HEADER-REC", "table": "header"},
        "B": {"group": "BILL-REC", "table": "bill"},
        "R": {"group": "RATES-REC", "table": "rates"},
        "Z": {"group": "TRAILER-REC", "table": "trailer"},
    },
    "control_totals": [
        {"name": "bills", "declared": "trailer.bill_count", "equals": "count(bill)"},
        {"name": "amount", "declared": "trailer.bill_amount", "equals": "sum(bill.amount)"},
    ],
}


def header() -> bytes:
    return text("H", 1) + zoned(20260818, 8) + text("", 3)


def bill(number: int, amount: str) -> bytes:
    return text("B", 1) + zoned(number, 6) + packed(Decimal(amount), 9, 2)


def rates(*prices: str, count: int | None = None) -> bytes:
    rows = b"".join(text("PEAK", 4) + packed(Decimal(price), 4, 3) for price in prices)
    return text("R", 1) + binary(len(prices) if count is None else count, 2) + rows + text("note", 5)


def trailer(count: int, amount: str) -> bytes:
    return text("Z", 1) + binary(count, 4) + packed(Decimal(amount), 11, 2)


def run(*records: bytes, **changes: Any) -> MemorySink:
    return decoded(b"".join(rdw(record) for record in records), "copybook", {**SETTINGS, **changes})[0]


def one(picture: str, data: bytes, **settings: Any) -> tuple[Any, MemorySink]:
    """The value of one field of a fixed record, None also where the record went to quarantine."""
    copybook = f"       01 R.\n          05 F {picture}.\n"
    sink, _ = decoded(data, "copybook", {"copybook": copybook, **settings})
    rows = sink.rows("r")
    return (rows[0]["f"] if rows else None), sink


def test_record_types_go_to_their_tables() -> None:
    sink = run(
        header(),
        bill(1, "10.50"),
        rates("0.100", "0.250"),
        rates("0.300"),
        bill(2, "-3.25"),
        trailer(2, "7.25"),
    )
    assert sink.rejects == []
    assert sink.rows("bill") == [
        {"_record_no": 2, "rec_type": "B", "bill_no": 1, "amount": Decimal("10.50")},
        {"_record_no": 5, "rec_type": "B", "bill_no": 2, "amount": Decimal("-3.25")},
    ]
    by_number = {row["_record_no"]: row for row in sink.rows("rates")}
    assert [rate["price"] for rate in by_number[3]["rate"]] == [Decimal("0.100"), Decimal("0.250")]
    assert by_number[4]["rate"] == [{"period": "PEAK", "price": Decimal("0.300")}]
    assert by_number[4]["note"] == "note"  # what follows a shorter table moves up
    assert sink.rows("header")[0]["run_date"] == 20260818


def test_schema_is_known_without_a_file() -> None:
    rate = schema("copybook", SETTINGS)["rates"].field("rate").type
    assert rate == pa.list_(pa.struct([("period", pa.string()), ("price", pa.decimal128(4, 3))]))
    assert schema("copybook", SETTINGS)["bill"].names == ["_record_no", "rec_type", "bill_no", "amount"]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([bill(1, "10"), trailer(2, "10")], "control total 'bills': trailer.bill_count declares 2, found 1"),
        ([bill(1, "10"), trailer(1, "11")], "'amount': trailer.bill_amount declares 11.00, found 10.00"),
        ([bill(1, "10")], "declared in 0 readable records instead of exactly 1"),
        ([trailer(0, "0"), trailer(0, "0")], "declared in 2 readable records"),
    ],
)
def test_wrong_control_totals_refuse_the_file(records: list[bytes], message: str) -> None:
    with pytest.raises(RefusedFile, match=message) as refusal:
        run(*records)
    assert any(not total.ok for total in refusal.value.control_totals)


def test_totals_may_be_declared_in_the_header_and_count_everything() -> None:
    copybook = """
       01 R.
          05 KIND PIC X.
          05 HEAD.
             10 RECORDS PIC 9(4).
             10 TOTAL PIC 9(18).
          05 LINE-ITEM REDEFINES HEAD.
             10 AMOUNT PIC 9(18).
"""
    settings: dict[str, Any] = {
        "copybook": copybook,
        "record_format": "V",
        "discriminator": "KIND",
        "records": {"H": {"group": "HEAD", "table": "head"}, "L": {"group": "LINE-ITEM", "table": "line"}},
        "control_totals": [
            {"name": "records", "declared": "head.records", "equals": "count(*)"},
            {"name": "total", "declared": "head.total", "equals": "sum(line.amount)"},
        ],
    }
    big = 10**17 * 4
    lines = [rdw(text("L", 1) + zoned(big, 18))] * 2
    head = rdw(text("H", 1) + zoned(3, 4) + zoned(2 * big, 18))
    assert all(total.ok for total in decoded(head + b"".join(lines), "copybook", settings)[1].control_totals)
    # Far more than 64 bits hold: the sum is exact, so it is found wrong rather than right by chance.
    wrapped = (big * 30) % 2**64
    head = rdw(text("H", 1) + zoned(31, 4) + zoned(wrapped % 10**18, 18))
    with pytest.raises(RefusedFile, match=f"found {big * 30}"):
        decoded(head + b"".join(lines * 15), "copybook", settings)


def test_a_quarantined_bill_still_counts_in_the_totals() -> None:
    wrong = bill(1, "10.50")[:1] + b"\xc1" * 6 + packed(Decimal("10.50"), 9, 2)
    sink = run(wrong, bill(2, "1"), trailer(2, "11.50"))
    assert sink.rules == [(1, "bad_value")]
    assert sink.rejects[0].reason == "bill.bill_no is not a valid zoned number"


def test_bad_records_go_alone_each_with_its_reason() -> None:
    bad_amount = bill(1, "1")[:-1] + b"\x10"
    unknown = text("Q", 1) + zoned(1, 6)
    short = bill(1, "1")[:-1]
    long = bill(1, "1") + b"\x40" * 40
    no_count, too_many = rates("0.1", count=0), rates("0.1", count=4)
    less = rates("0.1", count=2)
    records = [bad_amount, unknown, short, long, no_count, too_many, less, b"", bill(7, "2.50")]
    data = b"".join(rdw(record) for record in records if record)
    settings = {**SETTINGS, "control_totals": []}
    sink, result = decoded(data, "copybook", settings)
    rules = dict(sink.rules)
    assert rules == {
        1: "bad_value",
        2: "unknown_record_type",
        3: "record_too_short",
        4: "record_too_long",
        5: "bad_counter",
        6: "bad_counter",
        7: "record_too_short",
    }
    assert [row["bill_no"] for row in sink.rows("bill")] == [7]
    assert result.records_by_type == {"B": 4, "R": 3}
    third = next(reject for reject in sink.rejects if reject.record_no == 3)
    assert third.raw == short
    assert data[third.byte_offset + 4 :].startswith(short)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no record"),
        (rdw(bill(1, "1"))[:-3], "truncated at byte offset 0: the last record has 13 bytes of 16"),
        (rdw(bill(1, "1")) + b"\x00\x10", "truncated at byte offset 16"),
        (b"\x00\x04\x00\x00" + rdw(header()), "impossible record descriptor word 00040000 at byte offset 0"),
        (rdw(header()) + b"\x00\x10\x01\x00" + bill(1, "1"), "at byte offset 16"),
    ],
)
def test_broken_framing_refuses_the_file_at_an_offset(data: bytes, message: str) -> None:
    with pytest.raises(RefusedFile, match=message):
        decoded(data, "copybook", {**SETTINGS, "control_totals": []})


@pytest.mark.parametrize("big_endian", [True, False])
@pytest.mark.parametrize("inclusive", [True, False])
def test_rdw_variants_with_header_and_footer(big_endian: bool, inclusive: bool) -> None:
    body = b"".join(rdw(bill(i, "1"), inclusive=inclusive, big_endian=big_endian) for i in range(500))
    settings = {
        **SETTINGS,
        "control_totals": [],
        "rdw_big_endian": big_endian,
        "rdw_inclusive": inclusive,
        "file_header_bytes": 7,
        "file_footer_bytes": 5,
    }
    sink, result = decoded(b"HEADER!" + body + b"FOOTR", "copybook", settings)
    assert result.loaded == 500
    assert [row["bill_no"] for row in sink.rows("bill")] == list(range(500))
    shifted = {**settings, "rdw_inclusive": not inclusive, "rdw_adjustment": -4 if inclusive else 4}
    assert decoded(b"HEADER!" + body + b"FOOTR", "copybook", shifted)[1].loaded == 500


def test_fixed_records_leave_no_remainder() -> None:
    copybook = "       01 R.\n          05 A PIC X(3).\n          05 B PIC 9(2).\n"
    data = (text("abc", 3) + zoned(42, 2)) * 3
    assert len(decoded(data, "copybook", {"copybook": copybook})[0].rows("r")) == 3
    with pytest.raises(RefusedFile, match="truncated at byte offset 15: the last record has 1 bytes of 5"):
        decoded(data + b"\x40", "copybook", {"copybook": copybook})


@pytest.mark.parametrize(
    ("picture", "data", "value"),
    [
        ("PIC 9(3)", b"\xf0\xf4\xf2", 42),
        ("PIC 9(3)", b"\x40\x40\x40", None),
        ("PIC S9(3)", b"\xf0\xf4\xd2", -42),
        ("PIC S9(3)", b"\xf0\xf4\xc2", 42),
        ("PIC S9(3)", b"\xf0\xf4\xf2", 42),
        ("PIC S9(3) SIGN LEADING", b"\xd0\xf4\xf2", -42),
        ("PIC S9(3) SIGN IS LEADING SEPARATE CHARACTER", text("-042", 4), -42),
        ("PIC S9(3) SIGN TRAILING SEPARATE", text("042+", 4), 42),
        ("PIC S9(2)V9 COMP-3", b"\x04\x2d", Decimal("-4.2")),
        ("PIC S9(3) COMP-3", b"\x04\x2a", 42),
        ("PIC S9(3) PACKED-DECIMAL", b"\x04\x2b", -42),
        ("PIC 9(3) COMP-3", b"\x04\x2f", 42),
        ("PIC S9(4) COMP", b"\xff\xd6", -42),
        ("PIC 9(4) USAGE IS BINARY", b"\xff\xd6", 65494),
        ("PIC S9(9) COMP-5", b"\x00\x00\x00\x2a", 42),
        ("PIC S9(18) COMP", b"\xff" * 8, -1),
        ("PIC S9(3)V99 COMP", b"\xff\xff\xff\xd6", Decimal("-0.42")),
        ("PIC S9(20) COMP-3", packed(-(10**20 - 1), 20), Decimal(-(10**20 - 1))),
        ("PIC 9(25)", zoned(10**24, 25), Decimal(10**24)),
        ("PIC PP99", zoned(42, 2), Decimal("0.0042")),
        ("PIC 99PP", zoned(42, 2), 4200),
        ("PIC -(4)9.99", text("  -3.50 ", 8)[:8], Decimal("-3.50")),
        ("PIC ZZ9.99CR", text(" 12.50CR", 8), Decimal("-12.50")),
        ("PIC $Z,ZZ9.99", text("$1,234.50", 9), Decimal("1234.50")),
        ("PIC X(5)", text("ab", 5), "ab"),
        ("PIC X(5)", text("  ab", 5), "  ab"),
        ("PIC X(5)", text("", 5), None),
        ("PIC X(5)", b"\x00" * 5, None),
        ("PIC A(2)BX", text("ab c", 4), "ab c"),
        ("COMP-1", b"\x42\x2a\x80\x00", 42.5),
        ("COMP-2", b"\xc2\x2a\x80" + b"\x00" * 5, -42.5),
        ("PIC 9(2) OCCURS 3 TIMES", zoned(10203, 6), [1, 2, 3]),
    ],
)
def test_values(picture: str, data: bytes, value: object) -> None:
    found, sink = one(picture, data)
    assert found == value
    assert sink.rejects == []


@pytest.mark.parametrize(
    ("picture", "data"),
    [
        ("PIC 9(3)", b"\xf0\x40\xf2"),
        ("PIC 9(3)", b"\xf0\xf4\xd2"),
        ("PIC 9(3)", b"\xf0\xc4\xf2"),
        ("PIC S9(3)", b"\xf0\xf4\xfa"),
        ("PIC S9(3) SIGN LEADING SEPARATE", text("x042", 4)),
        ("PIC S9(3) COMP-3", b"\x0a\x2c"),
        ("PIC S9(3) COMP-3", b"\x04\x29"),
        ("PIC S9(3) COMP-3", b"\x40\x40"),
        ("PIC S9(4) COMP-3", b"\x12\x34\x5c"),
        ("PIC S9(20) COMP-3", b"\x1a" + b"\x00" * 9 + b"\x0c"),
        ("PIC S9(20) COMP-3", b"\x10" + b"\x00" * 9 + b"\x0c"),
        ("PIC S9(2)V99 COMP", b"\x7f\xff"),
        ("PIC S9(19) COMP", b"\x7f" + b"\xff" * 8),
        ("PIC ZZ9.99", text("1x2.50", 6)),
        ("PIC 9(2) OCCURS 3 TIMES", b"\xf0\xf1\xf0\x0c\xf0\xf1"),
    ],
)
def test_bytes_that_are_no_value_quarantine_the_record(picture: str, data: bytes) -> None:
    _, sink = one(picture, data)
    assert sink.rules == [(1, "bad_value")]


def test_nested_redefines_give_both_readings_and_the_other_one_may_be_none() -> None:
    copybook = """
       01 R.
          05 KIND PIC X.
          05 BODY.
             10 NUMBER-TEXT PIC X(4).
             10 NUMBER-PACKED REDEFINES NUMBER-TEXT PIC S9(7) COMP-3.
          05 OTHER REDEFINES BODY.
             10 HALF PIC X(2) OCCURS 2.
"""
    data = text("T", 1) + text("abcd", 4) + text("P", 1) + packed(-42, 7)
    sink, _ = decoded(data, "copybook", {"copybook": copybook})
    first, second = sink.rows("r")
    assert (first["number_text"], first["number_packed"], first["half"]) == ("abcd", None, ["ab", "cd"])
    assert second["number_packed"] == -42
    assert sink.rejects == []


def test_equal_names_in_different_groups_stay_apart() -> None:
    copybook = """
       01 R.
          05 HOME.
             10 CITY PIC X(2).
          05 WORK.
             10 CITY PIC X(2).
             10 STREET PIC X(2).
"""
    assert schema("copybook", {"copybook": copybook})["r"].names == [
        "_record_no",
        "home_city",
        "work_city",
        "street",
    ]


def test_several_01_levels_are_record_types() -> None:
    copybook = """
       01 HEAD.
          05 KIND PIC X.
          05 TITLE PIC X(3).
       01 LINE-ITEM.
          05 KIND PIC X.
          05 AMOUNT PIC 9(5).
"""
    settings = {
        "copybook": copybook,
        "record_format": "V",
        "discriminator": "KIND",
        "records": {1: {"group": "HEAD", "table": "head"}, 2: {"group": "LINE-ITEM", "table": "item"}},
    }
    sink, _ = decoded(rdw(text("1abc", 4)) + rdw(text("2", 1) + zoned(42, 5)), "copybook", settings)
    assert sink.rows("item") == [{"_record_no": 2, "kind": "2", "amount": 42}]


def test_a_file_of_many_blocks_keeps_its_record_numbers() -> None:
    count = 400_000  # 6.4 MB, more than one block, with a record across the border
    body = b"".join(rdw(record) for record in (bill(1, "1"), bill(2, "2"), header())) * (count // 3)
    sink, result = decoded(body, "copybook", {**SETTINGS, "control_totals": []})
    numbers = pa.concat_tables([sink.table("bill"), sink.table("header")], promote_options="default")[
        "_record_no"
    ]
    assert sorted(numbers.to_pylist()) == list(range(1, result.records_read + 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code_page": "cp9999"}, "setting 'code_page'"),
        ({"code_page": "utf-8"}, "setting 'code_page'"),
        ({"discriminator": "NOPE"}, "setting 'discriminator': 'NOPE' is not a field"),
        ({"records": {"H": {"group": "NOPE", "table": "x"}}}, "records.H.group"),
        ({"records": {}}, "setting 'records'"),
        ({"discriminator": None}, "setting 'discriminator'"),
        ({"record_frmat": "V"}, "setting 'record_frmat'"),
        ({"record_length": "long"}, "setting 'record_length'"),
        ({"copybook": "no/such/file.cpy"}, "cannot read 'no/such/file.cpy'"),
        ({"control_totals": [{"name": "n", "declared": "x", "equals": "count(bill)"}]}, "declared must be"),
        (
            {
                "control_totals": [
                    {"name": "n", "declared": "trailer.bill_count", "equals": "max(bill.amount)"}
                ]
            },
            "equals",
        ),
        (
            {"control_totals": [{"name": "n", "declared": "trailer.x", "equals": "count(bill)"}]},
            "no column 'x'",
        ),
    ],
)
def test_settings_name_the_wrong_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        schema("copybook", {**SETTINGS, **change})
