"""The one partitioning: by business date, the day whose events a nightly file holds.

Belongs here: partitions and what a run's tags say about dates. Does not belong here: anything that
reads data. Partitioned assets form one contiguous stretch from the raw files to the daily facts: a gap in
it would let a backfill succeed without running what lies behind.

https://docs.dagster.io/guides/build/partitions-and-backfills
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import dagster as dg

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"


def business_dates(first: date, time_zone: str) -> dg.DailyPartitionsDefinition:
    """Daily from ``first`` up to today, in the utility's time zone: some files come on their own day."""
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), timezone=time_zone, end_offset=1)


@dataclass(frozen=True)
class Window:
    """The business dates a run is about, both ends included."""

    start: date
    end: date


def window(tags: dict[str, str] | None) -> Window | None:
    """The window that a run's tags name; ``None`` when the run is not about certain dates."""
    tags = tags or {}
    if RANGE_START in tags and RANGE_END in tags:
        return Window(date.fromisoformat(tags[RANGE_START]), date.fromisoformat(tags[RANGE_END]))
    if PARTITION in tags:
        day = date.fromisoformat(tags[PARTITION])
        return Window(day, day)
    return None


def range_tags(start: date, end: date) -> dict[str, str]:
    """The tags that make one run of all the dates from ``start`` to ``end``."""
    return {RANGE_START: start.isoformat(), RANGE_END: end.isoformat()}
