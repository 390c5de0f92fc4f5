"""Tables of varying size, alternatives and slack bytes: where the fields of ugly records lie."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import SettingsError, schema
from tests.connectors.formats.encode import binary, packed, rdw, text, zoned
from tests.connectors.formats.sink import MemorySink, decoded


def read(copybook: str, *records: bytes, **settings: Any) -> MemorySink:
    data = b"".join(rdw(record) for record in records)
    return decoded(data, "copybook", {"copybook": copybook, "record_format": "V", **settings})[0]


NESTED = """
       01 R.
          05 METERS PIC 9(1).
          05 NOTES  PIC 9(2) COMP.
          05 METER OCCURS 0 TO 3 TIMES DEPENDING ON METERS.
             10 SERIAL PIC X(3).
             10 READS  PIC 9(1).
             10 READING OCCURS 1 TO 4 TIMES DEPENDING ON READS.
                15 KWH PIC S9(3) COMP-3.
             10 TAIL PIC X(1).
          05 NOTE OCCURS 0 TO 5 TIMES DEPENDING ON NOTES PIC X(2).
          05 LAST-FIELD PIC X(4).
"""


def meter(serial: str, *reads: int, count: int | None = None) -> bytes:
    return (
        text(serial, 3)
        + zoned(len(reads) if count is None else count, 1)
        + b"".join(packed(value, 3) for value in reads)
        + text("t", 1)
    )


def site(*meters: bytes, notes: tuple[str, ...] = (), count: int | None = None) -> bytes:
    return (
        zoned(len(meters) if count is None else count, 1)
        + binary(len(notes), 2)
        + b"".join(meters)
        + b"".join(text(note, 2) for note in notes)
        + text("end", 4)
    )


def test_tables_of_varying_size_inside_and_behind_one_another() -> None:
    sink = read(
        NESTED,
        site(meter("AAA", 1, -2, 3), meter("BBB", 9), notes=("n1", "n2")),
        site(),
        site(meter("CCC", 5, 6, 7, 8), notes=("x",)),
    )
    assert sink.rejects == []
    assert sink.rows("r") == [
        {
            "_record_no": 1,
            "meters": 2,
            "notes": 2,
            "meter": [
                {
                    "serial": "AAA",
                    "reads": 3,
                    "reading": [{"kwh": 1}, {"kwh": -2}, {"kwh": 3}],
                    "tail": "t",
                },
                {"serial": "BBB", "reads": 1, "reading": [{"kwh": 9}], "tail": "t"},
            ],
            "note": ["n1", "n2"],
            "last_field": "end",
        },
        {"_record_no": 2, "meters": 0, "notes": 0, "meter": [], "note": [], "last_field": "end"},
        {
            "_record_no": 3,
            "meters": 1,
            "notes": 1,
            "meter": [
                {
                    "serial": "CCC",
                    "reads": 4,
                    "reading": [{"kwh": 5}, {"kwh": 6}, {"kwh": 7}, {"kwh": 8}],
                    "tail": "t",
                }
            ],
            "note": ["x"],
            "last_field": "end",
        },
    ]


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        (site(meter("AAA", 1), count=4), "bad_counter"),
        (site(meter("AAA", 1), meter("BBB", count=0)), "bad_counter"),
        (site(meter("AAA", 1, 2, count=5)), "bad_counter"),
        (b"\x40" + site(meter("AAA", 1))[1:], "bad_counter"),
        (site(meter("AAA", 1, 2, count=4)), "record_too_short"),
        (site(meter("AAA", 1), count=3), "bad_counter"),
        (site(notes=("a",))[:-2], "record_too_short"),
    ],
)
def test_a_counter_out_of_bounds_or_a_lying_one_quarantines_only_its_record(record: bytes, rule: str) -> None:
    sink = read(NESTED, site(meter("AAA", 1)), record, site(meter("BBB", 2), notes=("n",)))
    assert sink.rules == [(2, rule)]
    assert [row["_record_no"] for row in sink.rows("r")] == [1, 3]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.lists(st.integers(-999, 999), min_size=1, max_size=4), max_size=3),
            st.lists(st.sampled_from(["ab", "c", ""]), max_size=5),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_nesting_reads_back_as_it_was_written(sites: list[tuple[list[list[int]], list[str]]]) -> None:
    records = [
        site(*(meter(f"M{i}", *reads) for i, reads in enumerate(meters)), notes=tuple(notes))
        for meters, notes in sites
    ]
    found = [
        ([[read["kwh"] for read in one["reading"]] for one in row["meter"]], [n or "" for n in row["note"]])
        for row in read(NESTED, *records).rows("r")
    ]
    assert found == sites


def test_a_bad_value_deep_in_a_varying_table_names_the_table() -> None:
    bad = site(meter("AAA", 1), meter("BBB", 2))
    at = bad.index(packed(2, 3))
    sink = read(NESTED, bad[:at] + b"\xaa\xaa" + bad[at + 2 :], site(meter("CCC", 3)))
    assert sink.rules == [(1, "bad_value")]
    assert sink.rejects[0].reason == "r.meter holds an element that is not valid"
    assert len(sink.rows("r")) == 1


def test_the_counter_of_an_inner_table_may_lie_outside_the_outer_one() -> None:
    copybook = """
       01 R.
          05 N PIC 9.
          05 ROW OCCURS 2 TIMES.
             10 CELL OCCURS 0 TO 3 TIMES DEPENDING ON N PIC X.
             10 MARK PIC X.
          05 Z PIC X.
"""
    sink = read(copybook, text("2ab-cd-z", 8), text("0--z", 4), text("3abc-def-z", 10))
    assert [[row["cell"] for row in r["row"]] for r in sink.rows("r")] == [
        [["a", "b"], ["c", "d"]],
        [[], []],
        [["a", "b", "c"], ["d", "e", "f"]],
    ]
    assert [r["z"] for r in sink.rows("r")] == ["z", "z", "z"]


@pytest.mark.parametrize("keeps_room", [False, True])
def test_a_table_that_keeps_the_room_of_its_maximum(keeps_room: bool) -> None:
    copybook = """
       01 R.
          05 N PIC 9.
          05 ITEM OCCURS 0 TO 3 TIMES DEPENDING ON N PIC X(2).
          05 Z PIC X(3).
"""
    record = text("1aabbcczzz", 10) if keeps_room else text("1aazzz", 6)
    mode = "keeps_room" if keeps_room else "moves_up"
    (row,) = read(copybook, record, occurs_depending_on=mode).rows("r")
    assert (row["item"], row["z"]) == (["aa"], "zzz")


def test_a_varying_table_in_fixed_records_is_followed_by_padding() -> None:
    copybook = """
       01 R.
          05 N PIC 9.
          05 ITEM OCCURS 0 TO 3 TIMES DEPENDING ON N PIC X(2).
"""
    data = text("1aa", 7) + text("3aabbcc", 7) + text("0", 7)
    sink, _ = decoded(data, "copybook", {"copybook": copybook})
    assert [row["item"] for row in sink.rows("r")] == [["aa"], ["aa", "bb", "cc"], []]


def test_occurs_n_depending_on_is_up_to_n() -> None:
    copybook = "       01 R.\n          05 N PIC 9.\n          05 A OCCURS 3 DEPENDING ON N OF R PIC X.\n"
    sink = read(copybook, text("0", 1), text("2ab", 3), text("4abcd", 5))
    assert [row["a"] for row in sink.rows("r")] == [[], ["a", "b"]]
    assert sink.rules == [(3, "record_too_long")]


def test_a_varying_table_under_a_redefines_ends_where_the_longer_reading_does() -> None:
    copybook = """
       01 R.
          05 N PIC 9.
          05 PLAIN PIC X(4).
          05 TABLE-VIEW REDEFINES PLAIN.
             10 ITEM OCCURS 1 TO 3 TIMES DEPENDING ON N PIC X(2).
          05 Z PIC X(2).
"""
    first, second = read(copybook, text("1aabbzz", 7), text("3aabbcczz", 9)).rows("r")
    assert (first["plain"], first["item"], first["z"]) == ("aabb", ["aa"], "zz")
    assert (second["plain"], second["item"], second["z"]) == ("aabb", ["aa", "bb", "cc"], "zz")


LEVELS = """
       01 R.
          05 KIND PIC X.
          05 SUB-KIND PIC 9(2).
          05 BODY.
             10 AMOUNT PIC S9(5)V99 COMP-3.
             10 REST PIC X(2).
          05 ALT REDEFINES BODY.
             10 NAME PIC X(2).
             10 DETAIL PIC X(6).
             10 DETAIL-NUM REDEFINES DETAIL.
                15 VALUE-A PIC 9(6).
             10 DETAIL-PAIR REDEFINES DETAIL.
                15 LEFT-HALF PIC X(3).
                15 RIGHT-HALF PIC X(3).
          05 FOOT PIC X.
"""


def test_redefines_of_several_levels_and_unequal_lengths_chosen_by_two_fields() -> None:
    settings: dict[str, Any] = {
        "discriminator": ["KIND", "SUB-KIND"],
        "records": {
            "A,*": {"group": "BODY", "table": "amount"},
            "B,01": {"group": "DETAIL-NUM", "table": "num"},
            "B,02": {"group": "DETAIL-PAIR", "table": "pair"},
            "*,*": {"group": "DETAIL", "table": "other"},
        },
    }
    sink = read(
        LEVELS,
        text("A", 1)
        + zoned(7, 2)
        + packed(Decimal("1.50"), 7, 2)
        + text("xx", 2)
        + text("", 2)
        + text("f", 1),
        text("B01nn000042f", 12),
        text("B02nnabcdeff", 12),
        text("C09nnabcdeff", 12),
        **settings,
    )
    assert sink.rejects == []
    assert sink.rows("amount")[0] == {
        "_record_no": 1, "kind": "A", "sub_kind": 7, "amount": Decimal("1.50"), "rest": "xx", "foot": "f",
    }  # fmt: skip
    assert sink.rows("num")[0]["value_a"] == 42
    assert (sink.rows("pair")[0]["left_half"], sink.rows("pair")[0]["right_half"]) == ("abc", "def")
    assert sink.rows("other")[0]["detail"] == "abcdef"
    assert schema("copybook", {"copybook": LEVELS, **settings})["pair"].names == [
        "_record_no", "kind", "sub_kind", "name", "left_half", "right_half", "foot",
    ]  # fmt: skip


def test_branches_of_two_independent_redefines() -> None:
    copybook = """
       01 R.
          05 KIND PIC X.
          05 A-TEXT PIC X(2).
          05 A-NUM REDEFINES A-TEXT PIC 9(2).
          05 B-TEXT PIC X(2).
          05 B-NUM REDEFINES B-TEXT PIC 9(2).
"""
    records = {"1": {"group": ["A-NUM", "B-TEXT"], "table": "one"}}
    sink = read(copybook, text("112xy", 5), text("1xx12", 5), discriminator="KIND", records=records)
    assert sink.rows("one") == [{"_record_no": 1, "kind": "1", "a_num": 12, "b_text": "xy"}]
    assert sink.rules == [(2, "bad_value")]


def test_two_branches_of_the_same_bytes_are_refused() -> None:
    records = {"A": {"group": ["BODY", "DETAIL-NUM"], "table": "a"}}
    with pytest.raises(SettingsError, match="line 8: ALT shares its bytes with BODY"):
        schema("copybook", {"copybook": LEVELS, "discriminator": "KIND", "records": records})


def test_a_discriminator_in_a_branch_is_empty_where_the_record_is_too_short_for_it() -> None:
    copybook = """
       01 R.
          05 KIND PIC X.
          05 SHORT-BODY PIC X(2).
          05 LONG-BODY REDEFINES SHORT-BODY.
             10 FILLER PIC X(3).
             10 SUB-KIND PIC X.
             10 V PIC 9(2).
"""
    records = {"S,": {"group": "SHORT-BODY", "table": "s"}, "L,X": {"group": "LONG-BODY", "table": "l"}}
    sink = read(
        copybook, text("Sab", 3), text("L...X12", 7), discriminator=["KIND", "SUB-KIND"], records=records
    )
    assert [row["short_body"] for row in sink.rows("s")] == ["ab"]
    assert [row["v"] for row in sink.rows("l")] == [12]


def test_synchronized_fields_have_slack_before_them() -> None:
    copybook = """
       01 R.
          05 A PIC X.
          05 B PIC S9(4) COMP SYNC.
          05 C PIC X.
          05 D PIC S9(9) COMP SYNCHRONIZED RIGHT.
          05 E PIC X.
          05 F COMP-2 SYNC.
          05 ROW OCCURS 2.
             10 G PIC S9(4) COMP SYNC.
             10 H PIC X.
          05 I PIC X.
"""
    record = (
        text("a", 1) + b"\x00" + binary(2, 2) + text("c", 1) + b"\x00" * 3 + binary(4, 4) + text("e", 1)
        + b"\x00" * 3 + b"\x42\x2a\x80" + b"\x00" * 5
        + binary(7, 2) + text("h", 1) + b"\x00" + binary(8, 2) + text("k", 1) + b"\x00" + text("i", 1)
    )  # fmt: skip
    (row,) = read(copybook, record).rows("r")
    assert (row["b"], row["d"], row["f"], row["i"]) == (2, 4, 42.5, "i")
    assert row["row"] == [{"g": 7, "h": "h"}, {"g": 8, "h": "k"}]
    tight = text("a", 1) + binary(2, 2) + text("c", 1) + binary(4, 4) + text("e", 1) + record[16:24]
    tight += binary(7, 2) + text("h", 1) + binary(8, 2) + text("k", 1) + text("i", 1)
    assert read(copybook, tight, align_synchronized=False).rows("r") == [row]


def test_slack_before_a_group_moves_its_redefinition_too() -> None:
    copybook = """
       01 R.
          05 A PIC X.
          05 G.
             10 B PIC S9(4) COMP SYNC.
          05 G-TEXT REDEFINES G PIC X(2).
          05 Z PIC X.
"""
    (row,) = read(copybook, text("a", 1) + b"\x00" + b"\x81\x82" + text("z", 1)).rows("r")
    assert (row["b"], row["g_text"], row["z"]) == (-32382, "ab", "z")


def test_levels_66_77_and_88_take_no_bytes() -> None:
    copybook = """
       77 STANDALONE PIC X(10).
       01 R.
          05 A PIC X.
             88 A-YES VALUE 'Y' 'J'.
             88 A-NO VALUES ARE 'N' THRU 'P'.
          05 B PIC 9(2) VALUE ZERO.
       66 AB RENAMES A THRU B.
"""
    assert read(copybook, text("Y42", 3)).rows("r") == [{"_record_no": 1, "a": "Y", "b": 42}]


def test_index_and_pointers_take_their_bytes_and_an_address_is_no_column() -> None:
    copybook = """
       01 R.
          05 I USAGE INDEX.
          05 P USAGE IS POINTER.
          05 Q USAGE PROCEDURE-POINTER.
          05 Z PIC X.
"""
    assert read(copybook, binary(7, 4) + b"\xff" * 12 + text("z", 1)).rows("r") == [
        {"_record_no": 1, "i": 7, "z": "z"}
    ]


def test_a_field_of_a_varying_place_cannot_tell_record_types() -> None:
    copybook = """
       01 R.
          05 N PIC 9.
          05 A OCCURS 0 TO 3 DEPENDING ON N PIC X.
          05 KIND PIC X.
"""
    with pytest.raises(SettingsError, match="'KIND' is not a field of a fixed place"):
        schema(
            "copybook",
            {"copybook": copybook, "discriminator": "KIND", "records": {"A": {"group": "R", "table": "a"}}},
        )
