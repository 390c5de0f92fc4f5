"""Green Button: values, dials, links and what becomes of a reading that is not right."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.formats import RefusedFile, SettingsError, schema
from connectors.formats.meter_xml import settle
from tests.connectors.formats import meter_xml as x
from tests.connectors.formats.corpus.espi import OFFSETS, PREFIXED, SUMMARY
from tests.connectors.formats.sink import MemorySink, decoded


def _values(sink: MemorySink, table: str = "interval_reads", column: str = "value") -> list[Any]:
    return [row[column] for row in sorted(sink.rows(table), key=lambda row: row["_record_no"])]


def _rules(data: bytes, **settings: Any) -> dict[str, int]:
    return decoded(data, "espi", settings)[1].reasons


@pytest.mark.parametrize(
    ("uom", "multiplier", "unit", "value"),
    [
        (72, 0, "kWh", "1.234"), (72, 3, "kWh", "1234"), (72, -3, "kWh", "0.001234"),
        (169, -3, "therm", "1.234"),
        (119, 2, "ft3", "123400"), (42, -3, "m3", "1.234"), (38, 0, "kW", "1.234"), (73, 0, "kvarh", "1.234"),
        (31, 6, "MJ", "1234"), (132, 5, "therm", "1234"), (29, -1, "V", "123.4"), (134, 3, "m3", "1234"),
    ],
)  # fmt: skip
def test_value_is_scaled_to_the_stored_unit(uom: int, multiplier: int, unit: str, value: str) -> None:
    data = x.simple(x.block(x.readings([1234])), uom=uom, powerOfTenMultiplier=multiplier)
    (row,) = decoded(data, "espi", {})[0].rows("interval_reads")
    assert (row["unit"], row["value"]) == (unit, Decimal(value))


def test_a_reading_in_full() -> None:
    content = x.reading(x.START, 1500, cost=123456, quality="8 10")
    sink, _ = decoded(x.simple(x.block(content, updated="2024-01-03T01:00:00+01:00")), "espi", {})
    assert sink.rows("interval_reads") == [
        {
            "_record_no": 5,
            "service_point_id": "RetailCustomer/9/UsagePoint/7",
            "register_id": "01",
            "meter_serial": None,
            "direction": "import",
            "unit": "kWh",
            "interval_start_at": datetime(2024, 1, 1, tzinfo=UTC),
            "interval_seconds": 900,
            "value": Decimal("1.5"),
            "quality_flag": "Q",
            "quality_method": "8 10",
            "reason_code": None,
            "reason_text": None,
            "updated_at": datetime(2024, 1, 3, tzinfo=UTC),
            "record_no": 5,
        }
    ]
    (cost,) = sink.rows("interval_costs")
    assert (cost["cost"], cost["currency"]) == (Decimal("1.23456"), "USD")


@pytest.mark.parametrize(
    ("codes", "direction"),
    [
        ({"flowDirection": 1}, "import"), ({"flowDirection": 19}, "export"), ({"flowDirection": 4}, "net"),
        ({"flowDirection": 20}, "other"), ({"flowDirection": None}, "other"),
        ({"flowDirection": 1, "uom": 73}, "reactive_import"),
        ({"flowDirection": 19, "uom": 73}, "reactive_export"),
    ],
)  # fmt: skip
def test_direction(codes: dict[str, Any], direction: str) -> None:
    sink, _ = decoded(x.simple(x.block(x.readings([1])), **codes), "espi", {})
    assert _values(sink, column="direction") == [direction]


def test_gas_without_a_direction_is_delivered() -> None:
    data = x.feed(
        x.usage_point(1),
        x.meter_reading(),
        x.reading_type(uom=169, flowDirection=None),
        x.block(x.readings([1])),
    )
    assert _values(decoded(data, "espi", {})[0], column="direction") == ["import"]


@pytest.mark.parametrize(
    ("code", "currency"), [(840, "USD"), (978, "EUR"), (124, "CAD"), (0, None), (999, "999")]
)
def test_currency(code: int, currency: str | None) -> None:
    sink, _ = decoded(x.simple(x.block(x.reading(x.START, 1, cost=5)), currency=code), "espi", {})
    assert _values(sink, "interval_costs", "currency") == [currency]


@pytest.mark.parametrize("behaviour", [1, 3, 9])
def test_a_dial_is_differenced_never_summed(behaviour: int) -> None:
    # Across blocks; then a gap of one interval, and a dial that was exchanged.
    blocks = [
        x.block(x.readings([1000, 1100, 1250])),
        x.block(x.readings([1400], start=x.START + 3 * 900), number=2),
        x.block(x.readings([1900, 30, 50], start=x.START + 5 * 900), number=3),
    ]
    sink, result = decoded(x.simple(*blocks, accumulationBehaviour=behaviour), "espi", {})
    assert _values(sink) == [Decimal(text) for text in ("0.1", "0.15", "0.15", "0.02")]
    dials = sorted(sink.rows("register_reads"), key=lambda row: row["record_no"])
    assert [row["current_read"] for row in dials] == [
        Decimal(text) for text in ("1", "1.1", "1.25", "1.4", "1.9", "0.03", "0.05")
    ]
    assert [row["quantity"] for row in dials][:2] == [None, Decimal("0.1")]
    assert [row["previous_read"] for row in dials][:2] == [None, Decimal("1")]
    assert dials[1]["read_from_at"] == datetime(2024, 1, 1, 0, 15, tzinfo=UTC)
    assert dials[1]["read_to_at"] == datetime(2024, 1, 1, 0, 30, tzinfo=UTC)
    assert result.loaded == result.records_read


def test_a_dial_that_was_never_read() -> None:
    _, result = decoded(x.simple(accumulationBehaviour=9), "espi", {})
    assert (result.records_read, result.loaded, result.rows) == (3, 3, {})


def test_a_net_dial_may_fall() -> None:
    data = x.simple(x.block(x.readings([1000, 900])), accumulationBehaviour=9, flowDirection=4)
    assert _values(decoded(data, "espi", {})[0]) == [Decimal("-0.1")]


def test_dials_in_blocks_that_come_newest_first() -> None:
    late = x.block(x.readings([1300, 1400], start=x.START + 1800), number=2)
    data = x.simple(late, x.block(x.readings([1000, 1100])), accumulationBehaviour=9)
    assert sorted(_values(decoded(data, "espi", {})[0])) == [Decimal("0.1"), Decimal("0.1"), Decimal("0.2")]


def test_registers_settled_in_shares_are_settled_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [f"{number:02d}" for number in range(7)]
    data = x.feed(
        x.usage_point(),
        x.reading_type(accumulationBehaviour=9),
        *(x.meter_reading(number) for number in numbers),
        *(x.block(x.readings([10, 30 + i, 20]), register=number) for i, number in enumerate(numbers)),
    )
    whole = decoded(data, "espi", {})[0]
    monkeypatch.setattr(settle, "_AT_A_TIME", 4)
    shares = decoded(data, "espi", {})[0]
    assert _values(whole) == _values(shares) == [Decimal(20 + i) / 1000 for i in range(7)]
    assert whole.rows("register_reads") == shares.rows("register_reads")


def test_blocks_before_their_reading_type_and_meter() -> None:
    data = x.feed(x.block(x.readings([1, 2])), x.reading_type(), x.meter_reading(), x.usage_point())
    assert _values(decoded(data, "espi", {})[0]) == [Decimal("0.001"), Decimal("0.002")]


def test_prefixes_of_any_kind() -> None:
    sink, result = decoded(PREFIXED, "espi", {})
    assert (_values(sink), result.quarantined) == ([Decimal("0.001"), Decimal("0.002"), Decimal("0.003")], 0)


def test_several_feeds_in_one_document() -> None:
    one = x.simple(x.block(x.readings([1, 2]))).decode().split("?>\n")[1]
    sink, result = decoded(f"<feeds>{one}{one}</feeds>".encode(), "espi", {})
    assert (len(_values(sink)), result.superseded, result.quarantined) == (2, 2, 0)


def test_nested_content() -> None:
    inner = (
        "<ServiceCategory><kind>0</kind></ServiceCategory><MeterReading><ReadingType><uom>72</uom>"
        "<powerOfTenMultiplier>0</powerOfTenMultiplier><accumulationBehaviour>4</accumulationBehaviour>"
        f"<flowDirection>19</flowDirection></ReadingType><IntervalBlock>{x.readings([5, 6])}</IntervalBlock>"
        "</MeterReading>"
    )
    nested = x.entry(x.espi("UsagePoint", inner), self=f"{x.POINT}")
    sink, result = decoded(x.feed(nested), "espi", {})
    assert result.quarantined == 0
    assert _values(sink) == [Decimal("0.005"), Decimal("0.006")]
    assert _values(sink, column="register_id") == ["72.19"] * 2


def test_several_resources_in_one_content() -> None:
    both = x.espi("ReadingType", "<uom>72</uom><flowDirection>1</flowDirection>")
    both += x.espi("IntervalBlock", x.readings([5])) + x.espi(
        "IntervalBlock", x.readings([6], start=x.START + 900)
    )
    data = x.feed(x.entry(x.espi("UsagePoint") + x.espi("MeterReading") + both, self="/UsagePoint/1"))
    sink, result = decoded(data, "espi", {})
    assert (_values(sink), result.quarantined) == ([Decimal("0.005"), Decimal("0.006")], 0)


def test_readings_without_times_follow_from_their_block() -> None:
    content = "".join(x.reading(None, value, seconds=None) for value in (1, 2, 3))
    interval = f"<duration>2700</duration><start>{x.START}</start>"
    sink, _ = decoded(x.simple(x.block(content, interval=interval)), "espi", {})
    assert [time.minute for time in _values(sink, column="interval_start_at")] == [0, 15, 30]
    assert _values(sink, column="interval_seconds") == [900] * 3


def test_nothing_is_null_never_zero() -> None:
    data = x.simple(
        x.block(
            x.reading(x.START, None, quality="0")
            + x.reading(x.START + 900, "")
            + x.readings([0], start=x.START + 1800)
        )
    )
    sink, result = decoded(data, "espi", {})
    assert _values(sink) == [None, None, Decimal(0)]
    assert _values(sink, column="quality_flag") == ["N", "N", "A"]
    assert result.loaded == result.records_read


@pytest.mark.parametrize(
    ("reading", "rule"),
    [
        (x.reading("soon", 1), "bad_time"), (x.reading("", 1), "bad_time"), (x.reading(-5, 1), "bad_time"),
        (x.reading("1704067200.66136", 1), "fractional_time"),
        (x.reading(x.START, 1, seconds=0), "bad_duration"),
        (x.reading(x.START, 1, seconds="-900"), "bad_duration"), (x.reading(x.START, "1e3"), "bad_value"),
        (x.reading(x.START, "0.0001"), "bad_value"), (x.reading(x.START, "9" * 18), "bad_value"),
        (x.reading(x.START, 1, cost="1.5"), "bad_cost"),
        (x.reading(x.START, 1, quality="99"), "unknown_quality"),
        (x.reading(x.START, "<b>1</b>"), "bad_structure"),
        (x.reading(x.START, "1</value><value>2"), "bad_structure"),
    ],
)  # fmt: skip
def test_a_wrong_reading_goes_to_quarantine_alone(reading: str, rule: str) -> None:
    data = x.simple(x.block(reading + x.readings([7], start=x.START + 900)))
    sink, result = decoded(data, "espi", {})
    assert result.reasons == {rule: 1}
    assert (sink.rejects[0].record_no, sink.rejects[0].raw) == (5, reading.encode())
    assert data[sink.rejects[0].byte_offset :].startswith(reading.encode())
    assert _values(sink) == [Decimal("0.007")]


def test_decimals_in_a_value_are_exact() -> None:
    data = x.simple(
        x.block(x.reading(x.START, "12.5") + x.reading(x.START + 900, "-0.001")), powerOfTenMultiplier=3
    )
    assert _values(decoded(data, "espi", {})[0]) == [Decimal("12.5"), Decimal("-0.001")]


@pytest.mark.parametrize(
    ("codes", "rule"),
    [
        ({"uom": None}, "no_unit"), ({"uom": 0}, "no_unit"), ({"uom": 33}, "unknown_unit"),
        ({"uom": "Wh"}, "bad_reading_type"), ({"powerOfTenMultiplier": 99}, "bad_reading_type"),
        ({"uom": "72</uom><uom>42"}, "bad_reading_type"),
        ({"accumulationBehaviour": 13}, "unknown_accumulation"),
    ],
)  # fmt: skip
def test_a_broken_reading_type_takes_its_readings_along(codes: dict[str, Any], rule: str) -> None:
    # The MeterReading, the block and its two readings hang on it.
    assert _rules(x.simple(x.block(x.readings([1, 2])), **codes)) == {rule: 1, "parent_quarantined": 4}


def test_what_belongs_to_nothing() -> None:
    assert _rules(x.feed(x.usage_point(), x.reading_type(), x.block(x.readings([1])))) == {
        "orphan": 1, "parent_quarantined": 1,
    }  # fmt: skip
    assert _rules(x.feed(x.meter_reading(), x.reading_type(), x.block(x.readings([1])))) == {
        "orphan": 1, "parent_quarantined": 2,
    }  # fmt: skip
    assert _rules(x.feed(x.usage_point(), x.meter_reading(), x.block(x.readings([1])))) == {
        "no_reading_type": 1, "parent_quarantined": 2,
    }  # fmt: skip
    assert _rules(x.feed(x.usage_point(), x.entry(x.espi("IntervalReading")), x.entry(""))) == {
        "orphan": 1, "empty_entry": 1,
    }  # fmt: skip


def test_a_link_that_leads_to_two_units_is_not_followed() -> None:
    data = x.feed(
        x.usage_point(), x.meter_reading(), x.reading_type(), x.reading_type(uom=42), x.block(x.readings([1]))
    )
    assert _rules(data) == {"ambiguous_link": 1, "parent_quarantined": 2}
    twice = x.feed(
        x.usage_point(), x.meter_reading(), x.reading_type(), x.reading_type(), x.block(x.readings([1]))
    )
    assert _rules(twice) == {}


def test_a_later_entry_corrects_an_earlier_one() -> None:
    old = x.block(x.readings([1, 2, 3]), updated="2024-01-02T00:00:00Z")
    new = x.block(x.readings([9], start=x.START + 900), number=2, updated="2024-01-03T00:00:00Z")
    for blocks in ((old, new), (new, old)):
        sink, result = decoded(x.simple(*blocks), "espi", {})
        assert sorted(_values(sink)) == [Decimal("0.001"), Decimal("0.003"), Decimal("0.009")]
        assert (result.superseded, result.quarantined) == (1, 0)


def test_readings_that_disagree_are_never_collapsed() -> None:
    first = x.block(x.readings([1, 2]))
    other_value = x.block(x.readings([5]), number=2)
    other_length = x.block(x.readings([1], seconds=3600), number=2)
    same = x.block(x.readings([1]), number=2)
    assert _rules(x.simple(first, other_value)) == {"conflicting_readings": 2}
    assert _rules(x.simple(first, other_length)) == {"conflicting_readings": 2}
    _, result = decoded(x.simple(first, same), "espi", {})
    assert (result.superseded, result.rows["interval_reads"]) == (1, 2)


def test_two_registers_may_begin_at_one_time() -> None:
    data = x.feed(
        x.usage_point(), x.meter_reading(), x.meter_reading("02", "08"), x.reading_type(),
        x.reading_type("08", flowDirection=19), x.block(x.readings([1])),
        x.block(x.readings([2]), register="02"),
    )  # fmt: skip
    sink, _ = decoded(data, "espi", {})
    assert _values(sink, column="direction") == ["import", "export"]
    assert _values(sink, column="register_id") == ["01", "02"]


def test_blocks_that_declare_another_interval() -> None:
    wrong = x.block(x.readings([1, 2]), interval=f"<duration>86400</duration><start>{x.START}</start>")
    assert _rules(x.simple(wrong)) == {}
    assert _rules(x.simple(wrong), check_block_interval=True) == {
        "block_interval": 1,
        "parent_quarantined": 2,
    }
    for hours in (23, 24, 25):
        interval = f"<duration>{hours * 3600}</duration><start>{x.START}</start>"
        right = x.block(x.readings(range(hours * 4)), interval=interval)
        assert _rules(x.simple(right), check_block_interval=True) == {}


@pytest.mark.parametrize("offset", [-18000, 18000])
def test_the_sign_of_the_offset_shifts_nothing(offset: int) -> None:
    local = x.entry(OFFSETS.replace("-18000", str(offset)))
    sink, result = decoded(x.simple(local, x.block(x.readings([1]))), "espi", {})
    assert result.quarantined == 0
    assert _values(sink, column="interval_start_at") == [datetime(2024, 1, 1, tzinfo=UTC)]
    assert _rules(x.simple(x.entry(OFFSETS.replace("-18000", "1e5")))) == {"bad_offset": 1}


def test_usage_summaries_are_quantities() -> None:
    summary = x.entry(SUMMARY, self=f"{x.POINT}/UsageSummary/1", up=f"{x.POINT}/UsageSummary")
    sink, _ = decoded(x.feed(x.usage_point(), summary), "espi", {})
    (row,) = sink.rows("register_reads")
    assert (row["quantity"], row["unit"], row["register_id"]) == (Decimal("1.2"), "kWh", "usage_summary")
    assert (row["read_to_at"] - row["read_from_at"]).days == 1
    assert (row["quality_flag"], row["quality_method"], row["current_read"]) == ("A", "14", None)
    assert _rules(x.feed(x.usage_point(), summary.replace("1200", "many"))) == {"bad_summary": 1}
    assert _rules(x.feed(summary)) == {"orphan": 1}


def test_settings_of_custodians() -> None:
    titled = x.usage_point().replace("<title/>", "<title>101 DOG ST 00123</title>")
    data = x.feed(
        titled,
        x.meter_reading(),
        x.reading_type(uom=None),
        x.block(x.reading("1704067200.5", 1, quality="77")),
    )
    settings = {
        "service_point": "title", "service_point_pattern": r"(\d+)$", "register_pattern": r"(\d)$",
        "reading_type_defaults": {"uom": 119}, "fractional_seconds": "keep", "quality_flags": {"77": "E"},
    }  # fmt: skip
    (row,) = decoded(data, "espi", settings)[0].rows("interval_reads")
    assert (row["service_point_id"], row["register_id"], row["unit"]) == ("00123", "1", "ft3")
    assert (row["quality_flag"], row["interval_start_at"].microsecond) == ("E", 500_000)
    nobody = decoded(data, "espi", {"service_point": "mrid"})[1].reasons
    assert nobody["no_service_point"] == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"service_point_pattern": "("}, "service_point_pattern"),
        ({"register_pattern": "x"}, "has no group"),
        ({"reading_type_defaults": {"unit": 1}}, "has 'unit'"), ({"namespace": "x"}, "is not a setting"),
    ],
)  # fmt: skip
def test_settings_that_are_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        schema("espi", settings)


def test_a_feed_of_something_else() -> None:
    with pytest.raises(RefusedFile, match="no Green Button resource"):
        decoded(x.feed(), "espi", {})
