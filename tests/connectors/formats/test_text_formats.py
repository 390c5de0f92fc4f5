"""JSON lines and delimited text: types, defects, blocks."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.formats import RefusedFile, SettingsError, decode, format_names, schema, text_blocks
from tests.connectors.formats.sink import MemorySink, decoded

HAN: dict[str, Any] = {
    "discriminator": "event",
    "tables": {
        "appliance_use": {
            "values": ["use"],
            "columns": {"service_point_id": "string", "started_at": "timestamp", "energy_wh": "int"},
        },
        "appliance_event": {"values": ["timer_set", "manual_start"], "columns": {"event": "string"}},
    },
}
CALLS: dict[str, Any] = {
    "table": "call",
    "columns": {
        "call_id": "string",
        "dialed_at": "timestamp",
        "talk_seconds": "int",
        "is_random_slot": "boolean",
        "cost_usd": "decimal(8,2)",
        "day": "date",
    },
}
CALLS_HEADER = "call_id,dialed_at,talk_seconds,is_random_slot,cost_usd,day\n"


def _json(*entries: object) -> MemorySink:
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    return decoded("\n".join(lines).encode(), "jsonl", HAN)[0]


def _use(**changes: object) -> dict[str, object]:
    return {"event": "use", "service_point_id": "6100000123", "started_at": "2026-08-18T07:00:00-05:00",
            "energy_wh": 900, **changes}  # fmt: skip


def test_events_go_to_their_tables_with_utc_times() -> None:
    sink = _json(_use(), {"event": "timer_set", "extra": [1]}, {"event": "manual_start"})
    assert sink.rows("appliance_use") == [
        {
            "_record_no": 1,
            "service_point_id": "6100000123",
            "started_at": datetime(2026, 8, 18, 12, tzinfo=UTC),
            "energy_wh": 900,
        }
    ]
    assert [row["event"] for row in sink.rows("appliance_event")] == ["timer_set", "manual_start"]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{", "bad_json"),
        ("[]", "bad_json"),
        ("null", "bad_json"),
        ("{} {}", "bad_json"),
        ("[" * 100_000, "bad_json"),
        ('{"event": 1}', "bad_type"),
        ('{"event": "explode"}', "unknown_record_type"),
        ("{}", "unknown_record_type"),
        (_use(energy_wh="900"), "bad_type"),
        (_use(energy_wh=1.5), "bad_type"),
        (_use(energy_wh=True), "bad_type"),
        (_use(energy_wh=2**40), "bad_value"),
        (_use(service_point_id=6100000123), "bad_type"),
        (_use(started_at="yesterday"), "bad_value"),
        (_use(started_at="2026-02-30T00:00:00Z"), "bad_value"),
    ],
)
def test_a_bad_line_is_quarantined_alone(line: object, rule: str) -> None:
    good = [_use(energy_wh=number) for number in range(80)]
    sink = _json(*good[:40], line, *good[40:])
    assert sink.rules == [(41, rule)]
    assert [row["energy_wh"] for row in sink.rows("appliance_use")] == list(range(80))


def test_missing_and_null_fields_are_null() -> None:
    rows = _json({"event": "use"}, _use(started_at=None)).rows("appliance_use")
    assert (rows[0]["service_point_id"], rows[0]["energy_wh"], rows[1]["started_at"]) == (None, None, None)


def test_lines_that_are_not_utf8_and_a_byte_order_mark() -> None:
    sink, _ = decoded(
        b'\xef\xbb\xbf{"event":"use"}\r\n{"event":"use\xff"}\r\n\r\n{"event":"use"}', "jsonl", HAN
    )
    assert sink.rules == [(2, "bad_encoding")]
    assert [row["_record_no"] for row in sink.rows("appliance_use")] == [1, 4]


def test_no_line_at_all_is_a_quiet_day() -> None:
    assert decoded(b"", "jsonl", HAN)[1].records_read == 0


def test_blocks_keep_numbers_and_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 100)
    lines = [json.dumps(_use(energy_wh=n if n % 10 else "x")) for n in range(100)]
    data = "\n".join(lines).encode()
    sink, result = decoded(data, "jsonl", HAN)
    assert (result.loaded, result.quarantined) == (90, 10)
    for reject in sink.rejects:
        assert data[reject.byte_offset :].startswith(reject.raw)
        assert reject.raw.decode() == lines[reject.record_no - 1]


def _csv(*lines: str, **changes: Any) -> MemorySink:
    return decoded((CALLS_HEADER + "\n".join(lines)).encode(), "delimited", {**CALLS, **changes})[0]


def test_csv_is_typed() -> None:
    (row,) = _csv("1,2026-08-18T07:00:00-05:00,12,true,1.5,2026-08-18").rows("call")
    assert row == {
        "_record_no": 2,
        "call_id": "1",
        "dialed_at": datetime(2026, 8, 18, 12, tzinfo=UTC),
        "talk_seconds": 12,
        "is_random_slot": True,
        "cost_usd": Decimal("1.50"),
        "day": date(2026, 8, 18),
    }


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("2,,,,", "field_count"),
        ("2,,,,,,", "field_count"),
        ('2,"open,,,,', "open_quote"),
        ('2, "a,b",,,,', "bad_line"),
        ("2\rx,,,,,", "bad_line"),
        ("2,yesterday,,,,", "bad_value"),
        ("2,2026-13-01,,,,", "bad_value"),
        ("2,,1.5,,,", "bad_value"),
        ("2,,99999999999,,,", "bad_value"),
        ("2,,,maybe,,", "bad_value"),
        ("2,,,,1.234,", "bad_value"),
        ("2,,,,12345678,", "bad_value"),
        ("2,,,,,2026-02-30", "bad_value"),
    ],
)
def test_a_bad_csv_line_is_quarantined_alone(line: str, rule: str) -> None:
    sink = _csv("1,,,,,", line, "3,,,,,")
    assert sink.rules == [(3, rule)]
    assert [row["call_id"] for row in sink.rows("call")] == ["1", "3"]


def test_quotes_delimiters_and_line_ends() -> None:
    sink = _csv('"a, ""b""",,,,,\r', "'c',,,,,\r", "\r", "d,,,,,")
    assert [row["call_id"] for row in sink.rows("call")] == ['a, "b"', "'c'", "d"]
    assert sink.rows("call")[2]["_record_no"] == 5
    pipes = CALLS_HEADER.replace(",", "|") + '"|||||\n'
    settings = {**CALLS, "delimiter": "|", "quote": None}
    assert decoded(pipes.encode(), "delimited", settings)[0].rows("call")[0]["call_id"] == '"'


def test_columns_in_another_order_and_without_header() -> None:
    settings = {"table": "t", "columns": {"a": "int", "b": "string"}}
    assert decoded(b"b,a\nx,1\n", "delimited", settings)[0].rows("t")[0]["a"] == 1
    assert decoded(b"1,x\n", "delimited", {**settings, "header": False})[0].rows("t")[0]["b"] == "x"
    more = decoded(b"b,c,a\nx,y,1\n", "delimited", {**settings, "allow_extra_columns": True})[0]
    assert more.rows("t") == [{"_record_no": 2, "a": 1, "b": "x"}]


def test_other_encodings_and_the_zone_of_local_times() -> None:
    settings = {"table": "t", "columns": {"a": "string", "at": "timestamp"}, "encoding": "cp1252",
                "time_zone": "America/Chicago"}  # fmt: skip
    data = "a,at\nZürich,2026-11-01 01:30:00\ny,2026-03-08 02:30:00\n".encode("cp1252")
    sink = decoded(data, "delimited", settings)[0]
    (row,) = sink.rows("t")
    assert (row["a"], row["at"]) == ("Zürich", datetime(2026, 11, 1, 6, 30, tzinfo=UTC))
    assert sink.rules == [(3, "bad_value")]  # an hour that never was


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "is empty"),
        ("call_id\n1\n", "column 'dialed_at' is not in the header line"),
        (CALLS_HEADER.strip() + ",more\n", "column 'more' is in the header line but not declared"),
        (CALLS_HEADER.strip() + ",day\n", "names a column twice"),
        ("call_id\rdialed_at\n", "header line"),
    ],
)
def test_a_wrong_header_refuses_the_file(data: str, message: str) -> None:
    with pytest.raises(RefusedFile, match=message):
        decoded(data.encode(), "delimited", CALLS)


@pytest.mark.parametrize(
    ("format", "settings", "message"),
    [
        ("jsonl", {"tables": {"t": {"columns": {"a": "text"}}}}, "tables.t.columns.a.*'text' is not known"),
        ("jsonl", {"tables": {"a": {"columns": {}}, "b": {"columns": {}}}}, "'discriminator'"),
        ("jsonl", {}, "setting 'tables'"),
        ("delimited", {**CALLS, "delimiter": ",,"}, "setting 'delimiter'"),
        ("delimited", {**CALLS, "encoding": "utf-16"}, "setting 'encoding'"),
        ("delimited", {**CALLS, "time_zone": "Mars/Olympus"}, "setting 'time_zone'"),
        ("delimited", {**CALLS, "columns": {"a": "decimal(40,2)"}}, "columns.a"),
        ("delimited", {**CALLS, "colums": {}}, "setting 'colums'"),
        ("excel", {}, f"'excel' is not known; use one of {', '.join(format_names())}"),
    ],
)
def test_settings_name_the_wrong_key(format: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        schema(format, settings)


def test_registry_lists_and_versions_formats() -> None:
    assert format_names() == sorted(format_names())
    assert {"copybook", "delimited", "jsonl", "nem12"} <= set(format_names())
    result = decode(io.BytesIO(b""), "jsonl", HAN, MemorySink())
    assert result.decoder_version == "jsonl/1"
