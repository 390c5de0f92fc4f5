"""Local times without an offset to UTC: the hour that comes twice, and the hour that never was.

Belongs here: labels of a time zone to moments, vectorised. Does not belong here: which field holds a time.

All times are minutes since 1970, labels of the zone's clock or of UTC. Arrow knows the zone's rules; its
changes of offset are found once a zone, so that a label costs a look into a table of a few changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import TIMESTAMP, BoolMask
from connectors.formats.digits import Bytes, Ints
from connectors.formats.words import eight_digits, words_at

DAY = 1440
FIRST_YEAR, LAST_YEAR = 1970, 2099
"""A meter's time outside these years is a mistake."""
_MONTHS = np.arange((LAST_YEAR - FIRST_YEAR + 1) * 12 + 1)
_FIRST_DAYS = _MONTHS.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
_MONTH_DAYS = np.diff(_FIRST_DAYS).astype(np.uint32)
MOST = int(_FIRST_DAYS[-1]) * DAY


@dataclass(frozen=True)
class Zone:
    """The offsets of a time zone: ``offset[k]`` minutes from ``change[k - 1]`` (UTC) on."""

    change: Ints
    offset: Ints

    def moments(self, labels: Ints) -> tuple[Ints, Ints, BoolMask]:
        """UTC of labels: as the first and as the second pass of a repeated hour, and which never were.

        The two are equal but for the hour that the clock shows twice.
        """
        if not len(self.change) or not labels.size:
            utc = labels - self.offset[0] if self.offset[0] else labels
            return utc, utc, np.zeros(labels.shape, dtype=bool)
        # Only the changes near these labels can matter, and mostly there are none.
        low = int(np.searchsorted(self.change, labels.min(initial=MOST) - DAY))
        high = int(np.searchsorted(self.change, labels.max(initial=0) + DAY))
        change, offset = self.change[low:high], self.offset[low : high + 1]
        if not len(change):
            utc = labels - offset[0]
            return utc, utc, np.zeros(labels.shape, dtype=bool)
        before = np.searchsorted(change + offset[:-1], labels, side="right")
        behind = np.searchsorted(change + offset[1:], labels, side="right")
        return labels - offset[before], labels - offset[behind], before > behind


@lru_cache(maxsize=32)
def zone(name: str) -> Zone:
    """The offsets of an IANA time zone that is known to exist."""
    hours = np.arange(0, MOST + 60, 60)
    offsets = _offsets(hours, name)
    changed = np.flatnonzero(offsets[1:] != offsets[:-1])
    moments = []
    for hour in changed:
        minutes = hours[hour] + np.arange(1, 61)
        moments.append(int(minutes[np.argmax(_offsets(minutes, name) == offsets[hour + 1])]))
    return Zone(np.array(moments, dtype=np.int64), offsets[np.concatenate([[0], changed + 1])])


def _offsets(minutes: Ints, name: str) -> Ints:
    moments = pa.array(minutes * 60_000_000).cast(pa.timestamp("us", tz=name))
    local: Ints = pc.local_timestamp(moments).cast(pa.int64()).to_numpy() // 60_000_000
    return local - minutes


def utc_by_order(labels: Ints, place: Zone) -> tuple[Ints, BoolMask]:
    """UTC of records of labels in ascending time ``(records, n)``, and which labels never were.

    Of the hour that the clock shows twice a label is of the second pass when an earlier label of its
    record is not before it; a record that begins within that hour is taken to begin in the first pass.
    """
    first, second, missing = place.moments(labels)
    if first is second or not (first != second).any():
        return first, missing
    highest = np.maximum.accumulate(labels, axis=1)
    again = np.zeros(labels.shape, dtype=bool)
    again[:, 1:] = labels[:, 1:] <= highest[:, :-1]
    return np.where(again, second, first), missing


def minute_labels(data: Bytes, starts: Ints, ends: Ints) -> tuple[Ints, BoolMask]:
    """Times of 12 or 14 digits (``yyyymmddhhmm[ss]``) as minutes since 1970, and which are no such time.

    ``data`` is padded. Seconds are cut off; 24:00 is the end of its day, as meters write it.
    """
    lengths = ends - starts
    bad = (lengths != 12) & (lengths != 14)
    safe = np.where(bad, 0, starts) if bad.any() else starts
    if len(data) < 16:
        return np.zeros(starts.shape, dtype=np.int64), np.ones(starts.shape, dtype=bool)
    safe = np.minimum(safe, len(data) - 14)
    days, wrong_days = eight_digits(words_at(data, safe))
    rest, wrong_rest = eight_digits(words_at(data, safe + 4))
    clock = rest.astype(np.uint32) % np.uint32(10_000)
    hour = clock // np.uint32(100)
    minute = clock - hour * np.uint32(100)
    minutes = hour * np.uint32(60) + minute
    bad |= wrong_days | wrong_rest | (minute > 59) | (minutes > DAY)
    long = lengths == 14
    if long.any():
        tail, wrong = eight_digits(words_at(data, safe + 6))
        bad |= long & (wrong | (tail % 100 > 59))
    date, impossible = _days(days)
    bad |= impossible
    labels = date * DAY + minutes
    if bad.any():
        labels[bad] = 0
    return labels, bad


def second_parts(data: Bytes, starts: Ints, ends: Ints) -> Ints:
    """The seconds of times of 14 digits that are known to be right; 0 for those of 12."""
    seconds = np.zeros(len(starts), dtype=np.int64)
    rows = np.flatnonzero(ends - starts == 14)
    seconds[rows] = eight_digits(words_at(data, starts[rows] + 6))[0] % 100
    return seconds


def _days(dates: Ints) -> tuple[Ints, BoolMask]:
    """Days since 1970 of ``yyyymmdd`` numbers, and which are no day."""
    dates = dates.astype(np.uint32)  # eight digits; narrow numbers divide four times as fast
    months = dates // np.uint32(100)
    year = months // np.uint32(100)
    month = months - year * np.uint32(100) - np.uint32(1)
    day = dates - months * np.uint32(100) - np.uint32(1)
    year = year - np.uint32(FIRST_YEAR)
    bad = (month > 11) | (year > LAST_YEAR - FIRST_YEAR)
    at = year * np.uint32(12) + month
    if bad.any():
        at[bad] = 0
    bad |= day >= _MONTH_DAYS[at]
    return _FIRST_DAYS[at] + day, bad


def add_months(labels: Ints, months: Ints) -> Ints:
    """Labels moved by whole months of the calendar; a day the month has not becomes its last."""
    days, clock = labels // DAY, labels % DAY
    month = days.astype("datetime64[D]").astype("datetime64[M]")
    day = days - month.astype("datetime64[D]").astype(np.int64)
    target = month + months.astype("timedelta64[M]")
    first = target.astype("datetime64[D]").astype(np.int64)
    last = (target + np.timedelta64(1, "M")).astype("datetime64[D]").astype(np.int64) - 1
    return np.minimum(first + day, last) * DAY + clock


def timestamps(minutes: Ints, missing: BoolMask | None = None) -> pa.Array:
    """UTC minutes as Arrow timestamps."""
    micros = np.ascontiguousarray(minutes.reshape(-1) * 60_000_000)
    if missing is None or not missing.any():
        return pa.Array.from_buffers(TIMESTAMP, len(micros), [None, pa.py_buffer(micros)])
    return pa.array(micros, mask=missing.reshape(-1)).view(TIMESTAMP)
