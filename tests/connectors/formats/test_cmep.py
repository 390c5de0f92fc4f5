"""CMEP: what real senders write, and what must not become a reading."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.formats import RefusedFile, SettingsError, schema
from connectors.formats.cmep import index as cmep_index
from tests.connectors.formats.encode import cmep
from tests.connectors.formats.sink import MemorySink, decoded


def taken(*records: bytes, **settings: Any) -> MemorySink:
    return decoded(b"".join(records), "cmep", settings)[0]


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=UTC)


def hours(day: str, values: list[object], first: int = 1) -> list[tuple[str, str, object]]:
    start = datetime.strptime(day, "%Y%m%d")
    return [
        (f"{start + timedelta(hours=first + number):%Y%m%d%H%M}", "R0", value)
        for number, value in enumerate(values)
    ]


def test_one_record_becomes_its_intervals() -> None:
    sink = taken(cmep([("202606010100", "R0", "0.125"), ("202606010200", "E4", "1.5")], account="A7"))
    first, second = sink.rows("interval_reads")
    assert first == {
        "_record_no": 1, "record_no": 1, "service_point_id": "M1", "register_id": "E_KWH",
        "meter_serial": "M1", "direction": "import", "unit": "kWh", "interval_start_at": at("202606010000"),
        "interval_seconds": 3600, "value": Decimal("0.125000"), "quality_flag": "A", "quality_method": "R0",
        "reason_code": None, "reason_text": None, "updated_at": at("202606020800"),
    }  # fmt: skip
    assert (second["interval_start_at"], second["quality_flag"]) == (at("202606010100"), "E")


def test_the_site_says_where_the_service_point_and_the_label_are() -> None:
    record = cmep([("202606010100", "R0", "1")], account="A7")
    (row,) = taken(record, service_point="receiver_customer", time_label="start").rows("interval_reads")
    assert (row["service_point_id"], row["meter_serial"]) == ("A7", "M1")
    assert row["interval_start_at"] == at("202606010100")
    assert taken(record, service_point="sender_customer").rules == [(1, "no_service_point")]


def test_an_empty_time_is_the_one_before_and_the_interval() -> None:
    triplets = [
        ("202606010015", "R0", 1),
        ("", "R0", 2),
        ("", "R0", 3),
        ("202606010115", "R0", 4),
        ("", "R0", 5),
    ]
    rows = taken(cmep(triplets, interval="00000015")).rows("interval_reads")
    assert [row["interval_start_at"] for row in rows] == [
        at(f"20260601{time}") for time in ("0000", "0015", "0030", "0100", "0115")
    ]
    assert taken(cmep([("", "R0", 1)])).rules == [(1, "bad_time")]


def test_empty_times_run_through_the_change_of_clock_in_real_time() -> None:
    triplets = [("202603080100", "R0", 1), ("", "R0", 2), ("", "R0", 3)]
    rows = taken(cmep(triplets), time_zone="America/Los_Angeles").rows("interval_reads")
    assert [row["interval_start_at"] for row in rows] == [
        at("202603080800"), at("202603080900"), at("202603081000")
    ]  # fmt: skip


def test_a_failed_read_is_missing_whatever_stands_there() -> None:
    stale = cmep([("202606010100", "N32", "481"), ("202606010200", "N", ""), ("202606010300", "N1", "?")])
    rows = taken(stale).rows("interval_reads")
    assert [(row["value"], row["quality_flag"]) for row in rows] == [(None, "N")] * 3
    assert [row["quality_method"] for row in rows] == ["N32", "N", "N1"]


def test_the_hour_that_autumn_repeats_is_told_by_order() -> None:
    labels = ["0030", "0100", "0130", "0100", "0130", "0200"]
    night = cmep([(f"20261101{label}", "R0", n) for n, label in enumerate(labels)], interval="00000030")
    rows = taken(night, time_zone="America/Los_Angeles").rows("interval_reads")
    starts = [row["interval_start_at"] for row in rows]
    assert starts == [at("202611010700") + timedelta(minutes=30 * n) for n in range(6)]
    assert [int(row["value"]) for row in rows] == list(range(6))


def test_repeated_labels_are_no_utc() -> None:
    night = cmep([(f"2026110101{minute}", "R0", 1) for minute in ("00", "00")])
    assert taken(night).rules == [(1, "time_order")]
    # A third pass there never was.
    thrice = cmep([("202611010100", "R0", 1)] * 3)
    assert taken(thrice, time_zone="America/Los_Angeles").rules == [(1, "time_order")]


def test_an_hour_that_never_was_is_no_time() -> None:
    gone = cmep([("202603080230", "R0", 1)])
    assert taken(gone, time_zone="America/Los_Angeles").rules == [(1, "bad_time")]
    assert not taken(gone).rejects


@pytest.mark.parametrize(("length", "local"), [(23, "20260308"), (24, "20260601"), (25, "20261101")])
def test_days_of_23_24_and_25_hours_have_no_gap(length: int, local: str) -> None:
    clock = {23: [1, *range(3, 25)], 24: range(1, 25), 25: [1, 1, *range(2, 25)]}[length]
    record = cmep([(f"{local}{hour:02d}00", "R0", 1) for hour in clock])
    sink = taken(record, time_zone="America/Los_Angeles")
    starts = sink.table("interval_reads").column("interval_start_at").to_pylist()
    assert len(starts) == length
    assert {later - earlier for earlier, later in pairwise(starts)} == {timedelta(hours=1)}


def test_dials_days_and_months_are_register_reads() -> None:
    sink = taken(
        cmep([("202606010000", "R0", "100"), ("202606020000", "E1", "124.5")], units="KWHREG"),
        cmep([("202603090000", "R0", "24.5")], interval="00010000"),
        cmep([("202603310000", "R0", "7"), ("", "R0", "9")], interval="01000000", meter="M2"),
        time_zone="America/Los_Angeles",
    )
    first, second, day, month, next_month = sink.rows("register_reads")
    assert (first["current_read"], first["read_to_at"], first["read_from_at"]) == (
        100,
        at("202606010700"),
        None,
    )
    assert (second["current_read"], second["quality_flag"]) == (Decimal("124.5"), "E")
    assert [row["register_id"] for row in (first, day, month)] == [
        "E_KWH", "E_KWH/00010000", "E_KWH/01000000"
    ]  # fmt: skip
    # The day on which the clock goes forward has 23 hours.
    assert (day["read_from_at"], day["read_to_at"]) == (at("202603080800"), at("202603090700"))
    assert (day["quantity"], day["current_read"]) == (Decimal("24.5"), None)
    assert (month["read_from_at"], month["read_to_at"]) == (at("202602280800"), at("202603310700"))
    assert next_month["read_to_at"] == at("202604300700")
    assert not sink.batches.get("interval_reads")


def test_units_carry_scale_flow_and_kind() -> None:
    codes = ["GKWH", "NKWH", "SKWH", "KVARH", "GKVARH", "WH", "THERM", "CCF", "CF", "KGAL", "V", "MWH"]
    sink = taken(*(cmep([("202606010100", "R0", "2")], units=code, meter=code) for code in codes))
    rows = {row["meter_serial"]: row for row in sink.rows("interval_reads")}
    assert {code: (row["direction"], row["unit"], row["value"]) for code, row in rows.items()} == {
        "GKWH": ("export", "kWh", 2), "NKWH": ("net", "kWh", 2), "SKWH": ("other", "kWh", 2),
        "KVARH": ("reactive_import", "kvarh", 2), "GKVARH": ("reactive_export", "kvarh", 2),
        "WH": ("import", "kWh", Decimal("0.002")), "THERM": ("import", "therm", 2),
        "CCF": ("import", "ft3", 200), "CF": ("import", "ft3", 2), "KGAL": ("import", "gal", 2000),
        "V": ("other", "V", 2), "MWH": ("import", "kWh", 2000),
    }  # fmt: skip


def test_a_dialect_of_units_and_qualities_is_settings() -> None:
    record = cmep([("202606010100", "X9", "5")], units="kWh-RcvdRateA")
    assert taken(record).rules == [(1, "unknown_unit")]
    settings: dict[str, Any] = {
        "units": {"KWH-RCVDRATEA": {"unit": "KWH", "direction": "export"}},
        "qualities": {"X": "Q"},
    }
    (row,) = taken(record, **settings).rows("interval_reads")
    assert (row["direction"], row["quality_flag"], row["quality_method"]) == ("export", "Q", "X9")


def test_the_constant_multiplies_exactly_or_rejects() -> None:
    def value(constant: str, number: str, **settings: Any) -> Any:
        sink = taken(cmep([("202606010100", "R0", number)], constant=constant), **settings)
        return sink.rows("interval_reads")[0]["value"] if not sink.rejects else sink.rules[0][1]

    assert value("40", "1.25") == 50
    assert value("0.001", "1500") == Decimal("1.5")
    assert value("", "3") == 3
    assert value("40", "1.25", apply_constant=False) == Decimal("1.25")
    assert value("0.001", "0.0005") == "bad_value"  # a seventh decimal
    assert value("1000000000", "900000000000") == "bad_value"
    assert value("0", "1") == value("-1", "1") == value("x", "1") == "bad_constant"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (cmep([("202606010100", "R0", "1")]).replace(b",1,2026", b",2,2026"), "field_count"),
        (cmep([("202606010100", "R0", "1")]).replace(b",1\n", b",1,9\n"), "field_count"),
        (b"MEPMD01,20080501,SENDER\n", "field_count"),
        (cmep([]).replace(b",0\n", b",x\n"), "bad_count"),
        (cmep([("202606010100", "R0", "1")], meter=""), "no_service_point"),
        (cmep([("202606010100", "R0", "1")], purpose="TEMPLATE"), "other_purpose"),
        (cmep([("202606010100", "R0", "1")], units="FURLONG"), "unknown_unit"),
        (cmep([("202606010100", "R0", "1")], interval="0000010"), "bad_interval"),
        (cmep([("202606010100", "R0", "1")], interval="00000000"), "bad_interval"),
        (cmep([("202606010100", "R0", "1")], stamp="20260602T080"), "bad_update_time"),
        (cmep([("202606310100", "R0", "1")]), "bad_time"),
        (cmep([("202606012401", "R0", "1")]), "bad_time"),
        (cmep([("202606010200", "R0", "1"), ("202606010100", "R0", "1")]), "time_order"),
        (cmep([("202606010100", "RR", "1")]), "bad_quality"),
        (cmep([("202606010100", "Z0", "1")]), "bad_quality"),
        (cmep([("202606010100", "R0", "")]), "bad_value"),
        (cmep([("202606010100", "R0", "1e3")]), "bad_value"),
        (cmep([("202606010100", "R0", "0.1234567")]), "bad_value"),
        (cmep([("202606010100", "R0", "1")], meter="Zähler"), "bad_text"),
        (b"MLA01,20080501,SENDER,,,,202606020800,M1\n", "other_record"),
    ],
)  # fmt: skip
def test_a_wrong_record_goes_to_quarantine_alone(line: bytes, rule: str) -> None:
    good = cmep([("202606010100", "R0", "1")], meter="M9")
    sink = taken(good, line, good.replace(b"0100,R0", b"0200,R0"))
    assert sink.rules == [(2, rule)]
    (reject,) = sink.rejects
    assert (reject.raw, reject.byte_offset) == (line.rstrip(), len(good))
    assert sink.table("interval_reads").num_rows == 2


def test_a_spreadsheet_may_leave_commas_and_blanks_and_quotes() -> None:
    line = b'MEPMD01, 20080501,"S",,,A,202606020800, "M1" ,ok, E,kwh , 1.0,00000100, 1'
    line += b", 202606010100 , R0, 2.5 ,,,\r\n"
    (row,) = taken(b"\xef\xbb\xbf" + line).rows("interval_reads")
    assert (row["service_point_id"], row["register_id"], row["value"]) == ("M1", "E_KWH", Decimal("2.5"))


def test_a_line_without_end_may_have_been_cut() -> None:
    whole = cmep([("202606010100", "R0", "12.5")])
    cut = (whole + whole.replace(b"M1", b"M2"))[:-3]  # 12.5 has become 12
    assert taken(cut).rules == [(2, "truncated")]
    assert not taken((whole + whole.replace(b"M1", b"M2"))[:-1], final_line_end="optional").rejects
    assert taken(cut[:-9], final_line_end="optional").rules == [(2, "field_count")]


def test_catch_up_rows_and_a_repeated_file_leave_one_read_a_moment() -> None:
    today = cmep(hours("20260602", [1, 2, 3]))
    earlier = cmep(hours("20260601", [7, 8]))
    sink, result = decoded(today + earlier + today, "cmep", {})
    assert (result.loaded, result.superseded, result.quarantined) == (2, 1, 0)
    assert sorted((row["interval_start_at"], row["_record_no"]) for row in sink.rows("interval_reads")) == [
        (at("202606010000"), 2), (at("202606010100"), 2),
        (at("202606020000"), 3), (at("202606020100"), 3), (at("202606020200"), 3),
    ]  # fmt: skip


def test_the_later_time_stamp_wins_whatever_the_order() -> None:
    late = cmep(hours("20260601", [5, 6]), stamp="202606030800", purpose="RESEND")
    early = cmep(hours("20260601", [1, 2, 3]))
    sink, result = decoded(late + early, "cmep", {})
    # Of the early record one read is left, so it is loaded.
    assert (result.loaded, result.superseded) == (2, 0)
    assert sorted((row["interval_start_at"], int(row["value"])) for row in sink.rows("interval_reads")) == [
        (at("202606010000"), 5), (at("202606010100"), 6), (at("202606010200"), 3)
    ]  # fmt: skip


def test_a_failed_read_never_replaces_one_that_did_not_fail() -> None:
    read = cmep(hours("20260601", [5]))
    failed = cmep([("202606010100", "N32", "0")], stamp="202606030800")
    for records in ([read, failed], [failed, read]):
        sink, result = decoded(b"".join(records), "cmep", {})
        assert [int(row["value"]) for row in sink.rows("interval_reads")] == [5]
        assert (result.loaded, result.superseded) == (1, 1)


def test_a_wrong_record_replaces_nothing() -> None:
    read = cmep(hours("20260601", [5]))
    sink, result = decoded(read + cmep(hours("20260601", ["x"]), stamp="202606030800"), "cmep", {})
    assert [int(row["value"]) for row in sink.rows("interval_reads")] == [5]
    assert (result.loaded, result.superseded, result.quarantined) == (1, 0, 1)


@pytest.mark.parametrize(
    ("dial", "found"), [("110", 1), ("109", 1), ("111", 1), ("112", 0), ("110.0", 1), ("110.2", 0)]
)
def test_amounts_are_compared_with_the_dial_to_its_last_digit(dial: str, found: int) -> None:
    amounts = cmep(hours("20260601", ["0.5"] * 20))
    reads = cmep([("202606010000", "R0", "100"), ("202606012000", "R0", dial)], units="KWHREG")
    _, result = decoded(amounts + reads, "cmep", {})
    (total,) = result.control_totals
    assert (total.name, total.declared, total.found, total.ok) == ("register_delta", 1, found, bool(found))
    assert result.quarantined == 0  # it is told; validation judges


def test_only_what_can_be_compared_is() -> None:
    reads = cmep([("202606010000", "R0", "100"), ("202606020000", "R0", "124")], units="KWHREG")
    split = cmep(hours("20260601", [1] * 10)) + reads + cmep(hours("20260601", [1] * 14, first=11))
    assert decoded(split, "cmep", {})[1].control_totals[0].found == 1
    for amounts in (
        cmep(hours("20260601", [1] * 23)),  # the last hour is not there
        cmep([*hours("20260601", [1] * 23), ("202606020000", "N0", "1")]),
        cmep(hours("20260601", [1] * 24), meter="M2"),
    ):
        assert decoded(amounts + reads, "cmep", {})[1].control_totals == []


def test_settings_are_checked() -> None:
    for settings, key in (
        ({"time_zone": "Mars"}, "time_zone"),
        ({"units": {"X": {"unit": "FURLONG"}}}, "units.X.unit"),
        ({"units": {"X": {"unit": "KWH", "direction": "up"}}}, "units.X.direction"),
        ({"qualities": {"R": "Z"}}, "qualities"),
        ({"purposes": []}, "purposes"),
        ({"zone": "UTC"}, "zone"),
    ):
        with pytest.raises(SettingsError, match=key):
            schema("cmep", settings)


def test_a_file_without_one_readable_record_is_accounted_for() -> None:
    for zone in ("UTC", "America/Los_Angeles"):
        assert taken(b"MEPMD01\n,\n", time_zone=zone).rules == [(1, "other_record"), (2, "other_record")]
        assert taken(b"MEPMD01,\n" + cmep([]), time_zone=zone).rules == [(1, "field_count")]


def test_an_empty_file_is_refused() -> None:
    for data in (b"", b"\n\r\n \x1a"):
        with pytest.raises(RefusedFile, match="is empty"):
            decoded(data, "cmep", {})


@pytest.mark.parametrize("copies", [1, 2])
def test_blocks_and_clusters_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch, copies: int) -> None:
    records = [cmep(hours("20260601", [n, n + 1], first=n), meter=f"M{n % 3}") for n in range(1, 12)]
    records += [cmep([(f"2026060{n + 1}0000", "R0", n)], units="KWHREG", meter="M1") for n in range(4)]
    data = b"\n".join(records) * copies
    whole, result = decoded(data, "cmep", {})
    monkeypatch.setattr(cmep_index, "CHUNK_BYTES", 300)
    monkeypatch.setattr(cmep_index, "_KEPT_BYTES", -1)
    monkeypatch.setattr("connectors.formats.cmep.decoder.CHUNK_BYTES", 300)
    pieces, again = decoded(data, "cmep", {})
    assert result.superseded == (copies - 1) * len(records)
    assert (result.loaded, result.superseded, result.rows) == (again.loaded, again.superseded, again.rows)
    for table in ("interval_reads", "register_reads"):
        order = [("_record_no", "ascending"), ("service_point_id", "ascending")]
        assert whole.table(table).sort_by(order).equals(pieces.table(table).sort_by(order))


amounts = st.decimals(min_value=-(10**11), max_value=10**11, places=6)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.lists(amounts | st.none(), max_size=5), st.integers(0, 40)),
        max_size=8,
    )
)
def test_any_file_reads_back_as_it_was_written(records: list[tuple[int, list[Decimal | None], int]]) -> None:
    expected: dict[tuple[str, datetime], tuple[bool, int, Decimal | None]] = {}
    text = []
    for number, (meter, values, first) in enumerate(records):
        triplets = []
        for offset, value in enumerate(values):
            end = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(minutes=15 * (first + offset))
            triplets.append((f"{end:%Y%m%d%H%M}", "N1" if value is None else "R0", f"{value or 0:f}"))
            key = (f"M{meter}", end - timedelta(minutes=15))
            expected[key] = max(
                expected.get(key, (False, -1, None)), (value is not None, number, value), key=lambda e: e[:2]
            )
        text.append(cmep(triplets, meter=f"M{meter}", interval="00000015"))
    if not text:
        return
    sink, _ = decoded(b"".join(text), "cmep", {})
    found = {
        (row["service_point_id"], row["interval_start_at"]): row["value"]
        for row in sink.rows("interval_reads")
    }
    assert found == {key: value for key, (_, _, value) in expected.items()}
    assert sink.table("interval_reads").num_rows == len(expected)


def test_a_large_and_odd_set_of_qualities_is_told_apart() -> None:
    codes = [f"R{number}" for number in range(100)]
    triplets = [
        (f"{at('202606010015') + timedelta(minutes=15 * n):%Y%m%d%H%M}", code, n)
        for n, code in enumerate(codes)
    ]
    rows = taken(cmep(triplets, interval="00000015")).rows("interval_reads")
    assert [row["quality_method"] for row in rows] == codes
    assert np.array_equal([int(row["value"]) for row in rows], np.arange(100))
