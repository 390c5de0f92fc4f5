"""What goes wrong in NEM12 files, one defect a test, each named by it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connectors.formats import RefusedFile, SettingsError
from tests.connectors.formats.encode import day, nem12
from tests.connectors.formats.sink import MemorySink, decoded


def _decode(*records: str, **channel: object) -> MemorySink:
    return decoded(nem12(records, **channel).encode(), "nem12", {})[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("defect", "data", "message"),
    [
        ("nothing at all", "", "is empty"),
        ("only blank lines", "\r\n\r\n", "is empty"),
        ("no header", nem12([day()]).split("\r\n", 1)[1], "must begin with a 100 record"),
        (
            "header of another format",
            nem12([day()]).replace("NEM12,", "CMEP,"),
            "must begin with a 100 record",
        ),
        ("cut off", nem12([day()]).rsplit("900", 1)[0], "no 900 record at the end (last line 3)"),
        ("two files in one", nem12([day()]) * 2, "2 records 100 instead of exactly 1"),
        ("two ends", nem12([day(), "900"]), "2 records 900 instead of exactly 1"),
        ("no meter data", "100,NEM12,202608190000,A,B\n900\n", "holds no meter data"),
    ],
)
def test_file_is_refused(defect: str, data: str, message: str) -> None:
    with pytest.raises(RefusedFile, match=message.replace("(", r"\(").replace(")", r"\)")):
        decoded(data.encode(), "nem12", {})


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        (day("20260230"), "bad_date"),
        (day("2026081"), "bad_date"),
        (day(values=[1] * 47), "field_count"),
        (day(values=[1] * 96), "field_count"),
        (day(quality="X"), "bad_quality"),
        (day(quality="A1x"), "bad_quality"),
        (day(updated="20261319010101"), "bad_update_time"),
        (day(updated="yesterday"), "bad_update_time"),
        (day(reason="abc"), "bad_reason_code"),
        (day(values=[1] * 47 + ["-0.5"]), "bad_value"),
        (day(values=[1] * 47 + ["1e3"]), "bad_value"),
        (day(values=[1] * 47 + ["1.2.3"]), "bad_value"),
        (day(values=[1] * 47 + [""]), "bad_value"),
        (day(values=[1] * 47 + ["0.1234567"]), "bad_value"),
        (day(values=[1] * 47 + ["9999999999999"]), "bad_value"),
        (day(values=[1] * 47 + ['"1"']), "bad_value"),
        (day(quality="V"), "quality_ranges"),
        (day() + ",more,than,fits", "field_count"),
    ],
)
def test_a_wrong_day_is_quarantined_and_its_neighbours_load(record: str, rule: str) -> None:
    sink = _decode(day("20260816"), record, day("20260819"))
    assert sink.rules == [(4, rule)]
    assert sink.rejects[0].raw.decode() == record
    days = {row["_record_no"] for row in sink.rows("interval_reads")}
    assert days == {3, 5}


def test_reject_tells_line_offset_and_place_without_the_value() -> None:
    sink = _decode(day("20260816"), day(values=[1] * 20 + ["secret"] + [1] * 27))
    (reject,) = sink.rejects
    text = nem12([day("20260816"), day(values=[1] * 20 + ["secret"] + [1] * 27)])
    assert reject.record_no == 4
    assert text[reject.byte_offset :].startswith("300,20260818,1,1")
    assert reject.reason == "value 21 of 48 is not a number of at least 0 with at most 6 decimals"


@pytest.mark.parametrize(
    ("ranges", "broken"),
    [
        ([(1, 20), (21, 48)], False),
        ([(1, 48)], False),
        ([(1, 20), (22, 48)], True),
        ([(1, 20), (20, 48)], True),
        ([(2, 48)], True),
        ([(1, 47)], True),
        ([(21, 48), (1, 20)], True),
        ([(1, 49)], True),
    ],
)
def test_quality_ranges_cover_the_day_once(ranges: list[tuple[int, int]], broken: bool) -> None:
    events = [f"400,{a},{b},F14,76,Comms" for a, b in ranges]
    sink = _decode(day(quality="V"), *events, "500,N,,20260819101010,", day("20260819"))
    assert ({rule for _, rule in sink.rules} != set()) == broken
    assert len(sink.rows("interval_reads")) == (48 if broken else 96)
    if broken:
        assert len(sink.rejects) == 2 + len(ranges)  # the day, its ranges and its event go together


def test_quality_ranges_reach_every_interval() -> None:
    sink = _decode(
        day(quality="V"), "400,1,10,A,,", "400,11,48,S53,79,Meter fault", day("20260819", quality="E52")
    )
    rows = sink.rows("interval_reads")
    assert [row["quality_flag"] for row in rows] == ["A"] * 10 + ["S"] * 38 + ["E"] * 48
    assert [row["quality_method"] for row in rows[9:12]] == [None, "53", "53"]
    assert (rows[10]["reason_code"], rows[10]["reason_text"]) == (79, "Meter fault")
    assert rows[60]["reason_text"] is None


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ("400,1,48,A,,", "range_without_v"),
        ("400,1,x,A,,", "bad_range"),
        ("999,nothing,known", "unknown_record"),
        ("rubbish", "unknown_record"),
        ("2:0,looks like a sum of 300", "unknown_record"),
    ],
)
def test_a_stray_record_is_quarantined_alone(record: str, rule: str) -> None:
    sink = _decode(day(), record, day("20260819"))
    assert sink.rules == [(4, rule)]
    assert len(sink.rows("interval_reads")) == 96


def test_records_without_a_parent() -> None:
    text = nem12([day("20260819")]).replace(
        "200,", f"{day()}\r\n400,1,2,A,,\r\n500,A,,,\r\n550,N,,E,\r\n200,", 1
    )
    sink = decoded(text.encode(), "nem12", {})[0]
    assert sink.rules == [(2, "orphan"), (3, "parent_quarantined"), (4, "parent_quarantined"), (5, "orphan")]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("6100000123", "", "no_service_point"),
        (",30,", ",7,", "bad_interval_length"),
        (",30,", ",,", "bad_interval_length"),
        (",30,", ",0,", "bad_interval_length"),
        (",KWH,", ",GALLONS,", "unknown_unit"),
        (",1,E1,", ",,,", "no_register"),
    ],
)
def test_a_wrong_channel_takes_its_days_along_and_no_other(old: str, new: str, rule: str) -> None:
    good = nem12([day()])
    channel = good.split("\r\n")[1]
    more = [channel.replace(old, new), day("20260819"), channel, day("20260820"), "900", ""]
    text = good.removesuffix("900\r\n") + "\r\n".join(more)
    sink = decoded(text.encode(), "nem12", {})[0]
    assert sink.rules[0] == (4, rule)
    assert sink.rules[1][0] == 5
    assert len(sink.rows("interval_reads")) == 96


def test_later_update_supersedes_within_a_file_whatever_the_order() -> None:
    early, late = "20260819010101", "20260825010101"
    for order in ([early, late], [late, early]):
        records = [day(updated=u, values=[1 if u == late else 2] * 48) for u in order]
        sink, result = decoded(nem12([*records, day("20260819")]).encode(), "nem12", {})
        assert (result.superseded, result.quarantined) == (1, 0)
        values = {row["value"] for row in sink.rows("interval_reads")[:48]}
        assert values == {Decimal(1)}


def test_ranges_and_events_of_a_superseded_day_are_superseded_too() -> None:
    old = [day(quality="V", updated="20260819010101"), "400,1,48,S53,1,", "500,N,,20260819101010,"]
    _, result = decoded(nem12([*old, day(updated="20260825010101")]).encode(), "nem12", {})
    assert (result.superseded, result.loaded) == (3, 4)


def test_an_unreadable_correction_supersedes_nothing() -> None:
    wrong = day(updated="20260825010101", values=["x"] * 48)
    sink, result = decoded(nem12([day(), wrong]).encode(), "nem12", {})
    assert (result.superseded, result.quarantined) == (0, 1)
    assert len(sink.rows("interval_reads")) == 48


def _wrapped(record: str, cuts: list[int], mark: str = "\r\n") -> str:
    pieces, before = [], 0
    for cut in [*cuts, len(record)]:
        pieces.append(record[before:cut])
        before = cut
    return mark.join(pieces)


@pytest.mark.parametrize("where", ["before the comma", "behind the comma", "within a number", "comma lost"])
def test_a_day_that_wraps_over_three_lines_is_whole(where: str) -> None:
    values = [f"{i}.5" for i in range(200, 248)]
    record = day(values=values)
    commas = [i for i, c in enumerate(record) if c == ","]
    shift = {"before the comma": 0, "behind the comma": 1, "within a number": 3, "comma lost": 0}[where]
    cuts = [commas[12] + shift, commas[30] + shift]
    if where == "comma lost":
        text = record[: cuts[0]] + "\r\n" + record[cuts[0] + 1 : cuts[1]] + "\r\n" + record[cuts[1] + 1 :]
    else:
        text = _wrapped(record, cuts)
    sink = _decode(day("20260816"), text, day("20260819"))
    rows = sink.rows("interval_reads")
    assert sink.rejects == []
    assert [row["value"] for row in rows[48:96]] == [Decimal(value) for value in values]
    assert {row["_record_no"] for row in rows} == {3, 4, 7}


def test_wrapped_values_that_look_like_record_indicators() -> None:
    values = [100, 200, 300, 400, 500, 900, 250, 550] * 6
    record = day(values=values)
    commas = [i for i, c in enumerate(record) if c == ","]
    for start in range(8):
        sink = _decode(_wrapped(record, [commas[1 + start] + 1, commas[9 + start] + 1]), day("20260819"))
        assert [row["value"] for row in sink.rows("interval_reads")[:48]] == [Decimal(v) for v in values], (
            start
        )


def test_a_wrapped_line_that_looks_like_a_channel_is_none() -> None:
    record = day(values=[*[0.5] * 20, 200, *[0.5] * 26, "5"])
    commas = [i for i, c in enumerate(record) if c == ","]
    wrapped = _wrapped(record, [commas[21] + 1])
    assert wrapped.split("\r\n")[1].startswith("200,")
    sink = _decode(wrapped, _wrapped(day("20260819"), [60]), day("20260820"))
    assert sink.rejects == []
    assert len(sink.rows("interval_reads")) == 3 * 48


@pytest.mark.parametrize(("suffix", "direction"), [("N1", "net"), ("x1", "reactive_net")])
def test_a_net_register_may_be_negative(suffix: str, direction: str) -> None:
    (row, *_) = _decode(day(values=["-0.5"] * 48), suffix=suffix).rows("interval_reads")
    assert (row["value"], row["direction"]) == (Decimal("-0.5"), direction)


@pytest.mark.parametrize("suffix", ["C1", "F1", "D2", "V1", ""])
def test_check_and_averaged_data_are_no_energy_of_their_own(suffix: str) -> None:
    (row, *_) = _decode(day(), suffix=suffix).rows("interval_reads")
    assert (row["direction"], row["register_id"]) == ("other", suffix or "1")


def test_values_without_data_are_null_whatever_stands_there() -> None:
    sink = _decode(day(values=[0] * 48, quality="N"), day("20260819", values=["x"] * 48, quality="N"))
    assert sink.rules == [(4, "bad_value")]
    assert {row["value"] for row in sink.rows("interval_reads")} == {None}


@pytest.mark.parametrize("minutes", [1, 5, 10, 15, 20, 30, 60, 1440])
def test_any_whole_part_of_a_day_is_an_interval(minutes: int) -> None:
    count = 1440 // minutes
    rows = decoded(nem12([day(values=range(count))], minutes=minutes).encode(), "nem12", {})[0].rows(
        "interval_reads"
    )
    assert [row["value"] for row in rows] == list(range(count))
    assert {row["interval_seconds"] for row in rows} == {minutes * 60}
    assert (rows[-1]["interval_start_at"] - rows[0]["interval_start_at"]).total_seconds() == 60 * (
        1440 - minutes
    )


@pytest.mark.parametrize(
    ("unit", "value", "stored"),
    [
        ("Wh", "1250", ("kWh", "1.25")),
        ("kwh", "1.25", ("kWh", "1.25")),
        ("MWH", "0.00125", ("kWh", "1.25")),
        ("", "1.25", ("kWh", "1.25")),
        ("VArh", "1", ("kvarh", "0.001")),
    ],
)
def test_units_in_any_case_and_scale(unit: str, value: str, stored: tuple[str, str]) -> None:
    row = _decode(day(values=[value] * 48), unit=unit).rows("interval_reads")[0]
    assert (row["unit"], row["value"]) == (stored[0], Decimal(stored[1]))


def test_spreadsheet_commas_bom_lf_and_blanks_are_taken() -> None:
    text = nem12([day(values=[" 0.5 "] * 48).removesuffix(","), day("20260819") + ",,,,"])
    text = text.replace("\r\n", ",,,\n").replace("900,,,\n", "900,,,\n\n  \n\x1a")
    sink = decoded(b"\xef\xbb\xbf" + text.encode(), "nem12", {})[0]
    assert sink.rejects == []
    assert sink.rows("interval_reads")[0]["value"] == Decimal("0.5")


def test_no_data_quality_may_leave_values_empty() -> None:
    mixed = day("20260819", quality="V", values=[""] * 8 + [1] * 40)
    sink = _decode(day(values=[""] * 48, quality="N"), mixed, "400,1,8,N,,", "400,9,48,A,,")
    assert sink.rejects == []
    values = [row["value"] for row in sink.rows("interval_reads")]
    assert values == [None] * 56 + [Decimal(1)] * 40


def test_letters_beyond_ascii_do_no_harm() -> None:
    data = nem12([day(text="Zähler défekt"), day("20260819")]).encode("latin-1")
    sink = decoded(data, "nem12", {})[0]
    assert sink.rows("interval_reads")[0]["reason_text"] == "Z?hler d?fekt"


def test_a_24_hour_day_in_another_market() -> None:
    text = nem12([day(values=[1] * 96)], minutes=15)
    rows = decoded(text.encode(), "nem12", {"utc_offset": "-06:00"})[0].rows("interval_reads")
    assert rows[0]["interval_start_at"].isoformat() == "2026-08-18T06:00:00+00:00"
    assert rows[95]["interval_start_at"].isoformat() == "2026-08-19T05:45:00+00:00"
    assert {row["interval_seconds"] for row in rows} == {900}


@pytest.mark.parametrize(
    "settings", [{"utc_offset": "10"}, {"utc_offset": "+25:00"}, {"utc_ofset": "+10:00"}]
)
def test_settings_name_the_wrong_key(settings: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(settings))):
        decoded(b"", "nem12", settings)


_READ = (
    "250,6100000123,11,1,11,11,M1,E,00100.0,20260101000000,A,,,00220.5,20260401000000,A,,,120.5,kWh,"
    "20260701,20260402000000,"
)


def _register(*records: str) -> MemorySink:
    return decoded("\n".join(["100,NEM13,202604020000,A,B", *records, "900"]).encode(), "nem12", {})[0]


def test_register_reads_supersede_and_carry_their_details() -> None:
    later = _READ.replace("20260402000000", "20260405000000").replace("120.5", "121.5")
    sink = _register(_READ, "550,N,,E,", later, "550,N,,E,")
    (row,) = sink.rows("register_reads")
    assert row["quantity"] == Decimal("121.5")
    assert sink.rejects == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("120.5", "many", "bad_value"),
        ("20260401000000", "20260431000000", "bad_time"),
        ("20260401000000", "", "bad_time"),
        ("kWh", "therm", "unknown_unit"),
        (",A,,,120.5", ",Q,,,120.5", "bad_quality"),
        ("6100000123", "", "no_service_point"),
    ],
)
def test_a_wrong_register_read_is_quarantined_with_its_details(old: str, new: str, rule: str) -> None:
    sink = _register(_READ.replace(old, new, 1), "550,N,,E,", _READ)
    assert sink.rules == [(2, rule), (3, "parent_quarantined")]
    assert len(sink.rows("register_reads")) == 1
