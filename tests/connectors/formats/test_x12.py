"""X12 envelopes and 867: what each rule takes and refuses, on files that are wrong in one place."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyx12.x12file import X12Reader

from connectors.formats import RefusedFile
from connectors.formats.base import SettingsError
from tests.connectors.formats.corpus.x12 import CASES, FILE, INTERVAL, MONTHLY, OTHER_SIGNS
from tests.connectors.formats.edi import x12
from tests.connectors.formats.sink import MemorySink, decoded

FIRST = 4
"""The number of the first segment behind ST: ISA, GS and ST come before it."""


def _decoded(*transactions: list[str], **settings: Any) -> MemorySink:
    return decoded(x12(list(transactions)), "x12", settings)[0]


def _usage(*segments: str, loop: str = "PM", type: str = "KH015") -> list[str]:
    """An 867 with one loop; its first segment behind those given here is number 10."""
    return [
        "867", "BPT*00*T2*20260115*C1", "REF*Q5**1008901", "N1*8R*A. CUSTOMER", f"PTD*{loop}", "REF*MG*M123",
        f"REF*MT*{type}", *segments,
    ]  # fmt: skip


def _interval(number: str, day: str, time: str, qualifier: str = "QD", code: str = "CS") -> list[str]:
    return [f"QTY*{qualifier}*{number}*KH", f"DTM*582*{day}*{time}*{code}"]


def test_an_interval_read_has_every_column() -> None:
    (row,) = _decoded(_usage(*_interval("1.25", "20260114", "0015"))).rows("interval_reads")
    assert row == {
        "_record_no": 10, "record_no": 10, "service_point_id": "1008901", "register_id": "PM:KH015",
        "meter_serial": "M123", "direction": "import", "unit": "kWh",
        "interval_start_at": datetime(2026, 1, 14, 6, tzinfo=UTC), "interval_seconds": 900,
        "value": Decimal("1.25"), "quality_flag": "A", "quality_method": "QD", "reason_code": None,
        "reason_text": None, "updated_at": datetime(2026, 1, 15, 14, 30, tzinfo=UTC),
    }  # fmt: skip


def test_a_monthly_quantity_brings_its_dial_reads_and_parts_of_the_day() -> None:
    rows = _decoded(MONTHLY).rows("register_reads")
    shown = [
        (row["_record_no"], row["register_id"], row["quantity"], row["previous_read"], row["current_read"],
         row["quality_flag"], row["quality_method"])
        for row in rows
    ]  # fmt: skip
    assert shown == [
        (14, "PL:KHMON", 1234, 1000, 2234, "A", "AA"),
        (20, "SU:KH", 1234, None, None, "E", "KA"),
        (16, "PL:KHMON:42", 234, 10, 244, "E", "AE"),
    ]
    assert {row["service_point_id"] for row in rows} == {"10089010238"}
    assert [row["meter_serial"] for row in rows] == ["M123", None, "M123"]
    assert {row["read_from_at"] for row in rows} == {datetime(2025, 12, 15, 6, tzinfo=UTC)}
    assert {row["read_to_at"] for row in rows} == {datetime(2026, 1, 15, 6, tzinfo=UTC)}


def test_a_bad_date_of_a_loop_is_not_replaced_by_that_of_the_transaction() -> None:
    bad = [
        "867",
        "REF*Q5**E",
        "DTM*151*20260115",
        "PTD*PL",
        "DTM*151*20261315",
        "QTY*QD*5*KH",
        "PTD*SU",
        "QTY*QD*5*KH",
    ]
    sink = _decoded(bad)
    assert sink.rules == [(7, "bad_time"), (8, "bad_time")]
    (row,) = sink.rows("register_reads")
    assert row["register_id"] == "SU:KH"


def test_a_multiplier_is_never_applied() -> None:
    """QTY comes multiplied by 40, the dials do not: 25 on the dial, 1000 used."""
    month = [
        "DTM*150*20251215",
        "DTM*151*20260115",
        "QTY*QD*1000*KH",
        "MEA*AA*PRQ*1000*KH*100*125*51",
        "MEA**MU*40",
    ]
    (row,) = _decoded(_usage(*month, loop="PL", type="KHMON")).rows("register_reads")
    assert (row["quantity"], row["previous_read"], row["current_read"]) == (1000, 100, 125)


def test_a_meter_to_be_subtracted_is_a_register_of_its_own() -> None:
    month = ["REF*JH*S", "DTM*151*20260115", "QTY*QD*5*KH"]
    (row,) = _decoded(_usage(*month, loop="PL", type="KHMON")).rows("register_reads")
    assert row["register_id"] == "PL:KHMON:S"


def test_a_measured_total_that_differs_from_the_quantity_is_kept_beside_it() -> None:
    month = ["DTM*151*20260115", "QTY*QD*1050*KH", "MEA*AA*PRQ*1000*KH*100*125*51"]
    rows = _decoded(_usage(*month, loop="PL", type="KHMON")).rows("register_reads")
    assert [(row["register_id"], row["quantity"], row["current_read"]) for row in rows] == [
        ("PL:KHMON", 1050, None), ("PL:KHMON:51", 1000, 125)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("qualifier", "direction", "flag", "number"),
    [("QD", "import", "A", 1), ("KA", "import", "E", 1), ("87", "export", "A", 1), ("9H", "export", "E", 1),
     ("20", "import", "N", None)],
)  # fmt: skip
def test_a_qualifier_is_direction_and_quality(qualifier: str, direction: str, flag: str, number: Any) -> None:
    (row,) = _decoded(_usage(*_interval("1", "20260114", "0015", qualifier))).rows("interval_reads")
    assert (row["direction"], row["quality_flag"], row["value"]) == (direction, flag, number)
    assert row["quality_method"] == qualifier


@pytest.mark.parametrize(
    ("quantity", "type", "unit"),
    [("QTY*QD*1*K1", "K1015", "kW"), ("QTY*QD*1", "K3015", "kvarh"), ("QTY*QD*1*HH", "HH060", "ft3")],
)
def test_a_unit_is_that_of_the_quantity_or_of_the_meter_type(quantity: str, type: str, unit: str) -> None:
    (row,) = _decoded(_usage(quantity, "DTM*582*20260114*0100*CS", type=type)).rows("interval_reads")
    assert row["unit"] == unit


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("DTM*582*20260114*0015*CS", "06:15"), ("DTM*582*20260714*0015*CD", "05:15"),
        ("DTM*582*20260114*0015*ES", "05:15"), ("DTM*582*20260114*0015*UT", "00:15"),
        ("DTM*582*20260714*0015*CT", "05:15"), ("DTM*582*20260114*0015", "06:15"),
        ("DTM*582*20260113*2400", "06:00"), ("DTM*582****DT*202601140015", "06:15"),
        ("DTM*582*20260114*001500*CS", "06:15"), ("DTM*194*20260114*0015*CS", "06:15"),
    ],
)  # fmt: skip
def test_an_end_is_taken_however_it_is_said(time: str, expected: str) -> None:
    (row,) = _decoded(_usage("QTY*QD*1*KH", time)).rows("interval_reads")
    assert f"{row['interval_start_at'] + timedelta(minutes=15):%H:%M}" == expected


@pytest.mark.parametrize(
    ("segments", "rule"),
    [
        (["QTY*QD*1*KH", "DTM*582*20260230*0015"], "bad_time"),
        (["QTY*QD*1*KH", "DTM*582*20260114*0015*ZZ"], "bad_time"),
        (["QTY*QD*1*KH", "DTM*582*20260308*0215"], "bad_time"),
        (["QTY*QD*1*KH", "DTM*582*260114*0015"], "bad_time"),
        (["QTY*QD*1*KH", "DTM*582*20260113*2359"], "bad_interval"),
        (["QTY*QD*1*KH", "DTM*582*20260114*0015", "DTM*582*20260114*0030"], "duplicate_time"),
        (["QTY*QD*1,5*KH", "DTM*582*20260114*0015"], "bad_value"),
        (["QTY*QD**KH", "DTM*582*20260114*0015"], "bad_value"),
        (["QTY*QD*1*XX", "DTM*582*20260114*0015"], "unknown_unit"),
        (["QTY*ZZ*1*KH", "DTM*582*20260114*0015"], "unknown_qualifier"),
        (["QTY*QD*1*KH"], "no_time"),
        (["QTY*QD*1*KH", "DTM*150*20260115", "DTM*151*20260114"], "bad_period"),
        (["QTY*QD*1*KH", "DTM*151*20260114", "MEA*AA*PRQ*1*KH*x*2*51"], "bad_value"),
    ],
)
def test_a_wrong_quantity_is_put_aside_with_what_is_behind_it(segments: list[str], rule: str) -> None:
    sink = _decoded(_usage(*segments, *_interval("7", "20260114", "0030")))
    assert sink.rules == [(10, rule), *[(11 + i, "parent_quarantined") for i in range(len(segments) - 1)]]
    assert [row["value"] for row in sink.rows("interval_reads")] == [7]


def test_the_end_of_day_at_2359_is_a_setting() -> None:
    quantity = _usage(*_interval("1", "20260113", "2345"), *_interval("1", "20260113", "2359"))
    rows = _decoded(quantity, day_ends_2359=True).rows("interval_reads")
    assert [f"{row['interval_start_at']:%d %H:%M}" for row in rows] == ["14 05:30", "14 05:45"]


def test_a_length_that_the_meter_type_does_not_say_is_a_setting() -> None:
    quantity = _usage(*_interval("1", "20260114", "0100"), type="KHINT")
    assert _decoded(quantity).rules == [(10, "no_interval_length"), (11, "parent_quarantined")]
    (row,) = _decoded(quantity, interval_minutes=60).rows("interval_reads")
    assert row["interval_seconds"] == 3600


@pytest.mark.parametrize(("day", "quarters"), [("20260308", 92), ("20260114", 96), ("20261101", 100)])
def test_a_local_day_has_92_96_or_100_quarters(day: str, quarters: int) -> None:
    chicago = ZoneInfo("America/Chicago")
    first = datetime.strptime(day, "%Y%m%d").replace(tzinfo=chicago).astimezone(UTC)
    stamps = [first + timedelta(minutes=15 * i) for i in range(quarters + 1)]
    ends = [at.astimezone(chicago) for at in stamps[1:]]
    segments = [one for at in ends for one in _interval("1", f"{at:%Y%m%d}", f"{at:%H%M}", code="CT")]
    sink = _decoded(_usage(*segments))
    assert not sink.rules
    assert [row["interval_start_at"] for row in sink.rows("interval_reads")] == stamps[:-1]
    assert all(b - a == timedelta(minutes=15) for a, b in pairwise(stamps))


def test_the_first_of_the_named_references_is_the_service_point() -> None:
    both = ["867", "REF*12*ACC", "REF*Q5**ESI", "PTD*PM", "REF*MT*KH060", *_interval("1", "20260114", "0100")]
    (row,) = _decoded(both).rows("interval_reads")
    assert row["service_point_id"] == "ESI"
    (row,) = _decoded(both, service_point_qualifiers=["12"]).rows("interval_reads")
    assert row["service_point_id"] == "ACC"
    del both[1:3]
    assert _decoded(both).rules == [(6, "no_service_point"), (7, "parent_quarantined")]


def test_nothing_of_one_loop_or_transaction_holds_in_the_next() -> None:
    first = _usage(*_interval("1", "20260114", "0015"), "PTD*PM", *_interval("2", "20260114", "0015"))
    second = ["867", "PTD*PM", "REF*MT*KH015", *_interval("3", "20260114", "0015")]
    sink = _decoded(first, second)
    assert sink.rules == [
        (13, "no_interval_length"), (14, "parent_quarantined"),
        (19, "no_service_point"), (20, "parent_quarantined"),
    ]  # fmt: skip


def test_a_loop_without_a_product_takes_everything_in_it_along() -> None:
    sink = _decoded(_usage(*_interval("1", "20260114", "0015"), loop=""))
    assert sink.rules == [(7, "no_product"), *[(n, "parent_quarantined") for n in range(8, 12)]]
    sink = _decoded(["867", "REF*Q5**E", *_interval("1", "20260114", "0015")])
    assert sink.rules[0] == (5, "orphan")


def test_a_cancelling_usage_withdraws_its_values() -> None:
    cancelling = [one.replace("BPT*00", "BPT*01") for one in MONTHLY]
    rows = _decoded(cancelling).rows("register_reads")
    assert {(row["quantity"], row["current_read"], row["quality_flag"]) for row in rows} == {
        (None, None, "N")
    }


def test_an_unknown_transaction_set_goes_to_quarantine_whole() -> None:
    sink = _decoded(["824", "BGN*11*1", "OTI*TR*TN*1"], INTERVAL)
    assert sink.rules == [(n, "unknown_set") for n in range(3, 7)]
    assert len(sink.rows("interval_reads")) == 4


GOOD = x12([INTERVAL])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD.replace(b"SE*15", b"SE*14"), "SE does not count the 15 segments"),
        (GOOD.replace(b"SE*15*0001", b"SE*15*0002"), "SE does not have the reference of its ST"),
        (GOOD.replace(b"GE*1*1", b"GE*2*1"), "GE does not count the 1 messages"),
        (GOOD.replace(b"GE*1*1", b"GE*1*7"), "GE does not have the reference of its GS"),
        (GOOD.replace(b"IEA*1", b"IEA*2"), "IEA does not count the 1 groups"),
        (GOOD.replace(b"IEA*1*000000905", b"IEA*1*000000906"), "IEA does not have the reference of its ISA"),
        (GOOD.replace(b"QTY*20*0*KH~\n", b""), "SE does not count the 14 segments"),
        (GOOD[: GOOD.index(b"IEA")], "truncated"),
        (GOOD[:200], "truncated|ISA"),
        (GOOD.replace(b"~\nGE", b"~\nREF*1~\nGE"), "REF stands outside of any message"),
        (GOOD.replace(b"GS*PT", b"GX*PT"), "ST does not follow what is open"),
        (GOOD + b"UNA:+.? '", "begins with ISA"),
        (b"ISA*00*", "sixteen elements"),
        (GOOD.replace(b"*P*>~", b"*P*~~"), "distinct delimiters"),
        (b"", "empty"),
    ],
    ids=lambda part: part if isinstance(part, str) else "file",
)
def test_an_envelope_that_does_not_hold_refuses_the_file(data: bytes, reason: str) -> None:
    with pytest.raises(RefusedFile, match=reason):
        decoded(data, "x12", {})


def test_only_what_must_be_whole_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month of intervals and an unknown set stream however long they are; a request does not."""
    monkeypatch.setattr("connectors.formats.segments.stream.BLOCK_BYTES", 1000)
    monkeypatch.setattr("connectors.formats.segments.stream.MAX_HELD_BYTES", 4000)
    long = _usage(*(one for at in range(400) for one in _interval("1", "20260114", f"{at % 24:02d}00")))
    sink = _decoded(long, ["824", *["OTI*TR*TN*1"] * 400])
    assert len(sink.rows("interval_reads")) == 400
    assert len(sink.rejects) == 402
    with pytest.raises(RefusedFile, match="does not end within"):
        _decoded(["814", *["LIN*1*SH*EL", "ASI*7*021"] * 400])


def test_control_totals_are_given() -> None:
    _, result = decoded(FILE, "x12", {})
    found = {total.name: (total.declared, total.found) for total in result.control_totals}
    assert found == {"counted_by_iea": (2, 2), "counted_by_ge": (5, 5), "counted_by_se": (58, 58)}


@pytest.mark.parametrize("ends", ["~", "~\r\n", "\n", "\r\n", "\x1c", "'"])
def test_a_terminator_is_what_isa_says(ends: str) -> None:
    sink, result = decoded(x12([INTERVAL], ends=ends), "x12", {})
    assert (result.records_read, len(sink.rows("interval_reads"))) == (19, 4)


def test_a_header_padded_wrongly_is_read_by_its_elements() -> None:
    assert decoded(GOOD.replace(b"006929509      ", b"006929509"), "x12", {})[1].records_read == 19


def test_each_interchange_has_its_own_signs() -> None:
    sink, _ = decoded(FILE + b"\r\n" + OTHER_SIGNS + FILE, "x12", {})
    assert len(sink.rows("interval_reads")) == 12


def test_pyx12_finds_the_same_segments_and_no_wrong_count() -> None:
    _, result = decoded(FILE, "x12", {})
    with X12Reader(io.StringIO(FILE.decode())) as reader:
        tags = [segment.get_seg_id() for segment in reader]
        errors = reader.pop_errors()
    assert {tag: tags.count(tag) for tag in tags} == result.records_by_type
    assert not errors


@pytest.mark.parametrize("wrong", [(b"SE*15", b"SE*14"), (b"GE*1*1", b"GE*1*7"), (b"IEA*1", b"IEA*2")])
def test_what_pyx12_finds_wrong_in_an_envelope_is_refused(wrong: tuple[bytes, bytes]) -> None:
    data = GOOD.replace(*wrong)
    with X12Reader(io.StringIO(data.decode())) as reader:
        list(reader)
        assert reader.pop_errors()
    with pytest.raises(RefusedFile):
        decoded(data, "x12", {})


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("time_zone", "Texas"), ("quantity_qualifiers", {"QD": ["up", "A"]}), ("units", {"KH": "KWHH"}),
        ("status_codes", {"7": "maybe"}), ("service_point_qualifiers", []), ("encoding", "hex"),
        ("interval_minutes", 0), ("colour", "red"), ("account_qualifiers", ["a*b"]),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(key: str, wrong: object) -> None:
    with pytest.raises(SettingsError, match=key):
        decoded(GOOD, "x12", {key: wrong})


def test_blocks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows and rejects however small the pieces in which a file is read."""
    for data in CASES[0].seeds:
        whole, account = decoded(data, "x12", {})
        for size in (64, 333, 1000):
            monkeypatch.setattr("connectors.formats.segments.stream.BLOCK_BYTES", size)
            pieces, other = decoded(data, "x12", {})
            for table in ("interval_reads", "register_reads", "service_requests", "acknowledgements"):
                key = "_record_no"
                assert sorted(pieces.rows(table), key=lambda row: row[key]) == sorted(
                    whole.rows(table), key=lambda row: row[key]
                )
            assert pieces.rejects == whole.rejects
            assert (other.loaded, other.control_totals) == (account.loaded, account.control_totals)
            monkeypatch.undo()
