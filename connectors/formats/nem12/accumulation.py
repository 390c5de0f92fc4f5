"""NEM13 accumulation reads (250 records) to rows of ``register_reads``.

Belongs here: the fields of 250 records. Does not belong here: interval data; the file around them is
``nem12``'s.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.digits import decimal_array, parse_scaled
from connectors.formats.nem12.lines import Source
from connectors.formats.nem12.structure import QUALITY, Rules, as_timestamps, windows
from connectors.formats.nem12.times import time_field
from connectors.formats.reads import (
    OTHER_DIRECTION,
    REGISTER_READS,
    UNITS,
    UNKNOWN_UNIT,
    VALUE,
    register_batch,
)
from connectors.formats.text_lines import Fields, Ints

# The direction as seen from the grid: what is exported from it, the customer imports.
_DIRECTIONS = {"E": "import", "I": "export"}


class RegisterReads:
    """The 250 records of one file, as one table with the rule each row broke, if any."""

    def __init__(self, source: Source, offset_seconds: int) -> None:
        self.rows = np.flatnonzero(source.kind == 250)
        self.rules = Rules(len(self.rows))
        self._updated = np.full(len(self.rows), np.iinfo(np.int64).min)
        parts = []
        for low, high in windows(source):
            chosen = np.arange(np.searchsorted(self.rows, low), np.searchsorted(self.rows, high))
            if len(chosen):
                fields = Fields(source.data, source.lines.start[low:high], source.lines.end[low:high])
                lines = source.lines.line_no[self.rows[chosen]]
                parts.append(self._read(fields, chosen, self.rows[chosen] - low, lines, offset_seconds))
        self._table = pa.Table.from_batches(parts, REGISTER_READS)

    def superseded(self) -> BoolMask:
        """Reads replaced in this very file: same service point, register and current read, updated later."""
        good = np.flatnonzero(self.rules.is_ok)
        result = np.zeros(len(self.rows), dtype=bool)
        if not len(good):
            return result
        table = self._table.take(pa.array(good)).combine_chunks()
        codes = [
            table.column(name).combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
            for name in ("service_point_id", "register_id", "read_to_at")
        ]
        order = np.lexsort((good, self._updated[good], *codes))
        same = np.ones(max(len(order) - 1, 0), dtype=bool)
        for code in codes:
            same &= code[order][:-1] == code[order][1:]
        result[good[order[:-1][same]]] = True
        return result

    def batch(self, kept: BoolMask) -> pa.RecordBatch:
        """The rows to keep."""
        chosen = self._table.filter(pa.array(kept)).combine_chunks()
        batches = chosen.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], REGISTER_READS)

    def _read(
        self, fields: Fields, chosen: Ints, at: Ints, lines: Ints, offset_seconds: int
    ) -> pa.RecordBatch:
        rules = self.rules
        columns: dict[str, pa.Array] = {"_record_no": pa.array(lines)}
        rules.fail(chosen[fields.count[at] < 20], "field_count")
        columns["service_point_id"] = fields.text(at, 1)
        suffix = pc.utf8_upper(fields.text(at, 4))
        columns["register_id"] = pc.if_else(pc.equal(suffix, ""), fields.text(at, 3), suffix)
        columns["meter_serial"] = _null_if_empty(fields.text(at, 6))
        rules.fail(chosen[as_mask(pc.equal(columns["service_point_id"], ""))], "no_service_point")
        direction = pc.index_in(pc.utf8_upper(fields.text(at, 7)), pa.array(list(_DIRECTIONS)))
        columns["direction"] = pc.fill_null(
            pc.take(pa.array(list(_DIRECTIONS.values())), direction), OTHER_DIRECTION
        )
        declared = pc.utf8_upper(fields.text(at, 19))
        position = pc.index_in(declared, pa.array(list(UNITS)))
        units = pc.take(pa.array([unit for unit, _ in UNITS.values()]), position)
        columns["unit"] = pc.fill_null(units, UNKNOWN_UNIT)
        rules.fail(chosen[as_mask(pc.and_(position.is_null(), pc.not_equal(declared, "")))], "unknown_unit")
        exponents = np.array([exponent for _, exponent in UNITS.values()])
        exponent = np.where(as_mask(position.is_null()), 0, exponents[pc.fill_null(position, 0).to_numpy()])
        for name, index in (("read_from_at", 9), ("read_to_at", 14), ("updated_at", 21)):
            times, empty, bad = time_field(fields.data, *fields.trimmed(at, index), offset_seconds)
            rules.fail(chosen[bad], "bad_time")
            if name == "read_to_at":
                rules.fail(chosen[empty], "bad_time")
            if name == "updated_at":
                self._updated[chosen] = np.where(empty, np.iinfo(np.int64).min, times)
            columns[name] = as_timestamps(times, empty | bad)
        none = np.zeros(len(chosen), dtype=np.int64)
        for name, index, shift in (
            ("previous_read", 8, none), ("current_read", 13, none), ("quantity", 18, exponent)
        ):  # fmt: skip
            columns[name] = self._numbers(fields, chosen, at, index, shift)
        quality = pc.utf8_upper(fields.text(at, 15))
        rules.fail(chosen[~as_mask(pc.match_substring_regex(quality, QUALITY))], "bad_quality")
        columns["quality_flag"] = pc.utf8_slice_codeunits(quality, 0, 1)
        columns["quality_method"] = _null_if_empty(pc.utf8_slice_codeunits(quality, 1, 3))
        starts, ends = fields.trimmed(at, 16)
        codes, bad = parse_scaled(fields.data, starts, ends, 0)
        bad |= (codes < 0) | (codes > 2**31 - 1)
        rules.fail(chosen[bad & (ends > starts)], "bad_reason_code")
        columns["reason_code"] = pa.array(codes, mask=bad).cast(pa.int32(), safe=False)
        columns["reason_text"] = _null_if_empty(fields.text(at, 17))
        return register_batch(columns)

    def _numbers(self, fields: Fields, chosen: Ints, at: Ints, index: int, exponent: Ints) -> pa.Array:
        """A numeric field, empty as null; quantities may be negative, as corrections are."""
        starts, ends = fields.trimmed(at, index)
        values = np.zeros(len(chosen), dtype=np.int64)
        bad = np.zeros(len(chosen), dtype=bool)
        for one in np.unique(exponent):
            rows = np.flatnonzero(exponent == one)
            values[rows], bad[rows] = parse_scaled(fields.data, starts[rows], ends[rows], 6 + int(one))
        empty = ends == starts
        self.rules.fail(chosen[bad & ~empty], "bad_value")
        return decimal_array(values, VALUE, bad)


def _null_if_empty(text: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
