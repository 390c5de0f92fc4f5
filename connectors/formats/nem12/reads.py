"""NEM12 interval values to rows of ``interval_reads``.

Belongs here: the values of 300 records and the rows they become. Does not belong here: the other fields of a
record (``structure``), and which record supersedes which (``corrections``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.formats.columns import BoolMask
from connectors.formats.digits import decimal_array, parse_scaled
from connectors.formats.nem12.lines import Source
from connectors.formats.nem12.structure import Structure, as_timestamps
from connectors.formats.nem12.times import DAY, MICROSECONDS
from connectors.formats.reads import SCALE, VALUE, interval_batch
from connectors.formats.repeat import repeat_numbers, repeat_texts
from connectors.formats.text_lines import Ints, trim


@dataclass(frozen=True)
class _Runs:
    """Intervals of one quality: ``which`` indexes the days' qualities, and behind them those of ranges."""

    which: Ints
    length: Ints


class IntervalReads:
    """The interval values of the ``wanted`` days of a stretch; those that cannot be read break a rule."""

    def __init__(self, source: Source, structure: Structure, wanted: BoolMask) -> None:
        self._lines = source.lines
        self._channels, self._days, self._ranges = structure.channels, structure.days, structure.ranges
        self._quality = structure.quality
        days = np.flatnonzero(wanted)
        runs = self._runs(days)
        values, missing, bad = _values(structure, days)
        no_data = self._has_no_data(runs)
        # A value may be missing where its quality says that there is none, and is null there: not the 0 or
        # the last one known that systems fill in.
        wrong, empty = bad | (missing & ~no_data), no_data
        self.wrong_value = np.zeros(len(wanted), dtype=np.int64)
        """1-based place of the first value of each day that cannot be read."""
        if wrong.any():
            count = self._days.count[days]
            place = np.repeat(np.arange(len(days)), count)[wrong]
            within = np.flatnonzero(wrong) - (np.cumsum(count) - count)[place] + 1
            self.wrong_value[days[place[::-1]]] = within[::-1]
            self._days.rules.fail_rows(days[place], "bad_value")
            kept = self._days.rules.is_ok[days]
            of_kept = np.repeat(kept, count)
            values, empty = values[of_kept], empty[of_kept]
            days = days[kept]
            runs = self._runs(days)
        self._chosen, self._quality_runs, self._values, self._empty = days, runs, values, empty

    @property
    def day_count(self) -> int:
        """How many days could be read."""
        return len(self._chosen)

    def rows(self, offset_seconds: int) -> pa.RecordBatch:
        """One row an interval, day after day; market time is ``offset_seconds`` east of UTC."""
        chosen, days, channels = self._chosen, self._days, self._channels
        count, owner = days.count[chosen], pa.array(days.owner[chosen])
        stops = np.cumsum(count)
        seconds = 86_400 // np.maximum(count, 1)
        within = np.arange(len(self._values)) - np.repeat(stops - count, count)
        # Values are labelled by the end of their interval in the file; here by its start.
        start = within * np.repeat(seconds * MICROSECONDS, count)
        start += np.repeat(days.day[chosen] * DAY - offset_seconds * MICROSECONDS, count)
        updated, missing = days.updated[chosen], ~days.has_updated[chosen]
        columns: dict[str, pa.Array] = {
            "_record_no": pa.array(np.repeat(self._lines.line_no[days.rows[chosen]], count)),
            "interval_start_at": as_timestamps(start),
            "interval_seconds": pa.array(np.repeat(seconds.astype(np.int32), count)),
            "value": decimal_array(self._values, VALUE, self._empty),
            "updated_at": as_timestamps(
                np.repeat(updated, count), np.repeat(missing, count) if missing.any() else None
            ),
        }
        for name, text in (
            ("service_point_id", channels.service_point),
            ("register_id", channels.register),
            ("meter_serial", channels.serial),
            ("direction", channels.direction),
            ("unit", channels.unit),
        ):
            columns[name] = repeat_texts(text.take(owner), count)
        runs = self._quality_runs
        which = pa.array(runs.which)
        for name, column in (
            ("quality_flag", self._quality.flag),
            ("quality_method", self._quality.method),
            ("reason_text", self._quality.reason_text),
        ):
            columns[name] = repeat_texts(column.take(which), runs.length)
        columns["reason_code"] = repeat_numbers(self._quality.reason_code.take(which), runs.length)
        return interval_batch(columns)

    def _runs(self, days: Ints) -> _Runs:
        """A day is one run, or as many as it has ranges where its quality is V."""
        count = self._days.count[days]
        is_v = self._days.quality.is_flag("V")[days]
        if not is_v.any():
            return _Runs(days, count)
        ranges = self._ranges
        owned = np.flatnonzero(ranges.owner >= 0)
        range_count = np.bincount(ranges.owner[owned], minlength=len(self._days.rows))
        first_range = np.zeros(len(self._days.rows), dtype=np.int64)
        # The ranges of a day stand together, so the first one and their number find all of them.
        first_range[ranges.owner[owned][::-1]] = owned[::-1]
        parts = np.where(is_v, range_count[days], 1)
        ranged = np.repeat(is_v, parts)
        within = np.arange(len(ranged)) - np.repeat(np.cumsum(parts) - parts, parts)
        which = np.where(ranged, np.repeat(first_range[days], parts) + within, 0)
        length = np.where(ranged, ranges.last[which] - ranges.first[which] + 1, np.repeat(count, parts))
        return _Runs(np.where(ranged, len(self._days.rows) + which, np.repeat(days, parts)), length)

    def _has_no_data(self, runs: _Runs) -> BoolMask:
        is_none = self._quality.is_flag("N")
        if not is_none.any():
            return np.zeros(int(runs.length.sum()), dtype=bool)
        return np.repeat(is_none[runs.which], runs.length)


def _values(structure: Structure, days: Ints) -> tuple[Ints, BoolMask, BoolMask]:
    """Values in millionths of the stored unit, day after day, which are missing, and which are wrong."""
    fields = structure.fields
    owner, count = structure.days.owner[days], structure.days.count[days]
    starts, ends = fields.runs(structure.days.rows[days], 2, count)
    exponent = structure.channels.exponent[owner]
    same = int(exponent[0]) if len(days) and (exponent == exponent[0]).all() else None
    scale: int | Ints = SCALE + same if same is not None else SCALE + np.repeat(exponent, count)
    values, bad = parse_scaled(fields.data, starts, ends, scale)
    missing = np.zeros(len(values), dtype=bool)
    if bad.any():
        odd = np.flatnonzero(bad)
        starts, ends = trim(fields.data, starts[odd], ends[odd])
        values[odd], bad[odd] = parse_scaled(
            fields.data, starts, ends, scale if isinstance(scale, int) else scale[odd]
        )
        missing[odd] = ends == starts
        bad &= ~missing
    negative = values < 0
    if negative.any():
        bad |= negative & ~np.repeat(structure.channels.is_net[owner], count)
    return values, missing, bad
