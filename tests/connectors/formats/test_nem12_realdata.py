"""NEM12 and NEM13 against real files of metering providers."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from nemreader import read_nem_file

from connectors.formats import RefusedFile
from connectors.formats.archive import open_payloads
from tests.connectors.formats.sink import MemorySink, decoded


def _payload(file: Path) -> bytes:
    (stream,) = [stream.read() for _, stream in open_payloads(file)]
    return stream


def _good_files(folder: Path) -> list[Path]:
    return sorted([*(folder / "nem12" / "unzipped").iterdir(), *(folder / "nem12" / "market_test").iterdir()])


def test_every_record_of_45_files_is_loaded(realdata: Path) -> None:
    by_type: Counter[str] = Counter()
    values = 0
    files = _good_files(realdata)
    for file in files:
        _, result = decoded(_payload(file), "nem12", {})
        by_type.update(result.records_by_type)
        values += result.rows.get("interval_reads", 0)
        assert result.quarantined == result.superseded == 0, file.name
        assert [total.ok for total in result.control_totals] == [True, True]
    assert len(files) == 45
    assert by_type == {
        "100": 45, "200": 77, "250": 15, "300": 295, "400": 44, "500": 17, "550": 13, "900": 45
    }  # fmt: skip
    assert values == 38_496


def test_invalid_files_are_refused_or_quarantined(realdata: Path) -> None:
    outcomes = {}
    for file in (realdata / "nem12" / "invalid").iterdir():
        try:
            sink, _ = decoded(_payload(file), "nem12", {})
        except RefusedFile as refusal:
            outcomes[file.name] = str(refusal)
        else:
            outcomes[file.name] = sink.rejects[0].rule
    assert outcomes == {
        "Example_NEM12_15min_200_30min_300.csv": "field_count",
        "Example_NEM12_15min_200_30min_400.csv": "quality_ranges",
        "Example_NEM12_30min_200_15min_400.csv": "field_count",
        "Example_NEM12_incomplete_interval.csv": "field_count",
        "Example_NEM12_empty.csv": "test file: holds no meter data between its 100 and 900 records",
        "Example_empty_file.csv": "test file: is empty",
        **dict.fromkeys(
            (
                "Example_NEM12_missing_header.csv",
                "Example_NEM12_powercor.csv",
                "Example_NEM12_powercor.csv.zip",
                "Example_NEM12_powercor_missing_fields.csv",
            ),
            "test file: line 2: the file must begin with a 100 record of NEM12 or NEM13",
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        "Example_NEM12_month_solar.csv",
        "Example_NEM12_multiple_quality.csv",
        "Example_NEM12_multiple_meters.csv",
    ],
)
def test_values_and_qualities_equal_nemreader(realdata: Path, name: str) -> None:
    file = realdata / "nem12" / "unzipped" / name
    sink, _ = decoded(file.read_bytes(), "nem12", {})
    ours: dict[tuple[str, str], list[tuple[Decimal, str]]] = {}
    for row in sink.rows("interval_reads"):
        key = (row["service_point_id"], row["register_id"])
        ours.setdefault(key, []).append((row["value"], row["quality_flag"] + (row["quality_method"] or "")))
    readings = read_nem_file(str(file)).readings
    assert {(nmi, channel) for nmi, channels in readings.items() for channel in channels} == set(ours)
    for nmi, channels in readings.items():
        for channel, reads in channels.items():
            scale = 1000 if reads[0].uom.upper() in ("WH", "VARH") else 1
            theirs = [(Decimal(str(read.read_value)) / scale, read.quality_method) for read in reads]
            assert [value for value, _ in ours[nmi, channel]] == [value for value, _ in theirs]
            assert [flag for _, flag in ours[nmi, channel]] == [flag for _, flag in theirs]


def test_interval_ending_market_time_becomes_interval_start_in_utc(realdata: Path) -> None:
    file = realdata / "nem12" / "unzipped" / "Example_NEM12_actual_interval.csv"
    rows = decoded(file.read_bytes(), "nem12", {})[0].rows("interval_reads")
    first, last = rows[0], rows[47]
    assert first["interval_start_at"].isoformat() == "2004-01-31T14:00:00+00:00"
    assert last["interval_start_at"].isoformat() == "2004-02-01T13:30:00+00:00"
    assert first["updated_at"].isoformat() == "2004-02-02T02:00:25+00:00"
    assert (first["direction"], rows[48]["direction"]) == ("import", "reactive_import")
    assert (first["unit"], rows[48]["unit"]) == ("kWh", "kvarh")


def test_accumulation_reads(realdata: Path) -> None:
    file = realdata / "nem12" / "market_test" / "NEM13#Scenario12#UNITEDDP#NEMMCO.zip"
    sink: MemorySink = decoded(_payload(file), "nem12", {})[0]
    (row,) = sink.rows("register_reads")
    assert row["service_point_id"] == "NEM1312029"
    assert row["direction"] == "export"  # imported to the grid
    assert (row["previous_read"], row["current_read"]) == (Decimal("990"), Decimal("980"))
    assert row["quantity"] < 0
    assert row["read_to_at"].isoformat() == "2005-04-01T01:30:22+00:00"
