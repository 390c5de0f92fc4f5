"""QTY segments with their times and states to rows of the canonical reads.

Belongs here: values, periods, units, quality. Does not belong here: what holds above a quantity (metering
point, register, message); that comes with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask
from connectors.formats.digits import decimal_array, parse_scaled
from connectors.formats.mscons.codes import Codes, obis
from connectors.formats.mscons.syntax import read_periods, read_times
from connectors.formats.reads import SCALE, UNKNOWN_UNIT, VALUE, interval_batch, register_batch
from connectors.formats.segments.account import Verdicts
from connectors.formats.segments.scan import Segments
from connectors.formats.segments.times import MICROSECONDS, RepeatedHour, timestamps
from connectors.formats.text_lines import Ints

_TIMES = ("163", "164", "9", "7")
_START, _END, _READ, _VALID = range(4)
_PERIOD = "324"


@dataclass
class _Moments:
    """Per quantity its four times in UTC microseconds, by first and second pass, and which are given."""

    first: Ints  # (4, n)
    second: Ints
    is_given: BoolMask


class Quantities:
    """The quantities of one file, block by block."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self._qualifiers = list(codes.qualifiers)
        self._flags = pa.array(list(codes.qualifiers.values()))
        self._has_none = np.array([flag == "N" for flag in codes.qualifiers.values()])
        self._repeated = RepeatedHour()

    def read(
        self,
        segments: Segments,
        rows: Ints,
        texts: dict[str, pa.Array],
        children: dict[str, Ints],
        opener: Ints,
        is_cancelled: BoolMask,
        line: pa.Array,
        verdicts: Verdicts,
    ) -> list[tuple[str, pa.RecordBatch]]:
        """Rows of the good quantities among ``rows``, by table; the others get their verdict.

        ``texts`` are columns as long as ``rows``; ``children`` the DTM and STS segments behind them, and
        ``opener`` gives the row of the quantity each belongs to.
        """
        if not len(rows):
            return []
        qualifier = segments.equals(rows, self._qualifiers, 1)
        verdicts.fail(rows[qualifier < 0], "unknown_qualifier")
        is_none = self._has_none[qualifier] | is_cancelled
        unit, exponent, direction = self._units(segments, rows, texts["register_id"], verdicts)
        values, bad = self._values(segments, rows, exponent)
        verdicts.fail(rows[bad & ~is_none], "bad_value")
        moments = self._moments(segments, rows, children["DTM"], opener, verdicts)
        start, end, is_period = self._periods(rows, moments, line, qualifier, verdicts)
        seconds = (end - start) // MICROSECONDS
        is_interval = is_period & (seconds <= self.codes.settings.longest_interval_seconds)
        columns = {
            "_record_no": pa.array(segments.number[rows]),
            **texts,
            "direction": direction,
            "unit": unit,
            "quality_method": pa.array(self._qualifiers).take(pa.array(np.maximum(qualifier, 0))),
            "quality_flag": self._quality(qualifier, is_cancelled),
            "reason_text": self._reasons(segments, rows, children["STS"], opener, is_cancelled),
        }
        good = ~verdicts.is_bad(rows)
        batches = []
        value = decimal_array(values, VALUE, is_none)
        if (chosen := np.flatnonzero(good & is_interval)).size:
            interval = _chosen(columns, chosen)
            interval["interval_start_at"] = timestamps(start[chosen], np.zeros(len(chosen), dtype=bool))
            interval["interval_seconds"] = pa.array(seconds[chosen].astype(np.int32))
            interval["value"] = value.take(pa.array(chosen))
            batches.append(("interval_reads", interval_batch(interval)))
        if (chosen := np.flatnonzero(good & ~is_interval)).size:
            register = _chosen(columns, chosen)
            from_missing = ~is_period[chosen]
            register["read_from_at"] = timestamps(start[chosen], from_missing)
            register["read_to_at"] = timestamps(end[chosen], np.zeros(len(chosen), dtype=bool))
            number = value.take(pa.array(chosen))
            none = pa.scalar(None, VALUE)
            register["current_read"] = pc.if_else(pa.array(from_missing), number, none)
            register["quantity"] = pc.if_else(pa.array(from_missing), none, number)
            batches.append(("register_reads", register_batch(register)))
        return batches

    def _units(
        self, segments: Segments, rows: Ints, register: pa.Array, verdicts: Verdicts
    ) -> tuple[pa.Array, Ints, pa.Array]:
        """Stored unit, power of ten and direction: the unit as declared, else as the OBIS number implies."""
        products = pc.dictionary_encode(pc.fill_null(register, ""))
        implied = [obis(code) for code in products.dictionary.to_pylist()]
        direction = pa.array([one for one, _ in implied]).take(products.indices)
        implied_unit = pa.array([unit for _, unit in implied]).take(products.indices)
        starts, ends = segments.span(rows, 1, 2)
        if not (ends > starts).any():
            return implied_unit, np.zeros(len(rows), dtype=np.int64), direction
        declared = pc.dictionary_encode(segments.texts(starts, ends))
        names = declared.dictionary.to_pylist()
        known = [self.codes.unit(name) for name in names]
        index = declared.indices.to_numpy()
        is_unknown = np.array([unit is None and name != "" for unit, name in zip(known, names, strict=True)])
        verdicts.fail(rows[is_unknown[index]], "unknown_unit")
        exponent = np.array([unit[1] if unit else 0 for unit in known], dtype=np.int64)[index]
        stored = pa.array([unit[0] if unit else None for unit in known], pa.string()).take(declared.indices)
        return pc.coalesce(stored, implied_unit, UNKNOWN_UNIT), exponent, direction

    def _values(self, segments: Segments, rows: Ints, exponent: Ints) -> tuple[Ints, BoolMask]:
        """Values scaled to the stored unit, and which are no number."""
        starts, ends = segments.span(rows, 1, 1)
        view, mark = segments.view, segments.delimiters.decimal_mark
        if mark != ord("."):
            marked = view.copy()
            if mark is not None:
                marked[view == ord(".")] = ord("x")  # a point that is no mark is no part of a number
            marked[view == (ord(",") if mark is None else mark)] = ord(".")
            view = marked
        values = np.zeros(len(rows), dtype=np.int64)
        bad = np.zeros(len(rows), dtype=bool)
        for one in np.unique(exponent).tolist():
            same = np.flatnonzero(exponent == one)
            values[same], bad[same] = parse_scaled(view, starts[same], ends[same], SCALE + one)
        return values, bad

    def _moments(
        self, segments: Segments, rows: Ints, times: Ints, opener: Ints, verdicts: Verdicts
    ) -> _Moments:
        """The times behind the quantities; a quantity with a wrong or doubled one gets its verdict."""
        owner = np.searchsorted(rows, opener[times])
        shape = (len(_TIMES), len(rows))
        first, second = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        count = np.zeros(shape, dtype=np.int64)
        role = segments.equals(times, (*_TIMES, _PERIOD), 1)
        single = np.flatnonzero((role >= 0) & (role < len(_TIMES)))
        early, late, bad = read_times(segments, times[single], self.codes.time_zone)
        verdicts.fail(rows[owner[single][bad]], "bad_time")
        place = (role[single], owner[single])
        first[place], second[place] = early, late
        np.add.at(count, place, 1)
        periods = np.flatnonzero(role == len(_TIMES))
        if len(periods):
            *both, bad = read_periods(segments, times[periods], self.codes.time_zone)
            verdicts.fail(rows[owner[periods][bad]], "bad_time")
            for at, (early, late) in ((_START, both[:2]), (_END, both[2:])):
                first[at, owner[periods]], second[at, owner[periods]] = early, late
                np.add.at(count[at], owner[periods], 1)
        verdicts.fail(rows[(count > 1).any(axis=0)], "duplicate_time")
        return _Moments(first, second, count > 0)

    def _periods(
        self, rows: Ints, moments: _Moments, line: pa.Array, qualifier: Ints, verdicts: Verdicts
    ) -> tuple[Ints, Ints, BoolMask]:
        """Begin and end; where there is no period, the end is the time of reading."""
        first, second, given = moments.first, moments.second, moments.is_given
        start, end = first[_START].copy(), first[_END].copy()
        is_period: BoolMask = given[_START] & given[_END]
        twice = np.flatnonzero(is_period & (first[_START] != second[_START]))
        lines = pc.fill_null(line, 0).to_numpy()
        twice = twice[self._repeated.is_second(lines, first[_START], qualifier, twice)]
        start[twice] = second[_START][twice]
        later = end <= start
        end[later] = second[_END][later]
        settings = self.codes.settings
        if settings.interval_seconds is not None:
            agreed = is_period & (end - start <= settings.longest_interval_seconds * MICROSECONDS)
            end[agreed] = start[agreed] + settings.interval_seconds * MICROSECONDS
        verdicts.fail(
            rows[is_period & ((end <= start) | ((end - start) % MICROSECONDS != 0))], "bad_interval"
        )
        is_read = ~is_period & ~given[_END]
        for role in (_START, _VALID, _READ):  # the last one given counts
            chosen = is_read & given[role]
            end[chosen] = first[role][chosen]
        verdicts.fail(rows[~is_period & ~(is_read & given.any(axis=0))], "no_time")
        return start, end, is_period

    def _quality(self, qualifier: Ints, is_cancelled: BoolMask) -> pa.Array:
        flag = self._flags.take(pa.array(np.maximum(qualifier, 0)))
        return pc.if_else(pa.array(is_cancelled), "N", flag) if is_cancelled.any() else flag

    def _reasons(
        self, segments: Segments, rows: Ints, states: Ints, opener: Ints, is_cancelled: BoolMask
    ) -> pa.Array:
        """What the STS segments say, one word each; ``cancelled`` for what a message withdraws."""
        if not len(states):
            none = pa.scalar(None, pa.string())
            return pc.if_else(pa.array(is_cancelled), "cancelled", none)
        reason, status = segments.text(states, 3), segments.text(states, 2)
        said = pc.if_else(pc.equal(reason, ""), status, reason)
        words = pc.binary_join_element_wise(segments.text(states, 1), said, ":")
        owner = np.searchsorted(rows, opener[states])
        offsets = np.searchsorted(owner, np.arange(len(rows) + 1))
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words)
        joined = pc.binary_join(lists, " ")
        joined = pc.if_else(pc.equal(joined, ""), pa.scalar(None, pa.string()), joined)
        return pc.if_else(pa.array(is_cancelled), "cancelled", joined)


def _chosen(columns: dict[str, pa.Array], rows: Ints) -> dict[str, pa.Array]:
    if len(rows) == len(columns["_record_no"]):
        return dict(columns)
    index = pa.array(rows)
    return {name: column.take(index) for name, column in columns.items()}
