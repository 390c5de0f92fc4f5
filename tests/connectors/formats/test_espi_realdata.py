"""Green Button against files of real data custodians and of the alliance's own test data."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from greenbutton_objects.parse import parse_feed

from tests.connectors.formats.corpus.espi import count
from tests.connectors.formats.sink import decoded

COASTAL = "Coastal_Multi_Family_Daily_Jan_1_2011_to_Jan_1_2012_RetailCustomer_4.xml"
NINE_DAYS = "TestGBDataHourlyNineDaysBinnedDaily.xml"
DIRECT = [
    "test_usage_data.xml",
    COASTAL,
    NINE_DAYS,
    "abridged/electric_containerized.xml",
    "abridged/gas_direct.xml",
]
ALL = [*DIRECT, "abridged/gas_containerized.xml"]


def _data(realdata: Path, name: str) -> bytes:
    return (realdata / "greenbutton" / name).read_bytes()


def test_quarter_hours_in_14_blocks(realdata: Path) -> None:
    sink, result = decoded(_data(realdata, "test_usage_data.xml"), "espi", {})
    rows = sink.rows("interval_reads")
    assert (len(rows), result.records_by_type["IntervalBlock"], result.quarantined) == (1340, 14, 0)
    assert {row["interval_seconds"] for row in rows} == {900}
    assert sum(row["value"] for row in rows) == Decimal("1391.666")
    assert {(row["unit"], row["direction"]) for row in rows} == {("kWh", "import")}
    assert Counter(row["quality_flag"] for row in rows) == {"A": 1338, "E": 1, "S": 1}
    assert len({row["interval_start_at"] for row in rows}) == 1340
    costs = sink.rows("interval_costs")
    assert (len(costs), costs[0]["cost"], costs[0]["currency"]) == (1340, Decimal("0.00974"), "USD")


def test_a_year_of_hours_in_daily_blocks(realdata: Path) -> None:
    sink, result = decoded(_data(realdata, COASTAL), "espi", {})
    rows = sink.rows("interval_reads")
    assert (len(rows), result.records_by_type["IntervalBlock"], result.quarantined) == (8760, 365, 0)
    assert sum(row["value"] for row in rows) == Decimal("4425.305")
    starts = sorted(row["interval_start_at"] for row in rows)
    assert starts[0].isoformat() == "2011-01-01T08:00:00+00:00"
    assert {(late - early).total_seconds() for early, late in itertools.pairwise(starts)} == {3600.0}


def test_days_of_23_and_25_hours(realdata: Path) -> None:
    # This custodian declares 86,400 s on them, fills 23 and 25 hours, and is right in what it fills ...
    checks = {"check_block_interval": True}
    sink, result = decoded(_data(realdata, COASTAL), "espi", checks)
    assert result.reasons == {"block_interval": 2, "parent_quarantined": 48}
    days = {
        reject.raw.split(b"<start>")[1][:10] for reject in sink.rejects if reject.rule == "block_interval"
    }
    assert days == {b"1300003200", b"1320562800"}
    # ... and this one declares the 82,800 s that it fills.
    data = _data(realdata, "test_usage_data.xml")
    assert b"<duration>82800</duration>" in data
    assert decoded(data, "espi", checks)[1].quarantined == 0


def test_nine_days_of_hours(realdata: Path) -> None:
    sink, result = decoded(_data(realdata, NINE_DAYS), "espi", {})
    assert (result.rows["interval_reads"], result.rows["interval_costs"], result.quarantined) == (216, 216, 0)
    assert sum(row["value"] for row in sink.rows("interval_reads")) == Decimal("199.563")
    (summary,) = sink.rows("register_reads")
    assert summary["register_id"] == "usage_summary"
    assert summary["quantity"] > 0


def test_electric_containerized(realdata: Path) -> None:
    data = _data(realdata, "abridged/electric_containerized.xml")
    sink, result = decoded(data, "espi", {})
    assert (result.rows["interval_reads"], result.quarantined) == (8, 0)
    assert sum(row["value"] for row in sink.rows("interval_reads")) == Decimal("4.086")
    # Abridged: its blocks declare twelve hours and hold four.
    _, checked = decoded(data, "espi", {"check_block_interval": True})
    assert checked.reasons == {"block_interval": 2, "parent_quarantined": 8}


def test_gas_direct_in_therms(realdata: Path) -> None:
    sink, result = decoded(_data(realdata, "abridged/gas_direct.xml"), "espi", {})
    rows = sink.rows("interval_reads")
    assert result.quarantined == 0
    assert [row["value"] for row in rows] == [37, 14, 21, 27, 41]
    assert {(row["unit"], row["direction"]) for row in rows} == {("therm", "import")}
    assert [row["cost"] for row in sink.rows("interval_costs")] == [
        Decimal(text) for text in ("51", "24.93", "32.81", "42.07", "55.43")
    ]


def test_gas_containerized_is_quarantined_with_its_reasons(realdata: Path) -> None:
    data = _data(realdata, "abridged/gas_containerized.xml")
    _, result = decoded(data, "espi", {})
    assert result.reasons == {"no_unit": 1, "parent_quarantined": 7, "empty_entry": 1}
    # Given the unit that its ReadingType leaves out, its starts are no whole seconds.
    defaults = {"reading_type_defaults": {"uom": 169, "powerOfTenMultiplier": -3}}
    _, result = decoded(data, "espi", defaults)
    assert result.reasons == {"fractional_time": 3, "empty_entry": 1}
    # And if these are kept, its three blocks are one start with three durations: never collapsed to one.
    sink, result = decoded(data, "espi", {**defaults, "fractional_seconds": "keep"})
    assert result.reasons == {"conflicting_readings": 3, "empty_entry": 1}
    assert "interval_reads" not in sink.batches


@pytest.mark.parametrize("name", ALL)
def test_every_record_is_counted(realdata: Path, name: str) -> None:
    data = _data(realdata, name)
    _, result = decoded(data, "espi", {})
    assert result.records_read == count(data)


@pytest.mark.parametrize("name", DIRECT)
def test_values_equal_greenbutton_objects(realdata: Path, name: str) -> None:
    data = _data(realdata, name)
    theirs = [
        (reading.timePeriod.start, reading.timePeriod.duration.total_seconds(), round(reading.value * 1000))
        for point in parse_feed(io.BytesIO(data))
        for meter in point.meterReadings
        for reading in meter.intervalReadings
    ]
    scale = 1000 if name.startswith("abridged/gas") else 1_000_000
    ours = [
        (row["interval_start_at"], row["interval_seconds"], round(row["value"] * scale))
        for row in decoded(data, "espi", {})[0].rows("interval_reads")
    ]
    assert sorted(ours) == sorted(theirs)
