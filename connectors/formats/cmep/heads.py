"""The fourteen leading fields of CMEP records, and what is wrong with them.

Belongs here: everything of a record but its triplets. Does not belong here: triplets (``triplets``), the
file around the records (``decoder``).
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.cmep.settings import CmepSettings, Unit, unit_named
from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.digits import parse_scaled
from connectors.formats.local_time import minute_labels
from connectors.formats.text_lines import Bytes, Fields, Ints
from connectors.formats.words import Words, eight_digits, text_keys, words_at

LEADING = 14
(SENDER_CUSTOMER, RECEIVER_CUSTOMER, STAMP, METER, PURPOSE, COMMODITY, UNITS, CONSTANT, INTERVAL, COUNT) = (
    3, 5, 6, 7, 8, 9, 10, 11, 12, 13,
)  # fmt: skip
_SERVICE_POINT = {
    "meter": METER,
    "receiver_customer": RECEIVER_CUSTOMER,
    "sender_customer": SENDER_CUSTOMER,
}
_MARK = np.frombuffer(b"MEPMD01,", dtype="<u8").astype(np.uint64)[0]
MOST_TRIPLETS = 1_000_000
MOST_CONSTANT = 10**9
CONSTANT_PLACES = 6

RULES = (
    "", "other_record", "bad_text", "field_count", "bad_count", "no_service_point", "other_purpose",
    "unknown_unit", "bad_constant", "bad_interval", "bad_update_time", "bad_time", "time_order",
    "bad_quality", "bad_value", "truncated",
)  # fmt: skip
CODE = {rule: code for code, rule in enumerate(RULES)}
REASONS = {
    "other_record": "the record is not MEPMD01",
    "bad_text": "a leading field holds characters beyond ASCII",
    "field_count": "the number of fields is not 14 and three times the count in field 14",
    "bad_count": "field 14 is not a count of triplets",
    "no_service_point": "the field that names the service point, or the meter id, is empty",
    "other_purpose": "the purpose in field 9 is none of those whose records are reads",
    "unknown_unit": "the unit in field 11 is not known; setting 'units' can tell what it is",
    "bad_constant": "the calculation constant is not a positive number of at most six decimals",
    "bad_interval": "the interval is not MMDDhhmm, or is zero where amounts need one",
    "bad_update_time": "the time stamp in field 7 is not a time of 12 or 14 digits",
    "bad_time": "a time is not one of 12 or 14 digits, never was in the time zone, or the first is empty",
    "time_order": "the times do not ascend; where one hour of autumn repeats, set 'time_zone'",
    "bad_quality": "a data quality flag is not a known letter with an optional number",
    "bad_value": "a value is missing, is no plain number, or does not fit into six decimals of its unit",
    "truncated": "the last line has no line end and may have been cut",
}


@dataclass
class Heads:
    """Leading fields of a run of lines; ``rule`` is the code of the first rule each broke, 0 for none."""

    fields: Fields
    rule: npt.NDArray[np.int8]
    count: Ints
    unit: Ints  # index into units
    units: list[Unit]
    register_id: pa.StringArray  # by unit
    months: Ints
    minutes: Ints
    constant: Ints  # millionths; 10**6 for one
    stamp: Ints
    has_stamp: BoolMask
    has_blanks: bool

    def fail(self, mask: BoolMask, rule: str) -> None:
        """Mark lines; an earlier finding stays."""
        self.rule[mask & (self.rule == 0)] = CODE[rule]

    def text(self, rows: Ints, index: int) -> pa.StringArray:
        """A leading field, without blanks and quotes around."""
        return pc.utf8_trim(self.fields.text(rows, index), ' "')

    def service_point(self, rows: Ints, settings: CmepSettings) -> pa.StringArray:
        """What the setting says the service point is."""
        return self.text(rows, _SERVICE_POINT[settings.service_point])


def read_heads(data: Bytes, start: Ints, end: Ints, settings: CmepSettings) -> Heads:
    """Read and check the leading fields of lines that follow each other in ``data``, which is padded."""
    fields = Fields(data, start, end)
    rows = np.arange(len(start))
    unit, units, register_id = _units(fields, rows, settings)
    count, bad_count = parse_scaled(data, *fields.trimmed(rows, COUNT), 0)
    bad_count |= (count < 0) | (count > MOST_TRIPLETS)
    count[bad_count] = 0
    months, minutes, bad_interval = _interval(data, *fields.trimmed(rows, INTERVAL))
    constant, bad_constant = _constant(fields, rows, settings)
    stamp_start, stamp_end = fields.trimmed(rows, STAMP)
    stamp, bad_stamp = minute_labels(data, stamp_start, stamp_end)
    no_stamp = stamp_end == stamp_start
    heads = Heads(
        fields, np.zeros(len(start), np.int8), count, unit, units, register_id,
        months, minutes, constant, stamp, ~no_stamp & ~bad_stamp,
        bool((data == ord(" ")).any() or (data == ord("\t")).any()),
    )  # fmt: skip
    heads.fail(~is_reading(data, start, end), "other_record")
    heads.fail(bad_count, "bad_count")
    heads.fail(~_has_length(fields, rows, count), "field_count")
    heads.fail(_beyond_ascii(data, start, fields.span(rows, INTERVAL)[1]), "bad_text")
    for text in (heads.service_point(rows, settings), heads.text(rows, METER)):
        heads.fail(as_mask(pc.equal(text, "")), "no_service_point")
    purposes = pa.array([purpose.upper() for purpose in settings.purposes])
    purpose = pc.utf8_upper(heads.text(rows, PURPOSE))
    heads.fail(~as_mask(pc.is_in(purpose, purposes)), "other_purpose")
    heads.fail(unit < 0, "unknown_unit")
    heads.fail(bad_constant, "bad_constant")
    is_register = np.array([one.is_register for one in units] or [False])[unit]
    needed = ~is_register & ((months + minutes) == 0)
    heads.fail(bad_interval | (needed & (count > 0)), "bad_interval")
    heads.fail(bad_stamp & ~no_stamp, "bad_update_time")
    return heads


def is_reading(data: Bytes, start: Ints, end: Ints) -> BoolMask:
    """Which lines are MEPMD01 records."""
    mask: BoolMask = (end - start >= 8) & (words_at(data, start) == _MARK)
    return mask


def channel_keys(heads: Heads, settings: CmepSettings) -> Words:
    """A key of service point and register of each line, equal for the dial and the amounts of a channel."""
    rows = np.arange(len(heads.rule))
    field = _SERVICE_POINT[settings.service_point]
    keys = text_keys(heads.fields.data, *heads.fields.trimmed(rows, field))
    names = np.array([crc32(text.as_py().encode()) for text in heads.register_id] or [0], dtype=np.uint64)
    return keys ^ (names[heads.unit] * np.uint64(0xC2B2AE3D27D4EB4F))


def _units(fields: Fields, rows: Ints, settings: CmepSettings) -> tuple[Ints, list[Unit], pa.StringArray]:
    """Which unit each line has (−1 for none that is known), the units, and their register ids."""
    both = [pc.utf8_upper(pc.utf8_trim(fields.text(rows, index), ' "')) for index in (COMMODITY, UNITS)]
    encoded = pc.binary_join_element_wise(*both, ",").dictionary_encode()
    units: list[Unit] = []
    registers: list[str] = []
    place = []
    for text in encoded.dictionary.to_pylist():
        commodity, code = text.split(",", 1)
        unit = unit_named(code, settings)
        place.append(-1 if unit is None else len(units))
        if unit is not None:
            units.append(unit)
            registers.append(f"{commodity}_{unit.base}" if commodity else unit.base)
    index = np.array(place, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
    return index, units, pa.array(registers, pa.string())


def _interval(data: Bytes, start: Ints, end: Ints) -> tuple[Ints, Ints, BoolMask]:
    """Months and minutes of MMDDhhmm, none where the field is empty, and which are something else."""
    empty = end == start
    right = end - start == 8
    value, bad = eight_digits(words_at(data, np.where(right, start, 0)))
    value = np.where(right & ~bad, value, 0)
    days, hours, minutes = value // 10_000 % 100, value // 100 % 100, value % 100
    return value // 1_000_000, (days * 24 + hours) * 60 + minutes, ~empty & (bad | ~right)


def _constant(fields: Fields, rows: Ints, settings: CmepSettings) -> tuple[Ints, BoolMask]:
    one = np.full(len(rows), 10**CONSTANT_PLACES, dtype=np.int64)
    if not settings.apply_constant:
        return one, np.zeros(len(rows), dtype=bool)
    start, end = fields.trimmed(rows, CONSTANT)
    value, bad = parse_scaled(fields.data, start, end, CONSTANT_PLACES)
    empty = start == end
    bad |= (value <= 0) | (value > MOST_CONSTANT * 10**CONSTANT_PLACES)
    return np.where(empty | bad, one, value), bad & ~empty


def _has_length(fields: Fields, rows: Ints, count: Ints) -> BoolMask:
    """Fourteen fields and three a triplet; behind them at most the commas a spreadsheet left."""
    wanted = LEADING + 3 * count
    spare = fields.count - wanted
    _, behind = fields.span(rows, wanted - 1)
    right: BoolMask = (spare >= 0) & (fields.end - behind == spare)
    return right


def _beyond_ascii(data: Bytes, start: Ints, end: Ints) -> BoolMask:
    """Lines with a byte beyond ASCII among their leading fields."""
    found = np.flatnonzero(data >= 0x80)
    mask: BoolMask = np.searchsorted(found, end) > np.searchsorted(found, start)
    return mask
