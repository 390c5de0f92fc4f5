"""NEM12 interval values to rows of ``interval_reads``.

Belongs here: the values of 300 records, which record supersedes which, and the rows. Does not belong here:
the other fields of a record; see ``structure``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.digits import decimal_array, parse_scaled
from connectors.formats.nem12.lines import Source
from connectors.formats.nem12.structure import Structure, as_timestamps
from connectors.formats.nem12.times import DAY, MICROSECONDS
from connectors.formats.reads import SCALE, VALUE, interval_batch
from connectors.formats.text_lines import Fields, Ints, trim

_VALUES_AT_ONCE = 131_072
_BYTES_AT_ONCE = 8 * 1024 * 1024


@dataclass(frozen=True)
class _Batch:
    """Days with one number of values and one unit scale, out of one stretch of the text."""

    days: Ints
    count: int
    exponent: int
    fields: Fields
    at: Ints  # the days' places in ``fields``


class IntervalReads:
    """The interval values of one file."""

    def __init__(self, source: Source, structure: Structure, offset_seconds: int) -> None:
        self.source = source
        self.days = structure.days
        self.channels = structure.channels
        self.ranges = structure.ranges
        self._offset = offset_seconds * MICROSECONDS
        channels = self.channels
        self._channel_text = {
            "service_point_id": _concat(channels.service_point),
            "register_id": _concat(channels.register),
            "meter_serial": _concat(channels.serial),
            "direction": _concat(channels.direction),
            "unit": _concat(channels.unit),
        }
        day, ranged = self.days.quality, self.ranges.quality
        self._quality: dict[str, pa.Array] = {
            "quality_flag": _concat(day.flag + ranged.flag),
            "quality_method": _concat(day.method + ranged.method),
            "reason_code": _concat(day.reason_code + ranged.reason_code, pa.int32()),
            "reason_text": _concat(day.reason_text + ranged.reason_text),
        }
        is_v = pc.equal(self._quality["quality_flag"][: len(self.days.rows)], "V")
        self._is_v = as_mask(is_v)
        owned = np.flatnonzero(self.ranges.owner >= 0)
        counts = np.bincount(self.ranges.owner[owned], minlength=len(self.days.rows))
        self._range_count = counts
        self._first_range = np.zeros(len(counts), dtype=np.int64)
        # The ranges of a day stand together, so the first one and their number find all of them.
        self._first_range[self.ranges.owner[owned][::-1]] = owned[::-1]
        self.wrong_value = np.zeros(
            len(self.days.rows), dtype=np.int64
        )  # 1-based place of the first bad value

    def superseded(self) -> BoolMask:
        """Days replaced in this very file: same service point, register and day, updated later.

        An equal or missing update time lets the later line win. Only a day that can be read replaces another.
        """
        result = np.zeros(len(self.days.rows), dtype=bool)
        good = np.flatnonzero(self.days.rules.is_ok)
        if not len(good):
            return result
        key = self._day_key(good)
        order = np.argsort(key, kind="stable")
        twin = np.zeros(len(good), dtype=bool)
        equal = key[order][1:] == key[order][:-1]
        twin[order[1:][equal]] = True
        twin[order[:-1][equal]] = True
        if not twin.any():
            return result
        self._check_values(good[twin])
        good, key = good[twin], key[twin]
        readable = self.days.rules.is_ok[good]
        good, key = good[readable], key[readable]
        updated = np.where(self.days.has_updated[good], self.days.updated[good], np.iinfo(np.int64).min)
        order = np.lexsort((good, updated, key))
        replaced = key[order][:-1] == key[order][1:]
        result[good[order[:-1][replaced]]] = True
        return result

    def _day_key(self, rows: Ints) -> Ints:
        owner = self.days.owner[rows]
        points = self._channel_text["service_point_id"].dictionary_encode().indices.to_numpy()
        registers = self._channel_text["register_id"].dictionary_encode().indices.to_numpy()
        register_count = int(registers.max()) + 1
        day = self.days.day[rows] + 100_000  # days before 1970 keep the key positive
        key: Ints = (points[owner].astype(np.int64) * register_count + registers[owner]) * 1_000_000 + day
        return key

    def _check_values(self, rows: Ints) -> None:
        for batch in self._batches(rows):
            self._values(batch)

    def batches(self, rows: Ints) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Rows of the given days, with the number of days they come from; bad days are marked, not given."""
        for batch in self._batches(rows):
            values, empty, good = self._values(batch)
            if good.any():
                yield self._rows(batch, values, empty, good), int(good.sum())

    def _batches(self, rows: Ints) -> Iterator[_Batch]:
        """Cut the days into stretches of bounded size, and those by number of values and unit."""
        lines = self.source.lines
        count = self.channels.count[self.days.owner[rows]]
        volume = np.cumsum(count)
        ends = lines.end[self.days.rows[rows]]
        low = 0
        while low < len(rows):
            before = int(volume[low] - count[low])
            high = int(np.searchsorted(volume, before + _VALUES_AT_ONCE, side="right"))
            limit = int(lines.start[self.days.rows[rows[low]]]) + _BYTES_AT_ONCE
            high = max(min(high, int(np.searchsorted(ends, limit, side="right"))), low + 1)
            chosen = rows[low:high]
            first, last = int(self.days.rows[chosen[0]]), int(self.days.rows[chosen[-1]]) + 1
            fields = Fields(self.source.data, lines.start[first:last], lines.end[first:last])
            exponent = self.channels.exponent[self.days.owner[chosen]]
            shape = count[low:high] * 16 + exponent + 8
            for one in np.unique(shape):
                same = chosen[shape == one]
                yield _Batch(same, int(one) // 16, int(one) % 16 - 8, fields, self.days.rows[same] - first)
            low = high

    def _values(self, batch: _Batch) -> tuple[Ints, BoolMask, BoolMask]:
        """Values scaled to the stored unit (days × count), which are empty, and which days are good."""
        shape = (len(batch.days), batch.count)
        low = np.ones(len(batch.days), dtype=np.int64)
        commas = batch.fields.commas(batch.at, low, low + batch.count + 1).reshape(len(batch.days), -1)
        starts, ends = (commas[:, :-1] + 1).reshape(-1), commas[:, 1:].reshape(-1)
        data = self.source.data
        stretch = data[int(starts[0]) : int(ends[-1])]
        if ((stretch == ord(" ")) | (stretch == ord("\t"))).any():
            starts, ends = trim(data, starts, ends)
        values, bad = parse_scaled(data, starts, ends, SCALE + batch.exponent)
        values, bad = values.reshape(shape), (bad | (values < 0)).reshape(shape)
        empty = np.zeros(shape, dtype=bool)
        if bad.any():
            # A value may be missing where its quality says that there is none.
            flags = self._expanded("quality_flag", batch.days, np.full(len(batch.days), batch.count))
            no_data = as_mask(pc.equal(flags, "N")).reshape(shape)
            empty = np.asarray((ends == starts).reshape(shape) & no_data)
            bad &= ~empty
            wrong = np.flatnonzero(bad.any(axis=1))
            self.days.rules.fail(batch.days[wrong], "bad_value")
            self.wrong_value[batch.days[wrong]] = bad[wrong].argmax(axis=1) + 1
        good = np.asarray(~bad.any(axis=1))
        return values, empty, good

    def _rows(self, batch: _Batch, values: Ints, empty: BoolMask, good: BoolMask) -> pa.RecordBatch:
        days = batch.days[good]
        total = len(days) * batch.count
        seconds = 86_400 // batch.count
        owner = self.days.owner[days]
        repeat = pa.array(np.repeat(np.arange(len(days)), batch.count))
        columns: dict[str, pa.Array] = {}
        for name, text in self._channel_text.items():
            columns[name] = pc.take(pc.take(text, pa.array(owner)), repeat)
        midnight = self.days.day[days] * DAY - self._offset
        # Values are labelled by the end of their interval in the file; here by its start.
        start = midnight[:, None] + np.arange(batch.count) * (seconds * MICROSECONDS)
        columns["interval_start_at"] = as_timestamps(start.reshape(-1))
        columns["interval_seconds"] = pa.array(np.full(total, seconds, dtype=np.int32))
        columns["value"] = decimal_array(values[good].reshape(-1), VALUE, empty[good].reshape(-1))
        counts = np.full(len(days), batch.count)
        for name in self._quality:
            columns[name] = self._expanded(name, days, counts)
        updated = as_timestamps(self.days.updated[days], ~self.days.has_updated[days])
        columns["updated_at"] = pc.take(updated, repeat)
        line = pa.array(np.repeat(self.source.lines.line_no[self.days.rows[days]], batch.count))
        columns["_record_no"] = line
        return interval_batch(columns)

    def _expanded(self, name: str, days: Ints, counts: npt.NDArray[np.int64]) -> pa.Array:
        """A quality column, one entry an interval: the day's own, or that of the range around it."""
        column = self._quality[name]
        if column.null_count == len(column):
            return pa.nulls(int(counts.sum()), column.type)
        is_v = self._is_v[days]
        if not is_v.any():
            return pc.take(column, pa.array(np.repeat(days, counts)))
        parts = np.where(is_v, self._range_count[days], 1)
        before = np.cumsum(parts) - parts
        within = np.arange(int(parts.sum())) - np.repeat(before, parts)
        ranged = np.repeat(is_v, parts)
        which = np.where(ranged, np.repeat(self._first_range[days], parts) + within, 0)
        length = np.repeat(counts, parts)
        if len(self.ranges.rows):
            length = np.where(ranged, self.ranges.last[which] - self.ranges.first[which] + 1, length)
        index = np.where(ranged, len(self.days.rows) + which, np.repeat(days, parts))
        return pc.take(column, pa.array(np.repeat(index, length)))


def _concat(parts: list[pa.Array], kind: pa.DataType | None = None) -> pa.Array:
    return pa.concat_arrays(parts) if parts else pa.array([], kind or pa.string())
