"""MSCONS: what each rule takes and refuses, on files that are wrong in one place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from pydifact.segmentcollection import RawSegmentCollection

from connectors.formats import RefusedFile
from connectors.formats.base import SettingsError
from tests.connectors.formats.corpus.mscons import CASES, INTERVALS
from tests.connectors.formats.edi import UNA, interchange, message, point, value, with_other_signs
from tests.connectors.formats.sink import MemorySink, decoded

FIRST = 15
"""The number of the first segment behind those of ``point``: UNA, UNB, UNH and eleven come before it."""
MORNING = ("202607010000?+00", "202607010015?+00")


def _reads(
    *segments: str, product: str = "1-1?:1.29.0:SRW", una: str = UNA, **settings: object
) -> MemorySink:
    sink, _ = decoded(interchange(message(*point(*segments, product=product)), una=una), "mscons", settings)
    return sink


def _starts(sink: MemorySink) -> list[str]:
    return [f"{row['interval_start_at']:%m-%d %H:%M}" for row in sink.rows("interval_reads")]


def test_an_interval_read_has_every_column() -> None:
    (row,) = _reads(*value("0.125", *MORNING), "STS+Z34++Z87", "STS+Z32++Z92").rows("interval_reads")
    assert row == {
        "_record_no": FIRST, "record_no": FIRST, "service_point_id": "DE0001", "register_id": "1-1:1.29.0",
        "meter_serial": "1EMH0012345678", "direction": "import", "unit": "kWh",
        "interval_start_at": datetime(2026, 7, 1, tzinfo=UTC), "interval_seconds": 900,
        "value": Decimal("0.125"), "quality_flag": "A", "quality_method": "220", "reason_code": None,
        "reason_text": "Z34:Z87 Z32:Z92", "updated_at": datetime(2026, 10, 1, 4, tzinfo=UTC),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("product", "direction", "unit"),
    [
        ("1-1?:1.29.0:SRW", "import", "kWh"),
        ("1-1?:2.29.0", "export", "kWh"),
        ("1-1?:3.29.0:SRW", "reactive_import", "kvarh"),
        ("1-1?:4.8.1", "reactive_export", "kvarh"),
        ("1-1?:1.6.0*01", "import", "kW"),
        ("1.8.0", "import", "kWh"),
        ("7-20?:3.0.0", "import", "unknown"),
        ("9991000000101:Z02", "other", "unknown"),
    ],
)
def test_an_obis_number_says_direction_and_unit(product: str, direction: str, unit: str) -> None:
    (row,) = _reads(*value("1", *MORNING), product=product).rows("interval_reads")
    assert (row["direction"], row["unit"]) == (direction, unit)
    assert row["register_id"] == product.replace("?", "").removesuffix(":SRW").removesuffix(":Z02")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("KWH", ("1.5", "kWh")), ("MWH", ("1500", "kWh")), ("WHR", ("0.0015", "kWh")),
        ("KWT", ("1.5", "kW")), ("MAW", ("1500", "kW")), ("K3", ("1.5", "kvarh")), ("MTQ", ("1.5", "m3")),
    ],
)  # fmt: skip
def test_a_delivered_unit_is_kept_and_power_stays_power(unit: str, expected: tuple[str, str]) -> None:
    (row,) = _reads(*value(f"1.5:{unit}", *MORNING)).rows("interval_reads")
    assert (row["value"], row["unit"]) == (Decimal(expected[0]), expected[1])


def test_an_unknown_unit_is_put_aside_until_a_setting_knows_it() -> None:
    assert _reads(*value("1:Z16", *MORNING)).rules == [(FIRST, "unknown_unit"), *_children(FIRST)]
    (row,) = _reads(*value("1:Z16", *MORNING), units={"Z16": "KVARH"}).rows("interval_reads")
    assert row["unit"] == "kvarh"


def _children(number: int) -> list[tuple[int, str]]:
    return [(number + 1, "parent_quarantined"), (number + 2, "parent_quarantined")]


@pytest.mark.parametrize(
    ("qualifier", "flag", "number"),
    [
        ("220", "A", "1"),
        ("67", "S", "1"),
        ("201", "E", "1"),
        ("Z18", "E", "1"),
        ("187", "E", "1"),
        ("20", "N", None),
    ],
)
def test_a_qualifier_is_a_quality(qualifier: str, flag: str, number: str | None) -> None:
    (row,) = _reads(*value("1", *MORNING, qualifier)).rows("interval_reads")
    assert (row["quality_flag"], row["quality_method"]) == (flag, qualifier)
    assert row["value"] == (number and Decimal(number))


def test_a_qualifier_of_a_site_is_a_setting() -> None:
    quantity = value("1", *MORNING, "Z99")
    assert _reads(*quantity).rules == [(FIRST, "unknown_qualifier"), *_children(FIRST)]
    (row,) = _reads(*quantity, quantity_qualifiers={"Z99": "F"}).rows("interval_reads")
    assert row["quality_flag"] == "F"


@pytest.mark.parametrize(
    ("una", "number", "taken"),
    [
        ("UNA:+,? '", "0,5", "0.5"),
        ("UNA:+,? '", "0.5", None),
        ("UNA:+.? '", "0,5", None),
        ("", "0,5", "0.5"),
        ("", "0.5", "0.5"),
        (UNA, "-0.5", "-0.5"),
        (UNA, "1.234.567", None),
        (UNA, "1e3", None),
        (UNA, "", None),
        (UNA, "0.1234567", None),
        (UNA, "0.1234560", "0.123456"),
        (UNA, "9999999999999", None),
    ],
)
def test_the_decimal_mark_is_the_declared_one(una: str, number: str, taken: str | None) -> None:
    sink = _reads(*value(number, *MORNING), una=una)
    first = FIRST if una else FIRST - 1
    if taken is None:
        assert sink.rules == [(first, "bad_value"), *_children(first)]
    else:
        assert [row["value"] for row in sink.rows("interval_reads")] == [Decimal(taken)]


def test_a_bad_time_takes_its_quantity_along_and_no_other() -> None:
    good, bad = value("1", *MORNING), value("2", "202602300000?+00", "202602300015?+00")
    sink = _reads(*good, *bad, *value("3", "202607010030?+00", "202607010045?+00"))
    assert sink.rules == [(FIRST + 3, "bad_time"), *_children(FIRST + 3)]
    assert [row["value"] for row in sink.rows("interval_reads")] == [1, 3]
    reject = sink.rejects[0]
    data = interchange(message(*point(*good, *bad)))
    assert reject.raw == b"QTY+220:2" == data[reject.byte_offset :][: len(reject.raw)]


@pytest.mark.parametrize(
    ("segments", "rule"),
    [
        (["QTY+220:1"], "no_time"),
        (["QTY+220:1", "DTM+164:202607010015?+00:303"], "no_time"),
        (["QTY+220:1", "DTM+163:202607010015?+00:303", "DTM+164:202607010000?+00:303"], "bad_interval"),
        ([*value("1", *MORNING), "DTM+163:202607010000?+00:303"], "duplicate_time"),
        (value("1", "202607010000", "202607010015", format="303"), "bad_time"),
        (value("1", "202607010000?+99", "202607010015?+00"), "bad_time"),
        (value("1", "2026070100", "2026070101", format="203"), "bad_time"),
        (value("1", "202603290215", "202603290230", format="203"), "bad_time"),
        (value("1", "202607010000", "202607010015", format="999"), "bad_time"),
    ],
)
def test_a_quantity_without_a_proper_period_is_put_aside(segments: list[str], rule: str) -> None:
    sink = _reads(*segments)
    assert sink.rules == [
        (FIRST, rule),
        *[(FIRST + 1 + i, "parent_quarantined") for i in range(len(segments) - 1)],
    ]
    assert not sink.batches


@pytest.mark.parametrize(("day", "quarters"), [("20260329", 92), ("20260701", 96), ("20261025", 100)])
@pytest.mark.parametrize("way", ["with offset", "local"])
def test_a_local_day_has_92_96_or_100_quarters(day: str, quarters: int, way: str) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime.strptime(day, "%Y%m%d").replace(tzinfo=berlin).astimezone(UTC)
    stamps = [first + timedelta(minutes=15 * i) for i in range(quarters + 1)]
    assert stamps[-1].astimezone(berlin).strftime("%H%M") == "0000"
    if way == "local":
        texts, form = [f"{at.astimezone(berlin):%Y%m%d%H%M}" for at in stamps], "203"
    else:
        texts, form = [f"{at:%Y%m%d%H%M}?+00" for at in stamps], "303"
    segments = [segment for begin, end in pairwise(texts) for segment in value("1", begin, end, format=form)]
    sink = _reads(*segments)
    rows = sink.rows("interval_reads")
    assert not sink.rules
    assert [row["interval_start_at"] for row in rows] == stamps[:-1]
    assert {row["interval_seconds"] for row in rows} == {900}


def test_a_repeated_hour_counts_per_line_and_qualifier() -> None:
    hour = value("1", "202610250200", "202610250300", format="203")
    other = value("2", "202610250200", "202610250300", "67", format="203")
    sink = _reads(*hour, *other, *hour, "LIN+2", "PIA+5+1-1?:2.29.0", *hour)
    assert _starts(sink) == ["10-25 00:00", "10-25 00:00", "10-25 01:00", "10-25 00:00"]


def test_one_time_alone_is_a_dial_read_and_a_long_period_a_quantity() -> None:
    sink = _reads(
        "QTY+220:1234.5", "DTM+9:20261001:102",
        "QTY+220:1235.5", "DTM+163:202610020000?+00:303",
        "QTY+220:700", "DTM+163:202609010000?+02:303", "DTM+164:202610010000?+02:303",
        product="1-1?:1.8.0:SRW",
    )  # fmt: skip
    reads = [
        (row["read_from_at"], row["read_to_at"], row["current_read"], row["quantity"])
        for row in sink.rows("register_reads")
    ]
    assert reads == [
        (None, datetime(2026, 9, 30, 22, tzinfo=UTC), Decimal("1234.5"), None),
        (None, datetime(2026, 10, 2, tzinfo=UTC), Decimal("1235.5"), None),
        (datetime(2026, 8, 31, 22, tzinfo=UTC), datetime(2026, 9, 30, 22, tzinfo=UTC), None, Decimal(700)),
    ]


def test_a_period_in_one_segment_as_nordic_messages_have_it() -> None:
    sink = _reads(
        "QTY+136:5", "DTM+324:202607010000202607010100:719", time_zone="+01:00"
    )  # fmt: skip
    (row,) = sink.rows("interval_reads")
    assert (row["interval_start_at"], row["interval_seconds"]) == (
        datetime(2026, 6, 30, 23, tzinfo=UTC),
        3600,
    )


def test_another_place_behind_a_line_is_not_the_metering_point() -> None:
    sink = _reads(
        *value("1", *MORNING), "LOC+107+BALANCE", "LIN+2", "PIA+5+1-1?:1.29.0", *value("2", *MORNING)
    )
    assert sink.rules == [(FIRST + 6, "no_service_point"), *_children(FIRST + 6)]
    sink = _reads(*value("1", *MORNING), "LOC+107+B", "LIN+2", "PIA+5+1-1?:1.29.0", *value("2", *MORNING),
                  location_qualifiers=["172", "107"])  # fmt: skip
    assert [row["service_point_id"] for row in sink.rows("interval_reads")] == ["DE0001", "B"]


def test_an_empty_metering_point_takes_everything_below_along() -> None:
    data = interchange(message(*point(*value("1", *MORNING), place="")))
    sink, result = decoded(data, "mscons", {})
    assert sink.rules == [(11, "no_service_point"), *[(n, "parent_quarantined") for n in range(12, 18)]]
    assert result.loaded == result.records_read - 7


def test_a_place_whose_line_names_no_product_has_no_register() -> None:
    data = interchange(message("LOC+172+DE1", "LIN+1", *value("1", *MORNING)))
    sink, _ = decoded(data, "mscons", {})
    assert sink.rules == [(6, "no_register"), *_children(6)]
    data = interchange(message("LOC+172+DE1", "LIN+1++1-1?:1.29.0:SRW", *value("1", *MORNING)))
    sink, _ = decoded(data, "mscons", {})
    assert [row["register_id"] for row in sink.rows("interval_reads")] == ["1-1:1.29.0"]


def test_nothing_of_one_message_holds_in_the_next() -> None:
    data = interchange(
        message(*point(*value("1", *MORNING))), message("BGM+7+X+9", *value("2", *MORNING), reference="2")
    )
    sink, _ = decoded(data, "mscons", {})
    assert sink.rules == [(21, "no_service_point"), *_children(21)]


def test_a_lost_tag_closes_the_quantity_before_it() -> None:
    sink = _reads(*value("1", *MORNING), "QTX+220:2", *value("2", "x", "y")[1:])
    assert sink.rules == [(FIRST + 3, "unknown_segment"), *_children(FIRST + 3)]
    assert len(sink.rows("interval_reads")) == 1


def test_another_message_goes_to_quarantine_whole() -> None:
    data = interchange(
        message("BGM+1", *value("1", *MORNING), reference="1", type="UTILMD"),
        message(*point(*value("1", *MORNING)), reference="2"),
    )
    sink, result = decoded(data, "mscons", {})
    assert sink.rules == [(n, "unknown_message") for n in range(3, 9)]
    assert result.rows == {"interval_reads": 1}


def test_a_cancelling_message_withdraws_its_values() -> None:
    segments = point(*value("1", *MORNING))
    segments[0] = "BGM+7+DOC2+1"
    sink, _ = decoded(interchange(message(*segments)), "mscons", {})
    (row,) = sink.rows("interval_reads")
    assert (row["value"], row["quality_flag"], row["reason_text"]) == (None, "N", "cancelled")


GOOD = interchange(message(*point(*value("1", *MORNING))))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD.replace(b"UNT+16", b"UNT+15"), "UNT does not count the 16 segments"),
        (GOOD.replace(b"UNT+16+1", b"UNT+16+2"), "UNT does not have the reference of its UNH"),
        (GOOD.replace(b"UNT+16", b"UNT+x"), "UNT does not count"),
        (GOOD.replace(b"UNZ+1+", b"UNZ+2+"), "UNZ does not count the 1 messages"),
        (GOOD.replace(b"UNZ+1+R1", b"UNZ+1+R2"), "UNZ does not have the reference of its UNB"),
        (GOOD.replace(b"QTY+220:1'", b""), "UNT does not count the 15 segments"),
        (GOOD[: GOOD.index(b"UNZ")], "truncated"),
        (GOOD[: GOOD.index(b"UNT")], "truncated"),
        (GOOD[: GOOD.index(b"UNT")] + GOOD[GOOD.index(b"UNZ") :], "UNZ does not follow"),
        (GOOD.replace(b"UNH+", b"UNA:+.? 'UNH+"), "UNA stands outside of any message"),
        (GOOD.replace(b"'UNZ", b"'QTY+220:1'UNZ"), "QTY stands outside of any message"),
        (GOOD + b"rubbish", "begins with UNA or UNB"),
        (GOOD + b"UNA|*.\\ ~rubbish without any sign", "stands outside of any message"),
        (b"ISA*00*", "begins with UNA or UNB"),
        (b"UNA", "begins with UNA or UNB"),
        (b"UNA++.? '" + GOOD[9:], "distinct delimiters"),
        (b"", "empty"),
        (b" \r\n", "empty"),
    ],
    ids=lambda part: part if isinstance(part, str) else "file",
)
def test_an_envelope_that_does_not_hold_refuses_the_file(data: bytes, reason: str) -> None:
    with pytest.raises(RefusedFile, match=reason):
        decoded(data, "mscons", {})


def test_groups_are_counted_and_so_are_several_interchanges() -> None:
    body = "".join(f"{one}'" for one in message(*point(*value("1", *MORNING))))
    grouped = (
        f"UNB+UNOC:3+A+B+261001:0400+R'UNG+MSCONS+A+B+261001:0400+G1+UN+D'{body}UNE+1+G1'UNZ+1+R'".encode()
    )
    sink, result = decoded(b"\xef\xbb\xbf" + GOOD + b"\r\n" + grouped + GOOD, "mscons", {})
    assert len(sink.rows("interval_reads")) == 3
    found = {total.name: total.found for total in result.control_totals}
    assert found == {"counted_by_unz": 3, "counted_by_une": 1, "counted_by_unt": 48}
    with pytest.raises(RefusedFile, match="UNE does not count the 1 messages"):
        decoded(grouped.replace(b"UNE+1", b"UNE+2"), "mscons", {})


def test_each_interchange_has_its_own_signs() -> None:
    swapped = with_other_signs(GOOD)
    comma = interchange(message(*point(*value("0,5", *MORNING))), una="UNA:+,? '")
    data = GOOD + swapped + comma + swapped
    sink, result = decoded(data, "mscons", {})
    assert [str(row["value"]) for row in sink.rows("interval_reads")] == [
        "1.000000", "1.000000", "0.500000", "1.000000"
    ]  # fmt: skip
    assert result.records_read == 4 * 19


def test_released_signs_are_text() -> None:
    place = "A??B?'C?+D?:E"
    (row,) = decoded(interchange(message(*point(*value("1", *MORNING), place=place))), "mscons", {})[0].rows(
        "interval_reads"
    )
    assert row["service_point_id"] == "A?B'C+D:E"


def test_texts_beyond_ascii_are_read_by_their_encoding() -> None:
    data = interchange(message(*point(*value("1", *MORNING), place="ZÄHLER")))
    assert decoded(data, "mscons", {})[0].rows("interval_reads")[0]["service_point_id"] == "ZÄHLER"


def test_the_last_terminator_may_be_missing() -> None:
    assert decoded(GOOD[:-1], "mscons", {})[1].records_read == 19


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("time_zone", "Europe/Atlantis"), ("time_zone", "+25:00"), ("quantity_qualifiers", {"220": "X"}),
        ("units", {"Z1": "KWHH"}), ("encoding", "utf-16"), ("location_qualifiers", []),
        ("location_qualifiers", ["17+2"]), ("colour", "red"), ("longest_interval_seconds", 0),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named(key: str, wrong: object) -> None:
    with pytest.raises(SettingsError, match=key):
        decoded(GOOD, "mscons", {key: wrong})


def test_blocks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows and rejects however small the pieces in which a file is read."""
    local = [value("1", f"202610250{h}{m:02d}", f"202610250{h}{m + 14:02d}", format="203")
             for _ in range(2) for h in (2,) for m in (0, 15, 30, 45)]  # fmt: skip
    fall = interchange(message(*point(*[segment for one in local for segment in one])))
    for data in (*CASES[0].seeds, fall):
        whole, account = decoded(data, "mscons", {})
        for size in (64, 333, 1000):
            monkeypatch.setattr("connectors.formats.segments.stream.BLOCK_BYTES", size)
            pieces, other = decoded(data, "mscons", {})
            for table in ("interval_reads", "register_reads"):
                assert pieces.rows(table) == whole.rows(table)
            assert pieces.rejects == whole.rejects
            assert (other.loaded, other.control_totals) == (account.loaded, account.control_totals)
            monkeypatch.undo()


def test_a_group_without_an_end_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("connectors.formats.segments.stream.BLOCK_BYTES", 1000)
    monkeypatch.setattr("connectors.formats.segments.stream.MAX_HELD_BYTES", 5000)
    with pytest.raises(RefusedFile, match="does not end within"):
        decoded(GOOD.replace(b"DTM+164", b"DTM+7:" + b"x" * 9000), "mscons", {})


def test_pydifact_finds_the_same_segments() -> None:
    _, result = decoded(INTERVALS, "mscons", {})
    tags = [one.tag for one in RawSegmentCollection.from_str(INTERVALS.decode()).segments]
    assert len(tags) == result.records_read
    assert {tag: tags.count(tag) for tag in tags} == result.records_by_type
