"""NEM13 accumulation reads (250 records) to rows of ``register_reads``.

Belongs here: the fields of 250 records. Does not belong here: interval data (``structure``, ``reads``), and
which read supersedes which (``corrections``).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.digits import decimal_array, parse_scaled
from connectors.formats.nem12.identity import channel_names
from connectors.formats.nem12.lines import Source
from connectors.formats.nem12.rules import Rules
from connectors.formats.nem12.structure import as_timestamps, null_if_empty, quality_flags
from connectors.formats.nem12.times import time_field
from connectors.formats.reads import OTHER_DIRECTION, SCALE, UNITS, UNKNOWN_UNIT, VALUE, register_batch
from connectors.formats.text_lines import Fields, Ints

NEVER = np.iinfo(np.int64).min
# The direction as seen from the grid: what is exported from it, the customer imports.
_DIRECTIONS = {"E": "import", "I": "export"}


class RegisterReads:
    """The 250 records of a stretch, with the rule each broke, if any.

    ``read_at`` and ``updated`` are UTC microseconds, :data:`NEVER` for an update time that is not given.
    """

    def __init__(self, source: Source, fields: Fields, offset_seconds: int) -> None:
        self.rows = np.flatnonzero(source.kind == 250)
        self.rules = Rules(len(self.rows))
        self._fields = fields
        self._columns: dict[str, pa.Array] = {"_record_no": pa.array(source.lines.line_no[self.rows])}
        self.rules.fail(fields.count[self.rows] < 20, "field_count")
        self._read_names()
        exponent = self._read_unit()
        self._read_times(offset_seconds)
        none = np.zeros(len(self.rows), dtype=np.int64)
        for name, index, shift in (
            ("previous_read", 8, none), ("current_read", 13, none), ("quantity", 18, exponent)
        ):  # fmt: skip
            self._columns[name] = self._numbers(index, SCALE + shift)
        self._read_quality()

    @property
    def service_point(self) -> pa.StringArray:
        """NMI of each read."""
        return self._columns["service_point_id"]

    @property
    def register(self) -> pa.StringArray:
        """NMI suffix of each read, or its register id where it has none."""
        return self._columns["register_id"]

    def batch(self, kept: BoolMask) -> pa.RecordBatch:
        """The rows to keep."""
        return register_batch(self._columns).filter(pa.array(kept))

    def _read_names(self) -> None:
        service_point, register, _ = channel_names(self._fields, self.rows)
        self._columns |= {"service_point_id": service_point, "register_id": register}
        self._columns["meter_serial"] = null_if_empty(self._text(6))
        self.rules.fail(as_mask(pc.equal(self.service_point, "")), "no_service_point")
        direction = pc.index_in(pc.utf8_upper(self._text(7)), pa.array(list(_DIRECTIONS)))
        known = pc.take(pa.array(list(_DIRECTIONS.values())), direction)
        self._columns["direction"] = pc.fill_null(known, OTHER_DIRECTION)

    def _read_unit(self) -> Ints:
        """The unit; returns the power of ten to it from the declared one."""
        declared = pc.utf8_upper(self._text(19))
        position = pc.index_in(declared, pa.array(list(UNITS)))
        units = pc.take(pa.array([unit for unit, _ in UNITS.values()]), position)
        self._columns["unit"] = pc.fill_null(units, UNKNOWN_UNIT)
        unknown = as_mask(position.is_null())
        self.rules.fail(unknown & as_mask(pc.not_equal(declared, "")), "unknown_unit")
        exponents = np.array([exponent for _, exponent in UNITS.values()])
        return np.where(unknown, 0, exponents[pc.fill_null(position, 0).to_numpy()])

    def _read_times(self, offset_seconds: int) -> None:
        for name, index in (("read_from_at", 9), ("read_to_at", 14), ("updated_at", 21)):
            times, empty, bad = time_field(
                self._fields.data, *self._fields.trimmed(self.rows, index), offset_seconds
            )
            self.rules.fail(bad, "bad_time")
            if name == "read_to_at":
                self.rules.fail(empty, "bad_time")
                self.read_at = times
            if name == "updated_at":
                self.updated = np.where(empty, NEVER, times)
            self._columns[name] = as_timestamps(times, empty | bad)

    def _read_quality(self) -> None:
        columns = self._columns
        columns["quality_flag"], columns["quality_method"], bad_quality = quality_flags(self._text(15))
        self.rules.fail(bad_quality, "bad_quality")
        starts, ends = self._fields.trimmed(self.rows, 16)
        codes, bad = parse_scaled(self._fields.data, starts, ends, 0)
        bad |= (codes < 0) | (codes > 2**31 - 1)
        self.rules.fail(bad & (ends > starts), "bad_reason_code")
        columns["reason_code"] = pa.array(codes.astype(np.int32), mask=bad)
        columns["reason_text"] = null_if_empty(self._text(17))

    def _numbers(self, index: int, scale: Ints) -> pa.Array:
        """A numeric field, empty as null; quantities may be negative, as corrections are."""
        starts, ends = self._fields.trimmed(self.rows, index)
        values, bad = parse_scaled(self._fields.data, starts, ends, scale)
        self.rules.fail(bad & (ends > starts), "bad_value")
        return decimal_array(values, VALUE, bad)

    def _text(self, index: int) -> pa.StringArray:
        return self._fields.text(self.rows, index)
