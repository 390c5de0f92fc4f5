"""Dates and times of segment texts: digits to UTC microseconds, local times through a time zone.

Belongs here: digits, offsets, time zones, the repeated hour of autumn. Does not belong here: which qualifier
means what.
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import SettingsError
from connectors.formats.columns import BoolMask
from connectors.formats.digits import combine_digits
from connectors.formats.nem12.times import days
from connectors.formats.text_lines import Bytes, Ints, fixed_digits

MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
_FIXED = re.compile(r"^([+-])(\d{2}):?(\d{2})$")


class TimeZone:
    """A time zone by name, or a fixed offset such as ``+01:00``.

    Raises :class:`SettingsError` naming ``time_zone`` for anything else.
    """

    def __init__(self, name: str, format_name: str) -> None:
        self._name = name
        self._fixed: int | None = None
        if match := _FIXED.match(name):
            seconds = int(match[2]) * 3600 + int(match[3]) * 60
            self._fixed = (-seconds if match[1] == "-" else seconds) * MICROSECONDS
        try:
            ok = self._fixed is not None or bool(ZoneInfo(name).key)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            ok = False
        if not ok or (self._fixed is not None and abs(self._fixed) > 14 * 3600 * MICROSECONDS):
            raise SettingsError(
                f"format {format_name}: setting 'time_zone': '{name}' is neither a time zone such as "
                "Europe/Berlin nor an offset such as +01:00"
            )

    def to_utc(self, local: Ints) -> tuple[Ints, Ints, BoolMask]:
        """UTC of local microseconds, read as the first and as the second pass of a repeated hour.

        And which of them no clock shows, because it was put forward.
        """
        if self._fixed is not None:
            utc = local - self._fixed
            return utc, utc, np.zeros(len(local), dtype=bool)
        # Times repeat (each meter has the same day), and a time zone is the dearest part of a time.
        unique, inverse = np.unique(local, return_inverse=True)
        plain = pa.array(unique).cast(pa.timestamp("us"))
        first, second = (
            pc.assume_timezone(plain, self._name, ambiguous=which, nonexistent="earliest")
            .cast(pa.int64())
            .to_numpy()
            for which in ("earliest", "latest")
        )
        back = pc.local_timestamp(pa.array(first).cast(pa.timestamp("us", tz=self._name)))
        absent = back.cast(pa.int64()).to_numpy() != unique
        return first[inverse], second[inverse], absent[inverse]


class RepeatedHour:
    """Which readings of a label that the clock shows twice are of the second pass: those said again.

    One instance serves one file, block by block, for series that do not interleave.
    """

    def __init__(self) -> None:
        self._seen = np.zeros((0, 3), dtype=np.int64)  # series, label, kind, of the last series so far

    def is_second(self, series: Ints, labels: Ints, kinds: Ints, rows: Ints) -> BoolMask:
        """For each of the ``rows`` whether its label stands for the second time in its series and kind.

        ``series`` numbers all readings of the block, ascending; ``rows`` are those with a doubtful label.
        """
        if not len(series):
            return np.zeros(0, dtype=bool)
        self._seen = self._seen[self._seen[:, 0] == series[0]]
        if not len(rows):
            self._seen = self._seen[self._seen[:, 0] == series[-1]]
            return np.zeros(0, dtype=bool)
        every = np.concatenate([self._seen, np.stack([series[rows], labels[rows], kinds[rows]], axis=1)])
        _, group = np.unique(every, axis=0, return_inverse=True)
        group = group.reshape(-1)
        order = np.argsort(group, kind="stable")
        is_again = np.zeros(len(order), dtype=bool)
        is_again[order[1:]] = np.diff(group[order]) == 0
        again: BoolMask = is_again[len(self._seen) :]
        self._seen = every[every[:, 0] == series[-1]]
        return again


def digits_to_local(digits: Bytes) -> tuple[Ints, BoolMask]:
    """Microseconds since 1970 of rows ``(14, n)`` of ``yyyymmddhhmmss``, and which are no time.

    24:00 is the end of the day.
    """
    date, bad = days(digits[:8])
    hour, minute, second = (combine_digits(digits[a : a + 2], 10) for a in (8, 10, 12))
    is_midnight = (hour == 24) & (minute == 0) & (second == 0)
    bad = bad | ((hour > 23) & ~is_midnight) | (minute > 59) | (second > 59)
    local = date * DAY + ((hour * 60 + minute) * 60 + second) * MICROSECONDS
    return np.where(bad, 0, local), bad


def plain_times(view: Bytes, starts: Ints, ends: Ints, widths: tuple[int, ...]) -> tuple[Ints, BoolMask]:
    """Local microseconds of spans of 8, 12 or 14 digits (those of ``widths``), and which are no time."""
    lengths = ends - starts
    digits = np.zeros((14, len(starts)), dtype=np.uint8)
    bad = np.ones(len(starts), dtype=bool)
    for width in widths:
        rows = np.flatnonzero(lengths == width)
        if len(rows):
            found, wrong = fixed_digits(view, starts[rows], ends[rows], width)
            digits[:width, rows] = found
            bad[rows] = wrong
    local, impossible = digits_to_local(digits)
    return local, bad | impossible


def timestamps(microseconds: Ints, missing: BoolMask) -> pa.Array:
    """UTC microseconds as Arrow timestamps, null where missing."""
    plain = pa.array(microseconds, mask=missing).cast(pa.timestamp("us"))
    return plain.cast(pa.timestamp("us", tz="UTC"))
