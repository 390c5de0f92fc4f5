"""Local days and market days, in quarter-hours.

People live by local time (daylight saving: 92, 96 or 100 quarter-hours a day); meters report in market time
(UTC-06:00, always 96). Belongs here: the grid of one day and how the two clocks overlap. Does not belong
here: what happens in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from demo.world.config import LOCAL_TIME_ZONE, MARKET_UTC_OFFSET_HOURS, Ints, day_number, yyyymmdd

QUARTER = timedelta(minutes=15)
ZONE = ZoneInfo(LOCAL_TIME_ZONE)


@dataclass(frozen=True)
class LocalDay:
    """One local day: its quarter-hours in order, each with the local clock and its place in UTC."""

    date: date
    start_epoch: int
    clock_quarter: Ints
    """Local clock of each elapsed quarter-hour, 0…95 (repeats or skips an hour when the clocks change)."""
    first_at_clock: Ints
    """For each clock quarter 0…95, the elapsed quarter that first shows it (or the next one that exists)."""

    @property
    def n_quarters(self) -> int:
        """92, 96 or 100."""
        return len(self.clock_quarter)

    @property
    def is_weekend(self) -> bool:
        """Saturday or Sunday."""
        return self.date.weekday() >= 5

    @property
    def day(self) -> int:
        """Day number since 1970-01-01."""
        return day_number(self.date)

    @property
    def market_offset(self) -> int:
        """Quarter-hours of this local day that lie before the market day of the same date begins."""
        return (market_start_epoch(self.date) - self.start_epoch) // 900


def local_day(day: date) -> LocalDay:
    """The grid of a local day."""
    start = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
    after = day + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=ZONE).astimezone(UTC)
    clock = []
    at = start
    while at < end:
        local = at.astimezone(ZONE)
        clock.append(local.hour * 4 + local.minute // 15)
        at += QUARTER
    quarters = np.array(clock, dtype=np.int64)
    first = np.array([int(np.argmax(quarters >= q)) for q in range(96)], dtype=np.int64)
    return LocalDay(day, int(start.timestamp()), quarters, first)


def market_start_epoch(day: date) -> int:
    """UTC epoch seconds at which the market day begins."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(midnight.timestamp()) - MARKET_UTC_OFFSET_HOURS * 3600


def local_epoch(days: Ints, seconds: Ints) -> Ints:
    """UTC epoch seconds of local times (``seconds`` after midnight of days); repeated hours: the first.

    Vectorised through the time-zone database in pyarrow.
    """
    naive = pa.array(np.asarray(days, dtype=np.int64) * 86_400 + seconds, type=pa.int64()).cast(
        pa.timestamp("s")
    )
    zoned = pc.assume_timezone(naive, LOCAL_TIME_ZONE, ambiguous="earliest", nonexistent="latest")
    return np.asarray(zoned.cast(pa.int64()), dtype=np.int64)


def iso_local(epochs: Ints) -> pa.Array:
    """UTC epoch seconds as ISO 8601 text with the local offset, e.g. ``2026-08-18T09:15:00-05:00``."""
    stamps = (
        pa.array(epochs, type=pa.int64())
        .cast(pa.timestamp("s", tz="UTC"))
        .cast(pa.timestamp("s", tz=LOCAL_TIME_ZONE))
    )
    text = pc.strftime(stamps, format="%Y-%m-%dT%H:%M:%S%z")
    return pc.replace_substring_regex(text, pattern=r"([+-]\d{2})(\d{2})$", replacement=r"\1:\2")


def date_and_time_digits(days: Ints, seconds: Ints) -> Ints:
    """Day numbers and seconds after midnight as YYYYMMDDhhmmss integers."""
    clock = seconds // 3600 * 10_000 + seconds // 60 % 60 * 100 + seconds % 60
    return yyyymmdd(days) * 1_000_000 + clock
