"""QTY segments of an 867 with their times and measurements to rows of the canonical reads.

Belongs here: values, periods, units, quality. Does not belong here: what holds above a quantity (service
point, loop, meter); that comes with it as ``Context``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.digits import decimal_array, parse_scaled
from connectors.formats.reads import SCALE, UNKNOWN_UNIT, VALUE, interval_batch, register_batch
from connectors.formats.segments.account import Verdicts
from connectors.formats.segments.scan import Segments
from connectors.formats.segments.times import MICROSECONDS, RepeatedHour, timestamps
from connectors.formats.text_lines import Ints
from connectors.formats.x12.block import Block
from connectors.formats.x12.codes import READ_QUALITY, Codes
from connectors.formats.x12.syntax import read_times

_PERIOD = ("150", "151")
_CONSUMPTION = "PRQ"
_ADDITIVE = "A"
_TOTALS = ("51", "")
"""MEA07 of what is measured over the whole day, where other codes are parts of it."""

BAD_TIME = np.iinfo(np.int64).min
"""For a time that is given and cannot be read: it is not to be replaced by one from further above."""

Batches = list[tuple[str, pa.RecordBatch]]


@dataclass(frozen=True)
class Context:
    """What holds above each quantity; as many entries as there are quantities, null for what is not given."""

    service_point: pa.Array
    meter_serial: pa.Array
    loop: pa.Array
    meter_type: pa.Array
    meter_role: pa.Array
    loop_no: Ints
    is_cancelled: BoolMask
    updated_at: pa.Array
    begin: pa.Array  # in UTC microseconds, BAD_TIME where what is given is no time
    end: pa.Array


@dataclass
class _Measured:
    """MEA segments of consumption: their quantity's index, their numbers, and what they are of."""

    rows: Ints
    owner: Ints
    values: Ints  # (3, n): consumption, read at the begin, read at the end
    is_given: BoolMask  # (3, n)
    part: pa.Array  # MEA07
    code: pa.Array  # MEA01
    unit: pa.Array


class Quantities:
    """The quantities of one file, block by block."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes
        self._qualifiers = list(codes.qualifiers)
        self._directions = pa.array([direction for direction, _ in codes.qualifiers.values()])
        self._flags = pa.array([flag for _, flag in codes.qualifiers.values()])
        self._has_none = np.array([flag == "N" for _, flag in codes.qualifiers.values()])
        self._repeated = RepeatedHour()

    def read(
        self, block: Block, rows: Ints, context: Context, opener: Ints, times: Ints, measures: Ints
    ) -> Batches:
        """Rows of the good quantities among ``rows``, by table; the others get their verdict.

        ``times`` and ``measures`` are the DTM and MEA segments behind them, ``opener`` gives the row of the
        quantity each belongs to.
        """
        if not len(rows):
            return []
        segments, verdicts = block.segments, block.verdicts
        qualifier = segments.equals(rows, self._qualifiers, 1)
        verdicts.fail(rows[qualifier < 0], "unknown_qualifier")
        qualifier = np.maximum(qualifier, 0)
        is_none = self._has_none[qualifier] | context.is_cancelled
        declared = segments.text(rows, 3)
        # The first two letters of a meter type are its unit: KHMON, KH015.
        typed = pc.utf8_slice_codeunits(pc.fill_null(context.meter_type, ""), 0, 2)
        code = pc.if_else(pc.equal(declared, ""), typed, declared)
        unit, exponent, is_unknown = self._units(code)
        verdicts.fail(rows[is_unknown & as_mask(pc.not_equal(declared, ""))], "unknown_unit")
        value, bad = _numbers(segments, rows, 2, exponent)
        verdicts.fail(rows[bad & ~is_none], "bad_value")
        measured = self._measured(segments, rows, opener, measures, code, verdicts)
        end, is_interval = self._interval_ends(segments, rows, opener, times, context, qualifier, verdicts)
        seconds = self._interval_seconds(rows, context.meter_type, is_interval, end, verdicts)
        begin_of, end_of = self._period(segments, rows, opener, times, context, is_interval, verdicts)
        flag = self._flags.take(pa.array(qualifier))
        columns = {
            "_record_no": pa.array(segments.number[rows]),
            "service_point_id": context.service_point,
            "register_id": _register(context, code),
            "meter_serial": context.meter_serial,
            "direction": self._directions.take(pa.array(qualifier)),
            "unit": unit,
            "quality_flag": pc.if_else(pa.array(context.is_cancelled), "N", flag),
            "quality_method": pa.array(self._qualifiers).take(pa.array(qualifier)),
            "reason_text": pc.if_else(
                pa.array(context.is_cancelled), "cancelled", pa.scalar(None, pa.string())
            ),
            "updated_at": context.updated_at,
        }
        good = ~verdicts.is_bad(rows)
        number = decimal_array(value, VALUE, is_none)
        batches: Batches = []
        chosen = np.flatnonzero(good & is_interval)
        if len(chosen):
            start = end - seconds * MICROSECONDS
            interval = _taken(columns, chosen)
            interval["interval_start_at"] = timestamps(start[chosen], np.zeros(len(chosen), dtype=bool))
            interval["interval_seconds"] = pa.array(seconds[chosen].astype(np.int32))
            interval["value"] = number.take(pa.array(chosen))
            batches.append(("interval_reads", interval_batch(interval)))
        columns |= {"read_from_at": begin_of, "read_to_at": end_of}
        batches += self._registers(columns, number, value, is_none, measured, good & ~is_interval, segments)
        return batches

    def _units(self, code: pa.Array) -> tuple[pa.Array, Ints, BoolMask]:
        """Stored unit and power of ten of unit codes, and which codes are not known."""
        encoded = pc.dictionary_encode(code)
        known = [self.codes.units.get(one) for one in encoded.dictionary.to_pylist()]
        index = encoded.indices.to_numpy()
        stored = pa.array([unit[0] if unit else UNKNOWN_UNIT for unit in known], pa.string())
        exponent = np.array([unit[1] if unit else 0 for unit in known], dtype=np.int64)
        is_unknown = np.array([unit is None for unit in known], dtype=bool)
        return stored.take(encoded.indices), exponent[index], is_unknown[index]

    def _measured(
        self, segments: Segments, rows: Ints, opener: Ints, measures: Ints, code: pa.Array, verdicts: Verdicts
    ) -> _Measured:
        """The measurements of consumption; a wrong one puts its quantity aside."""
        measures = measures[segments.equals(measures, (_CONSUMPTION,), 2) == 0]
        owner = np.searchsorted(rows, opener[measures])
        declared = segments.text(measures, 4)
        unit_code = pc.if_else(pc.equal(declared, ""), code.take(pa.array(owner)), declared)
        unit, exponent, is_unknown = self._units(unit_code)
        verdicts.fail(rows[owner[is_unknown & as_mask(pc.not_equal(declared, ""))]], "unknown_unit")
        shape = (3, len(measures))
        values, given = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        for place, element in enumerate((3, 5, 6)):
            starts, ends = segments.span(measures, element)
            given[place] = ends > starts
            values[place], bad = _numbers(segments, measures, element, exponent)
            verdicts.fail(rows[owner[bad & given[place]]], "bad_value")
        part, method = segments.text(measures, 7), segments.text(measures, 1)
        return _Measured(measures, owner, values, given, part, method, unit)

    def _interval_ends(
        self,
        segments: Segments,
        rows: Ints,
        opener: Ints,
        times: Ints,
        context: Context,
        qualifier: Ints,
        verdicts: Verdicts,
    ) -> tuple[Ints, BoolMask]:
        """The end of each quantity's interval, and which have one."""
        settings = self.codes.settings
        times = times[segments.equals(times, settings.interval_end_qualifiers, 1) >= 0]
        owner = np.searchsorted(rows, opener[times])
        first, second, bad = read_times(
            segments, times, self.codes.time_zone, (2, 3, 4), is_2359=settings.day_ends_2359
        )
        verdicts.fail(rows[owner[bad]], "bad_time")
        count = np.bincount(owner, minlength=len(rows))
        verdicts.fail(rows[count > 1], "duplicate_time")
        end, late = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
        end[owner], late[owner] = first, second
        twice = np.flatnonzero((count > 0) & (end != late))
        twice = twice[self._repeated.is_second(context.loop_no, end, qualifier, twice)]
        end[twice] = late[twice]
        return end, count > 0

    def _interval_seconds(
        self, rows: Ints, meter_type: pa.Array, is_interval: BoolMask, end: Ints, verdicts: Verdicts
    ) -> Ints:
        """The length of each interval: the digits that end its meter type, else the setting."""
        digits = pc.struct_field(pc.extract_regex(meter_type, r"^..(?P<minutes>\d{3})$"), "minutes")
        default = self.codes.settings.interval_minutes or 0
        minutes = pc.fill_null(digits.cast(pa.int64()), default).to_numpy()
        is_usual = (minutes > 0) & (minutes <= 1440)
        is_usual &= (60 % np.maximum(minutes, 1) == 0) | (minutes % 60 == 0)
        verdicts.fail(rows[is_interval & ~is_usual], "no_interval_length")
        seconds = np.where(is_usual, minutes, 60) * 60
        # Midnight is a whole hour of UTC where X12 is used, so an interval ends on an hour or a part of it.
        verdicts.fail(
            rows[is_interval & (end % (np.minimum(seconds, 3600) * MICROSECONDS) != 0)], "bad_interval"
        )
        return seconds

    def _period(
        self,
        segments: Segments,
        rows: Ints,
        opener: Ints,
        times: Ints,
        context: Context,
        is_interval: BoolMask,
        verdicts: Verdicts,
    ) -> tuple[pa.Array, pa.Array]:
        """Begin and end of each quantity's period: its own DTM, else that of the loop or transaction."""
        role = segments.equals(times, _PERIOD, 1)
        times, role = times[role >= 0], role[role >= 0]
        owner = np.searchsorted(rows, opener[times])
        utc, _, bad = read_times(segments, times, self.codes.time_zone, (2, 3, 4))
        verdicts.fail(rows[owner[bad]], "bad_time")
        both = []
        for which, above in enumerate((context.begin, context.end)):
            moments = pc.fill_null(above, 0).to_numpy().copy()
            missing = as_mask(above.is_null())
            mine = role == which
            moments[owner[mine]], missing[owner[mine]] = utc[mine], False
            verdicts.fail(rows[~is_interval & (moments == BAD_TIME)], "bad_time")
            both.append(timestamps(moments, missing | (moments == BAD_TIME)))
        begin, end = both
        verdicts.fail(rows[~is_interval & as_mask(end.is_null())], "no_time")
        verdicts.fail(rows[~is_interval & as_mask(pc.greater(begin, end))], "bad_period")
        return begin, end

    def _registers(
        self,
        columns: dict[str, pa.Array],
        number: pa.Array,
        value: Ints,
        is_none: BoolMask,
        measured: _Measured,
        is_good: BoolMask,
        segments: Segments,
    ) -> Batches:
        """Register reads: one a quantity with the dial reads of its total, and one for each other MEA.

        A total that says another number than QTY (before losses, say) is a row of its own, too.
        """
        batches: Batches = []
        owner = measured.owner
        is_total = pc.is_in(measured.part, pa.array(_TOTALS)).to_numpy(zero_copy_only=False)
        same = ~measured.is_given[0] | (measured.values[0] == value[owner])
        same &= as_mask(pc.equal(measured.unit, columns["unit"].take(pa.array(owner))))
        merged = np.full(len(is_good), -1, dtype=np.int64)
        candidates = np.flatnonzero(is_total & same)
        merged[owner[candidates][::-1]] = candidates[::-1]
        chosen = np.flatnonzero(is_good)
        if len(chosen):
            rows = _taken(columns, chosen)
            rows["quantity"] = number.take(pa.array(chosen))
            if len(measured.rows):
                rows |= _dials(measured, merged[chosen], is_none[chosen])
                rows["quality_flag"], rows["quality_method"] = _quality(
                    rows["quality_flag"], rows["quality_method"], measured.code, merged[chosen]
                )
            batches.append(("register_reads", register_batch(rows)))
        is_own = np.ones(len(owner), dtype=bool)
        is_own[merged[merged >= 0]] = False
        others = np.flatnonzero(is_own & is_good[owner])
        if len(others):
            above = owner[others]
            rows = _taken(columns, above)
            rows["_record_no"] = pa.array(segments.number[measured.rows[others]])
            part = measured.part.take(pa.array(others))
            rows["register_id"] = pc.binary_join_element_wise(
                rows["register_id"], pc.if_else(pc.equal(part, ""), "total", part), ":"
            )
            rows["unit"] = measured.unit.take(pa.array(others))
            missing = is_none[above] | ~measured.is_given[0, others]
            rows["quantity"] = decimal_array(measured.values[0, others], VALUE, missing)
            rows |= _dials(measured, others, is_none[above])
            rows["quality_flag"], rows["quality_method"] = _quality(
                rows["quality_flag"], rows["quality_method"], measured.code, others
            )
            batches.append(("register_reads", register_batch(rows)))
        return batches


def _register(context: Context, code: pa.Array) -> pa.Array:
    """What was measured: the loop, the meter type or else the unit, and a role that is not additive."""
    register = pc.binary_join_element_wise(
        pc.fill_null(context.loop, ""), pc.coalesce(context.meter_type, code), ":"
    )
    role = pc.fill_null(context.meter_role, _ADDITIVE)
    is_plain = pc.equal(role, _ADDITIVE)
    if pc.all(is_plain).as_py():
        return register
    return pc.if_else(is_plain, register, pc.binary_join_element_wise(register, role, ":"))


def _numbers(segments: Segments, rows: Ints, element: int, exponent: Ints) -> tuple[Ints, BoolMask]:
    """Numbers scaled to their stored units, and which are none."""
    starts, ends = segments.span(rows, element)
    values, bad = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=bool)
    for one in np.unique(exponent).tolist():
        same = np.flatnonzero(exponent == one)
        values[same], bad[same] = parse_scaled(segments.view, starts[same], ends[same], SCALE + one)
    return values, bad


def _dials(measured: _Measured, which: Ints, is_none: BoolMask) -> dict[str, pa.Array]:
    """The dial reads of measurements by index, null for −1."""
    index = np.maximum(which, 0)
    missing = (which < 0) | is_none
    return {
        name: decimal_array(measured.values[place, index], VALUE, missing | ~measured.is_given[place, index])
        for place, name in ((1, "previous_read"), (2, "current_read"))
    }


def _quality(flag: pa.Array, method: pa.Array, code: pa.Array, which: Ints) -> tuple[pa.Array, pa.Array]:
    """The quality of dial reads where MEA01 says one and there is a value, else that of the quantity."""
    said = pc.if_else(
        pa.array(which < 0), pa.scalar(None, pa.string()), code.take(pa.array(np.maximum(which, 0)))
    )
    position = pc.index_in(said, pa.array(list(READ_QUALITY)))
    found = pa.array(list(READ_QUALITY.values())).take(position)
    found = pc.if_else(pc.equal(flag, "N"), pa.scalar(None, pa.string()), found)
    return pc.coalesce(found, flag), pc.if_else(found.is_valid(), said, method)


def _taken(columns: dict[str, pa.Array], rows: Ints) -> dict[str, pa.Array]:
    if np.array_equal(rows, np.arange(len(columns["_record_no"]))):
        return dict(columns)
    index = pa.array(rows)
    return {name: column.take(index) for name, column in columns.items()}
