"""D0010: positional state, the envelope's counts, check digits and British clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.formats import RefusedFile, SettingsError, schema, text_blocks
from connectors.formats.d0010 import groups
from tests.connectors.formats.encode import d0010, mpan
from tests.connectors.formats.sink import MemorySink, decoded

ONE, TWO = mpan("120002330596"), mpan("190000105981")
METER = [f"026|{ONE}|V|", "028|F75A 00802|R|"]
READ = "030|S|20160222000000|56311.0|||T|N|"


def taken(*body: str, **settings: Any) -> MemorySink:
    return decoded(d0010(*body), "d0010", settings)[0]


def test_a_read_has_its_parents() -> None:
    sink, result = decoded(d0010(*METER, READ), "d0010", {})
    (row,) = sink.rows("register_reads")
    assert row == {
        "_record_no": 4, "record_no": 4, "service_point_id": ONE, "register_id": "S",
        "meter_serial": "F75A 00802", "direction": "import", "unit": "kWh", "read_from_at": None,
        "read_to_at": datetime(2016, 2, 22, tzinfo=UTC), "previous_read": None,
        "current_read": Decimal("56311.000000"), "quantity": None, "quality_flag": "A",
        "quality_method": "R/V/T/N", "reason_code": None, "reason_text": None,
        "updated_at": datetime(2016, 3, 2, 15, 31, 51, tzinfo=UTC),
    }  # fmt: skip
    assert (result.records_read, result.loaded) == (5, 5)
    assert result.records_by_type == {"026": 1, "028": 1, "030": 1, "ZHV": 1, "ZPT": 1}
    assert [(t.name, t.declared, t.found, t.ok) for t in result.control_totals] == [
        ("body_records", 3, 3, True), ("mpan_groups", 1, 1, True)
    ]  # fmt: skip


def test_state_is_positional() -> None:
    sink = taken(
        *METER, READ, "028|NEW 1|I|", READ, f"026|{TWO}|U|", "028|M 2|C|", READ, READ.replace("|S|", "|T|")
    )
    assert [
        (row["service_point_id"], row["meter_serial"], row["register_id"], row["quality_method"])
        for row in sink.rows("register_reads")
    ] == [
        (ONE, "F75A 00802", "S", "R/V/T/N"), (ONE, "NEW 1", "S", "I/V/T/N"),
        (TWO, "M 2", "S", "C/U/T/N"), (TWO, "M 2", "T", "C/U/T/N"),
    ]  # fmt: skip


def test_summer_and_the_two_changes_of_clock() -> None:
    times = ["20160701120000", "20160327005959", "20160327010000", "20161030003000", "20161030013000"]
    sink = taken(*METER, *(READ.replace("20160222000000", time) for time in times))
    assert sink.rules == [(6, "bad_time")]  # 01:00 on that Sunday never was
    assert [row["read_to_at"] for row in sink.rows("register_reads")] == [
        datetime(2016, 7, 1, 11, tzinfo=UTC), datetime(2016, 3, 27, 0, 59, 59, tzinfo=UTC),
        datetime(2016, 10, 29, 23, 30, tzinfo=UTC), datetime(2016, 10, 30, 0, 30, tzinfo=UTC),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reading_type", "status", "flag", "quality"),
    [
        ("R", "V", "T", "A"), ("D", "V", "T", "E"), ("Q", "V", "T", "S"), ("R", "F", "T", "Q"),
        ("R", "V", "F", "Q"), ("D", "F", "F", "Q"), ("W", "V", "T", "N"), ("W", "F", "F", "N"),
        ("R", "U", "", "A"),
    ],
)  # fmt: skip
def test_the_quality_is_that_of_type_and_validation(
    reading_type: str, status: str, flag: str, quality: str
) -> None:
    read = READ.replace("|T|", f"|{flag}|")
    (row,) = taken(f"026|{ONE}|{status}|", f"028|X 1|{reading_type}|", read).rows("register_reads")
    assert row["quality_flag"] == quality
    assert (row["current_read"] is None) == (quality == "N")


def test_a_reason_code_goes_to_the_read_above_it() -> None:
    sink = taken(*METER, READ, "032|09|F|", "032|10|F|", "033|x|", READ, f"026|{TWO}|V|", "028|M|R|", READ)
    assert [row["reason_code"] for row in sink.rows("register_reads")] == [9, None, None]


def test_a_register_that_is_reset_counts_demand() -> None:
    reset = "030|MD|20160222000000|12.5|20160222000000|3|T|N|"
    rows = taken(*METER, READ, reset, unit="WH", direction="export").rows("register_reads")
    assert [(row["unit"], row["direction"], row["current_read"]) for row in rows] == [
        ("kWh", "export", Decimal("56.311")), ("kW", "other", Decimal("12.5"))
    ]  # fmt: skip


def test_a_wrong_mpan_takes_its_group_to_quarantine() -> None:
    wrong = ONE[:-1] + str((int(ONE[-1]) + 1) % 10)
    sink = taken(
        f"026|{wrong}|V|", "027|20|x|", "028|M 1|R|", READ, "032|09|F|", f"026|{TWO}|V|", "028|M|R|", READ
    )
    assert sink.rules == [(2, "bad_mpan"), *((line, "parent_quarantined") for line in (3, 4, 5, 6))]
    assert [row["service_point_id"] for row in sink.rows("register_reads")] == [TWO]


@pytest.mark.parametrize(
    ("body", "rules"),
    [
        (["028|M|R|", READ], [(2, "orphan"), (3, "parent_quarantined")]),
        ([READ], [(2, "orphan")]),
        ([*METER, "032|09|F|"], [(4, "orphan")]),
        ([f"026|{ONE}|V|", READ], [(3, "orphan")]),
        ([*METER, READ, f"026|{TWO}|V|", READ], [(6, "orphan")]),
        ([f"026|{ONE[:-1]}|V|"], [(2, "bad_mpan")]),
        ([f"026|{ONE}|X|"], [(2, "bad_status")]),
        ([f"026|{ONE}|V|", "028||R|", READ], [(3, "no_meter_serial"), (4, "parent_quarantined")]),
        ([f"026|{ONE}|V|", "028|M|?|", READ], [(3, "bad_reading_type"), (4, "parent_quarantined")]),
        ([*METER, READ.replace("|S|", "||")], [(4, "no_register")]),
        ([*METER, READ.replace("000000|5", "0000|5")], [(4, "bad_time")]),
        ([*METER, READ.replace("0222", "0230")], [(4, "bad_time")]),
        ([*METER, READ.replace("56311.0", "")], [(4, "bad_value")]),
        ([*METER, READ.replace("56311.0", "-1")], [(4, "bad_value")]),
        ([*METER, READ.replace("56311.0", "1.2345678")], [(4, "bad_value")]),
        ([*METER, READ.replace("|T|", "|Y|"), "032|01|F|"], [(4, "bad_flag"), (5, "parent_quarantined")]),
        ([*METER, READ, "032|ABC|F|"], [(5, "bad_reason")]),
        ([*METER, READ, "035|x|"], [(5, "unknown_record")]),
        ([*METER, READ.replace("|S|", "|é|")], [(4, "bad_text")]),
    ],
)  # fmt: skip
def test_a_wrong_record_goes_to_quarantine_with_its_children(
    body: list[str], rules: list[tuple[int, str]]
) -> None:
    sink = taken(*body)
    assert sink.rules == rules
    text = d0010(*body)
    assert all(text[r.byte_offset :].startswith(r.raw) for r in sink.rejects)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (d0010(*METER, READ)[:-40], "no ZPT trailer"),
        (d0010(*METER, READ).replace(b"ZHV|", b"ZHD|"), "must begin with a ZHV header"),
        (d0010(*METER, READ, trailer="ZPT|0000475656|4||1|"), "counts 4 body records, found 3"),
        (d0010(*METER, READ, trailer="ZPT|0000475656|3||2|"), "counts 2 mpan groups, found 1"),
        (d0010(*METER, READ, trailer="ZPT|0000475656|3|||"), "does not count mpan groups"),
        (d0010(*METER, READ, trailer="ZPT|00003|"), "file ids of ZHV and ZPT differ"),
        (d0010(*METER, READ, trailer="ZPT|0000475657|3||1|"), "file ids of ZHV and ZPT differ"),
        (d0010(*METER, READ) + b"026|1|V|\n", "line 6: lines follow the ZPT trailer"),
        (d0010(*METER, READ) * 2, "line 6: lines follow the ZPT trailer"),
        (d0010(*METER, flow="D0150002"), "not of flow D0010"),
        (d0010(*METER, flow="D0010003"), "not of flow D0010"),
        (d0010(*METER, use="TR01"), "marks a test file"),
        (d0010(*METER, created="today"), "creation time"),
        (d0010(flow="D0150002"), "not of flow D0010"),
    ],
)
def test_an_envelope_that_does_not_hold_refuses_the_file(data: bytes, why: str) -> None:
    with pytest.raises(RefusedFile, match=why):
        decoded(data, "d0010", {})


def test_a_test_file_is_taken_where_that_is_wanted() -> None:
    assert decoded(d0010(*METER, READ, use="TR01"), "d0010", {"test_files": "take"})[1].loaded == 5


def test_a_file_without_reads_is_whole() -> None:
    assert decoded(d0010(), "d0010", {})[1].loaded == 2


def test_blanks_between_the_pipes_are_not_part_of_anything() -> None:
    lines = [f"026| {ONE} |V| | |", "028| F75A 00802 |R| | |", "030|S |20160222000000| 1.5|||T|N| | |"]
    (row,) = taken(*lines).rows("register_reads")
    assert (row["meter_serial"], row["register_id"], row["current_read"]) == (
        "F75A 00802",
        "S",
        Decimal("1.5"),
    )


def test_groups_are_never_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    body = []
    for number in range(40):
        body += [f"026|{mpan(f'{number:012d}')}|V|", f"028|M {number}|R|", READ, "032|09|F|", READ]
    data = d0010(*body).replace(b"\r\n", b"\n\n")
    whole = decoded(data, "d0010", {})[0].table("register_reads")
    for size in (1, 7, 50, 333):
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", size)
        assert decoded(data, "d0010", {})[0].table("register_reads").equals(whole)
    assert whole.column("reason_code").to_pylist() == [9, None] * 40
    monkeypatch.setattr(groups, "MAX_LINE_BYTES", 60)
    with pytest.raises(RefusedFile, match="records of one MPAN are longer"):
        decoded(data, "d0010", {})


def test_settings_are_checked() -> None:
    for settings, key in (
        ({"time_zone": "Mars"}, "time_zone"),
        ({"unit": "FURLONG"}, "unit"),
        ({"direction": "up"}, "direction"),
        ({"reading_types": {"R": "Z"}}, "reading_types"),
    ):
        with pytest.raises(SettingsError, match=key):
            schema("d0010", settings)


reads = st.tuples(
    st.text("ABC123", min_size=1, max_size=2),
    st.datetimes(datetime(2016, 1, 1), datetime(2016, 3, 1)),
    st.decimals(0, 10**9, places=1),
)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**12 - 1), st.lists(st.lists(reads, max_size=3), max_size=3)), max_size=4
    )
)
def test_any_file_reads_back_as_it_was_written(groups: Any) -> None:
    body, expected = [], []
    for number, meters in groups:
        point = mpan(f"{number:012d}")
        body.append(f"026|{point}|V|")
        for place, found in enumerate(meters):
            body.append(f"028|M {place}|R|")
            for register, moment, value in found:
                body.append(f"030|{register}|{moment:%Y%m%d%H%M%S}|{value:f}|||T|N|")
                expected.append(
                    (point, f"M {place}", register, moment.replace(microsecond=0, tzinfo=UTC), value)
                )
    sink, result = decoded(d0010(*body), "d0010", {})
    assert result.loaded == len(body) + 2
    columns = ("service_point_id", "meter_serial", "register_id", "read_to_at", "current_read")
    assert [tuple(row[name] for name in columns) for row in sink.rows("register_reads")] == expected
