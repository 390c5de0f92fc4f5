"""MeterReadings messages: intervals, dials, registers, qualities, and what is not right."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.formats import RefusedFile, SettingsError, schema
from tests.connectors.formats import meter_xml as x
from tests.connectors.formats.sink import MemorySink, decoded

MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)


def _code(period: int = 2, accumulation: int = 4, flow: int = 1, multiplier: int = 3, unit: int = 72) -> str:
    return f"0.0.{period}.{accumulation}.{flow}.1.12.0.0.0.0.0.0.0.0.{multiplier}.{unit}.0"


def _one(code: str, *intervals: str, **settings: Any) -> dict[str, Any]:
    """The row of a message with one interval."""
    data = x.message(
        x.group(x.interval_block(code, *(intervals or [x.interval("2024-01-01T01:00:00Z", "1.5")])))
    )
    (row,) = decoded(data, "iec61968", settings)[0].rows("interval_reads")
    return row


def _values(sink: MemorySink, table: str = "interval_reads", column: str = "value") -> list[Any]:
    return [row[column] for row in sorted(sink.rows(table), key=lambda row: row["_record_no"])]


def test_a_reading_in_full() -> None:
    more = "<reportedDateTime>2024-01-02T01:00:00+01:00</reportedDateTime>"
    row = _one(x.DELTA, x.interval("2024-01-01T01:15:00+01:00", "0.125", "2.8.0", more=more))
    assert row == {
        "_record_no": 3,
        "service_point_id": "SP-1",
        "register_id": x.DELTA,
        "meter_serial": "M-1",
        "direction": "import",
        "unit": "kWh",
        "interval_start_at": MIDNIGHT,
        "interval_seconds": 900,
        "value": Decimal("0.125"),
        "quality_flag": "E",
        "quality_method": "2.8.0",
        "reason_code": None,
        "reason_text": None,
        "updated_at": datetime(2024, 1, 2, tzinfo=UTC),
        "record_no": 3,
    }


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (_code(), ("import", "kWh", Decimal("1.5"), 900)),
        (_code(flow=19), ("export", "kWh", Decimal("1.5"), 900)),
        (_code(period=7, multiplier=0), ("import", "kWh", Decimal("0.0015"), 3600)),
        (_code(period=5, multiplier=6), ("import", "kWh", Decimal("1500"), 1800)),
        (_code(unit=73), ("reactive_import", "kvarh", Decimal("1.5"), 900)),
        (_code(flow=4), ("net", "kWh", Decimal("1.5"), 900)),
        (_code(flow=0), ("other", "kWh", Decimal("1.5"), 900)),
        (_code(flow=15, unit=73), ("reactive_import", "kvarh", Decimal("1.5"), 900)),
        (_code(unit=42, multiplier=0), ("import", "m3", Decimal("1.5"), 900)),
        (_code(accumulation=12, unit=38), ("import", "kW", Decimal("1.5"), 900)),
    ],
)
def test_reading_type(code: str, expected: tuple[Any, ...]) -> None:
    row = _one(code)
    assert (row["direction"], row["unit"], row["value"], row["interval_seconds"]) == expected


@pytest.mark.parametrize("year", [2009, 2011])
@pytest.mark.parametrize("envelope", [True, False])
def test_versions_and_envelopes(year: int, envelope: bool) -> None:
    group = x.group(x.interval_block(x.DELTA, x.interval("2024-01-01T01:00:00Z", "1")))
    sink, result = decoded(x.message(group, envelope=envelope, year=year), "iec61968", {})
    assert result.records_by_type == {"MeterReading": 1, "IntervalBlocks": 1, "IntervalReadings": 1}
    updated = datetime(2024, 1, 2, tzinfo=UTC) if envelope else None
    assert _values(sink, column="updated_at") == [updated]


def test_the_time_stamp_is_the_end_or_by_setting_the_start() -> None:
    stamp = x.interval("2024-01-01T00:15:00.000Z", "1")
    assert _one(x.DELTA, stamp)["interval_start_at"] == MIDNIGHT
    start = _one(x.DELTA, stamp, time_stamp="start")["interval_start_at"]
    assert (start.hour, start.minute) == (0, 15)


def test_a_time_period_says_more_than_the_reading_type() -> None:
    period = "<timePeriod><start>2024-01-01T00:00:00Z</start><end>2024-01-01T00:05:00Z</end></timePeriod>"
    for settings in ({}, {"time_stamp": "start"}):
        row = _one(_code(period=0), x.interval(None, "1", more=period), **settings)
        assert (row["interval_start_at"], row["interval_seconds"]) == (MIDNIGHT, 300)


def test_times_without_an_offset_need_a_time_zone() -> None:
    data = x.message(x.group(x.interval_block(x.DELTA, x.interval("2024-07-01T02:15:00", "1"))))
    assert decoded(data, "iec61968", {})[1].reasons == {"bad_time": 1}
    sink, _ = decoded(data, "iec61968", {"time_zone": "Europe/Berlin"})
    assert _values(sink, column="interval_start_at") == [datetime(2024, 7, 1, tzinfo=UTC)]


@pytest.mark.parametrize("accumulation", [1, 3, 9])
def test_dials_in_blocks_are_differenced_across_meter_readings(accumulation: int) -> None:
    # As head-end systems send them: a MeterReading each quarter of an hour, a block each register.
    code, other = _code(accumulation=accumulation), _code(accumulation=accumulation, flow=19)
    dials = [
        ("06:45", "6519.0955"),
        ("07:00", "6519.1396"),
        ("07:15", "6519.2"),
        ("08:00", "6520"),
        ("08:15", "1"),
    ]
    groups = [
        x.group(
            x.interval_block(code, x.interval(f"2024-01-01T{time}:00+08:00", value)),
            x.interval_block(other, x.interval(f"2024-01-01T{time}:00+08:00", "0.8358")),
        )
        for time, value in dials
    ]
    sink, result = decoded(x.message(*groups), "iec61968", {})
    rows = sorted(sink.rows("interval_reads"), key=lambda row: row["_record_no"])
    assert [row["value"] for row in rows if row["direction"] == "import"] == [
        Decimal("0.0441"),
        Decimal("0.0604"),
    ]
    assert [row["value"] for row in rows if row["direction"] == "export"] == [0, 0, 0]
    registers = [row for row in sink.rows("register_reads") if row["direction"] == "import"]
    assert [str(row["current_read"]) for row in registers] == [
        "6519.095500", "6519.139600", "6519.200000", "6520.000000", "1.000000"
    ]  # fmt: skip
    assert registers[0]["read_to_at"] == datetime(2023, 12, 31, 22, 45, tzinfo=UTC)
    assert result.loaded == result.records_read


def test_registers_are_dials_or_quantities() -> None:
    period = "<timePeriod><start>2023-12-01T00:00:00Z</start><end>2024-01-01T00:00:00Z</end></timePeriod>"
    data = x.message(
        x.group(
            x.register(_code(0, 1), "2024-01-01T00:00:00Z", "6519.5"),
            x.register(_code(0, 4), "2024-01-01T00:00:00Z", "310", more=period),
        )
    )
    dial, quantity = decoded(data, "iec61968", {})[0].rows("register_reads")
    assert (dial["current_read"], dial["quantity"], dial["read_from_at"]) == (Decimal("6519.5"), None, None)
    assert (quantity["current_read"], quantity["quantity"]) == (None, Decimal("310"))
    assert (dial["read_to_at"], quantity["read_to_at"]) == (MIDNIGHT, MIDNIGHT)
    assert (quantity["read_to_at"] - quantity["read_from_at"]).days == 31


@pytest.mark.parametrize(
    ("codes", "flag"),
    [
        ((), "A"), (("1.0.0",), "A"), (("1.2.32",), "A"), (("2.5.259",), "N"), (("2.8.0",), "E"),
        (("2.7.0", "1.0.0"), "S"), (("3.6.0", "2.8.0"), "Q"), (("1.4.4",), "Q"), (("2.11.0",), "S"),
    ],
)  # fmt: skip
def test_the_worst_quality_counts(codes: tuple[str, ...], flag: str) -> None:
    row = _one(x.DELTA, x.interval("2024-01-01T00:15:00Z", "1", *codes))
    assert (row["quality_flag"], row["quality_method"]) == (flag, " ".join(codes) or None)


def test_qualities_of_a_system() -> None:
    mine = x.interval("2024-01-01T00:15:00Z", "1", "5.9.260")
    data = x.message(x.group(x.interval_block(x.DELTA, mine)))
    assert decoded(data, "iec61968", {})[1].reasons == {"unknown_quality": 1}
    assert _one(x.DELTA, mine, quality_flags={"5.9.260": "F"})["quality_flag"] == "F"
    assert _one(x.DELTA, mine, quality_flags={"9": "S"})["quality_flag"] == "S"


def test_nothing_is_null_never_zero() -> None:
    row = _one(x.DELTA, x.interval("2024-01-01T00:15:00Z", None, "1.0.0"))
    assert (row["value"], row["quality_flag"]) == (None, "N")


@pytest.mark.parametrize(
    ("reading", "rule"),
    [
        (x.interval("soon", "1"), "bad_time"), (x.interval(None, "1"), "bad_time"),
        (x.interval("2024-02-30T00:00:00Z", "1"), "bad_time"),
        (x.interval("1924-02-03T00:00:00Z", "1"), "bad_time"),
        (x.interval("2024-01-01T00:15:00.5Z", "1"), "fractional_time"),
        (x.interval("2024-01-01T00:15:00Z", "1.0000001"), "bad_value"),
        (x.interval("2024-01-01T00:15:00Z", "1,5"), "bad_value"),
        (x.interval("2024-01-01T00:15:00Z", "1", "?"), "unknown_quality"),
        (x.interval("2024-01-01T00:15:00Z", "<a/>"), "bad_structure"),
        (x.interval("2024-01-01T00:15:00Z", "1</value><value>2"), "bad_structure"),
        (x.interval("2024-01-01T00:15:00Z", "1", more="<Readings/>"), "bad_structure"),
    ],
)  # fmt: skip
def test_a_wrong_reading_goes_to_quarantine_alone(reading: str, rule: str) -> None:
    good = x.interval("2024-01-01T00:30:00Z", "7")
    data = x.message(x.group(x.interval_block(x.DELTA, reading, good)))
    sink, result = decoded(data, "iec61968", {})
    assert result.reasons == {rule: 2 if "Readings/" in reading else 1}
    rejected = next(one for one in sink.rejects if one.record_no == 3)
    assert rejected.raw == reading.encode()
    assert data[rejected.byte_offset :].startswith(reading.encode())
    assert _values(sink) == [Decimal(7)]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("", "no_reading_type"), ("kWh", "bad_reading_type"),
        ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72", "bad_reading_type"),
        (_code(unit=999), "unknown_unit"), (_code(accumulation=2), "unknown_accumulation"),
        (_code(multiplier=99), "bad_reading_type"),
    ],
)  # fmt: skip
def test_a_block_that_says_nothing_takes_its_readings_along(code: str, rule: str) -> None:
    interval = x.interval("2024-01-01T00:15:00Z", "1")
    sink, result = decoded(x.message(x.group(x.interval_block(code, interval, interval))), "iec61968", {})
    assert result.reasons == {rule: 1, "parent_quarantined": 2}
    assert sink.rejects[0].raw == b"<IntervalBlocks>"
    register = x.message(x.group(x.register(code, "2024-01-01T00:15:00Z", "1")))
    assert decoded(register, "iec61968", {})[1].reasons == {rule: 1}


def test_an_interval_without_a_length() -> None:
    data = x.message(x.group(x.interval_block(_code(period=0), x.interval("2024-01-01T00:15:00Z", "1"))))
    assert decoded(data, "iec61968", {})[1].reasons == {"bad_duration": 1}
    assert _values(decoded(data, "iec61968", {"interval_seconds": 300})[0], column="interval_seconds") == [
        300
    ]


def test_who_is_read_is_a_setting() -> None:
    block = x.interval_block(x.DELTA, x.interval("2024-01-01T00:15:00Z", "1"))
    things = x.names("Meter", "WT2", MeterUniqueID="SER-9", Other="o")
    things += x.names("UsagePoint", EAN="54100", Old="77")
    data = x.message(f"<MeterReading>{block}{things}</MeterReading>")
    # No mRID, and of two names none is the only one.
    assert decoded(data, "iec61968", {})[1].reasons == {"no_service_point": 1, "parent_quarantined": 2}
    settings = {"service_point_name_type": "EAN", "meter_name_type": "MeterUniqueID"}
    (row,) = decoded(data, "iec61968", settings)[0].rows("interval_reads")
    assert (row["service_point_id"], row["meter_serial"]) == ("54100", "SER-9")
    (row,) = decoded(data, "iec61968", {"service_point": "meter"})[0].rows("interval_reads")
    assert (row["service_point_id"], row["meter_serial"]) == ("WT2", "WT2")


def test_reading_types_by_reference() -> None:
    block = x.interval_block("kwh", x.interval("2024-01-01T00:15:00Z", "1"))
    named = f"<ReadingType><mRID>kwh</mRID><Names><name>{x.DELTA}</name></Names></ReadingType>"
    for data, settings in (
        (x.message(x.group(block), named), {}),
        (x.message(x.group(block)), {"reading_types": {"kwh": x.DELTA}}),
    ):
        (row,) = decoded(data, "iec61968", {**settings, "registers": {x.DELTA: "E1"}})[0].rows(
            "interval_reads"
        )
        assert (row["register_id"], row["unit"]) == ("E1", "kWh")


def test_corrections_and_contradictions() -> None:
    def data(*readings: str) -> bytes:
        return x.message(x.group(x.interval_block(x.DELTA, *readings)))

    late = "<reportedDateTime>2024-02-01T00:00:00Z</reportedDateTime>"
    first = x.interval("2024-01-01T00:15:00Z", "1")
    sink, result = decoded(data(x.interval("2024-01-01T00:15:00Z", "2", more=late), first), "iec61968", {})
    assert (_values(sink), result.superseded) == ([Decimal(2)], 1)
    assert decoded(data(first, first), "iec61968", {})[1].superseded == 1
    _, result = decoded(data(first, x.interval("2024-01-01T00:15:00Z", "2")), "iec61968", {})
    assert result.reasons == {"conflicting_readings": 2}


def test_what_belongs_to_nothing() -> None:
    block = x.interval_block(x.DELTA, x.interval("2024-01-01T00:15:00Z", "1"))
    outside = x.message(block, x.interval("2024-01-01T00:15:00Z", "1"))
    assert decoded(outside, "iec61968", {})[1].reasons == {"orphan": 2, "parent_quarantined": 1}
    # A MeterReading inside another is nobody's, and not the other's.
    nested = x.message(x.group(x.group(block, x.register(x.DIAL, "2024-01-01T00:15:00Z", "1"), point="SP-2")))
    _, result = decoded(nested, "iec61968", {})
    assert result.reasons == {"orphan": 3, "parent_quarantined": 1}
    assert (result.records_read, result.rows) == (5, {})


def test_other_namespaces_need_a_setting() -> None:
    group = x.group(x.interval_block(x.DELTA, x.interval("2024-01-01T00:15:00Z", "1")))
    data = x.message(group, envelope=False).replace(b"http://iec.ch/TC57/2011/MeterReadings#", b"urn:vendor")
    with pytest.raises(RefusedFile, match="no MeterReadings"):
        decoded(data, "iec61968", {})
    assert decoded(data, "iec61968", {"namespaces": ["urn:vendor"]})[1].rows == {"interval_reads": 1}


def test_events_are_counted() -> None:
    data = x.message(x.group("<EndDeviceEvents><Names><name>x</name></Names></EndDeviceEvents>"))
    _, result = decoded(data, "iec61968", {})
    assert (result.records_by_type, result.loaded) == ({"MeterReading": 1, "EndDeviceEvents": 1}, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"time_zone": "Mars"}, "is not a time zone"), ({"interval_seconds": 0}, "interval_seconds")],
)
def test_settings_that_are_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        schema("iec61968", settings)
