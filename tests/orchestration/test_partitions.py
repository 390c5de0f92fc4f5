from __future__ import annotations

from datetime import date

from orchestration.partitions import Window, range_tags, window


def test_a_range_round_trips_through_tags() -> None:
    assert window(range_tags(date(2026, 8, 18), date(2026, 11, 15))) == Window(
        date(2026, 8, 18), date(2026, 11, 15)
    )


def test_one_partition_is_a_window_of_a_day() -> None:
    assert window({"dagster/partition": "2026-11-01"}) == Window(date(2026, 11, 1), date(2026, 11, 1))


def test_no_tags_no_window() -> None:
    assert window({"team": "metering"}) is None
    assert window(None) is None
