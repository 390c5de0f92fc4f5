"""The fourteen leading fields of CMEP records, and what is wrong with them.

Belongs here: everything of a record but its triplets. Does not belong here: triplets (``triplets``), the
file around the records (``decoder``).
"""

from __future__ import annotations

from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.cmep.settings import CmepSettings, Unit, unit_named
from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.local_time import minute_labels
from connectors.formats.text_lines import Bytes, Fields, Ints, strings, trim
from connectors.formats.words import Words, decimals, eight_digits, text_keys, words_at

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


class Heads:
    """Leading fields of a run of lines; ``rule`` is the code of the first rule each broke, 0 for none.

    The lines follow each other in ``data``, which is padded.
    """

    def __init__(self, data: Bytes, start: Ints, end: Ints, settings: CmepSettings) -> None:
        self.data, self.start, self.end = data, start, end
        self.fields = Fields(data, start, end)
        self.rule: npt.NDArray[np.int8] = np.zeros(len(start), dtype=np.int8)
        self.has_blanks = bool((data == ord(" ")).any() or (data == ord("\t")).any())
        self._has_quotes = bool((data == ord('"')).any())
        self._edges = self._find_edges()
        self._texts: dict[int, pa.StringArray] = {}
        self._settings = settings
        self._read()

    def _read(self) -> None:
        data, settings = self.data, self._settings
        self.unit, self.units, self.register_id = self._units()
        self.count, bad_count = decimals(data, *self.span(COUNT), 0)
        bad_count |= (self.count < 0) | (self.count > MOST_TRIPLETS)
        self.count[bad_count] = 0
        self.months, self.minutes, bad_interval = _interval(data, *self.span(INTERVAL))
        self.constant, bad_constant = self._constants()
        stamp_start, stamp_end = self.span(STAMP)
        self.stamp, bad_stamp = minute_labels(data, stamp_start, stamp_end)
        no_stamp = stamp_end == stamp_start
        self.has_stamp = ~no_stamp & ~bad_stamp
        self.fail(~is_reading(data, self.start, self.end), "other_record")
        self.fail(self.fields.count < LEADING, "field_count")
        self.fail(bad_count, "bad_count")
        self.fail(~self._has_length(), "field_count")
        if data.max(initial=0) >= 0x80:
            self.fail(_beyond_ascii(data, self.start, self.span(COUNT)[1]), "bad_text")
        for text in (self.service_point, self.text(METER)):
            self.fail(as_mask(pc.equal(text, "")), "no_service_point")
        purposes = pa.array([purpose.upper() for purpose in settings.purposes])
        self.fail(~as_mask(pc.is_in(pc.utf8_upper(self.text(PURPOSE)), purposes)), "other_purpose")
        self.fail(self.unit < 0, "unknown_unit")
        self.fail(bad_constant, "bad_constant")
        needed = ~self.is_register & ((self.months + self.minutes) == 0)
        self.fail(bad_interval | (needed & (self.count > 0)), "bad_interval")
        self.fail(bad_stamp & ~no_stamp, "bad_update_time")

    @property
    def is_register(self) -> BoolMask:
        """Lines whose values are reads of a dial."""
        return np.array([one.is_register for one in self.units] or [False])[self.unit]

    @property
    def service_point(self) -> pa.StringArray:
        """What the setting says the service point is."""
        return self.text(_SERVICE_POINT[self._settings.service_point])

    def fail(self, mask: BoolMask, rule: str) -> None:
        """Mark lines; an earlier finding stays."""
        self.rule[mask & (self.rule == 0)] = CODE[rule]

    def span(self, index: int) -> tuple[Ints, Ints]:
        """Start and end of a leading field, without blanks around; empty where the line is shorter."""
        end = self._edges[index + 1]
        start = np.minimum(self._edges[index] + 1, end)
        return trim(self.data, start, end) if self.has_blanks else (start, end)

    def text(self, index: int) -> pa.StringArray:
        """A leading field, without blanks and quotes around."""
        if index not in self._texts:
            text = strings(self.data, *self.span(index))
            self._texts[index] = pc.utf8_trim(text, ' "') if self._has_quotes else text
        return self._texts[index]

    def channel_keys(self) -> Words:
        """A key of service point and register of each line, equal for a dial and its amounts."""
        keys = text_keys(self.data, *self.span(_SERVICE_POINT[self._settings.service_point]))
        names = np.array([crc32(text.as_py().encode()) for text in self.register_id] or [0], dtype=np.uint64)
        return keys ^ (names[self.unit] * np.uint64(0xC2B2AE3D27D4EB4F))

    def _find_edges(self) -> npt.NDArray[np.int64]:
        """The places before and behind each leading field ``(15, lines)``, or the line's end."""
        rows = np.arange(len(self.start))
        found = np.minimum(self.fields.count - 1, LEADING)
        commas = self.fields.commas(rows, rows * 0, found)
        if (found == LEADING).all():
            return np.concatenate([self.start[None, :] - 1, commas.reshape(len(rows), LEADING).T])
        edges = np.repeat(self.end[None, :], LEADING + 1, axis=0)
        edges[0] = self.start - 1
        place = np.arange(len(commas)) - np.repeat(np.cumsum(found) - found, found)
        edges[place + 1, np.repeat(rows, found)] = commas
        return edges

    def _units(self) -> tuple[Ints, list[Unit], pa.StringArray]:
        """Which unit each line has (−1 for none that is known), the units, and their register ids."""
        start, _ = self.span(COMMODITY)
        encoded = strings(self.data, start, np.maximum(self.span(UNITS)[1], start)).dictionary_encode()
        units: list[Unit] = []
        registers: list[str] = []
        place = []
        for text in encoded.dictionary.to_pylist():
            commodity, _, code = (part.strip(' \t"') for part in text.upper().partition(","))
            unit = unit_named(code, self._settings)
            place.append(-1 if unit is None else len(units))
            if unit is not None:
                units.append(unit)
                registers.append(f"{commodity}_{unit.base}" if commodity else unit.base)
        index = np.array(place, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
        return index, units, pa.array(registers, pa.string())

    def _constants(self) -> tuple[Ints, BoolMask]:
        """Calculation constants in millionths, and which are none."""
        one = np.full(len(self.start), 10**CONSTANT_PLACES, dtype=np.int64)
        if not self._settings.apply_constant:
            return one, np.zeros(len(one), dtype=bool)
        start, end = self.span(CONSTANT)
        value, bad = decimals(self.data, start, end, CONSTANT_PLACES)
        empty = start == end
        bad |= (value <= 0) | (value > MOST_CONSTANT * 10**CONSTANT_PLACES)
        return np.where(empty | bad, one, value), bad & ~empty

    def _has_length(self) -> BoolMask:
        """Fourteen fields and three a triplet; behind them at most the commas a spreadsheet left."""
        wanted = LEADING + 3 * self.count
        spare = self.fields.count - wanted
        if not spare.any():
            return np.ones(len(spare), dtype=bool)
        _, behind = self.fields.span(np.arange(len(spare)), wanted - 1)
        right: BoolMask = (spare >= 0) & (self.end - behind == spare)
        return right


def is_reading(data: Bytes, start: Ints, end: Ints) -> BoolMask:
    """Which lines are MEPMD01 records."""
    mask: BoolMask = (end - start >= 8) & (words_at(data, start) == _MARK)
    return mask


def _interval(data: Bytes, start: Ints, end: Ints) -> tuple[Ints, Ints, BoolMask]:
    """Months and minutes of MMDDhhmm, none where the field is empty, and which are something else."""
    empty = end == start
    right = end - start == 8
    value, bad = eight_digits(words_at(data, np.where(right, start, 0)))
    value = np.where(right & ~bad, value, 0)
    days, hours, minutes = value // 10_000 % 100, value // 100 % 100, value % 100
    return value // 1_000_000, (days * 24 + hours) * 60 + minutes, ~empty & (bad | ~right)


def _beyond_ascii(data: Bytes, start: Ints, end: Ints) -> BoolMask:
    """Lines with a byte beyond ASCII among their leading fields."""
    found = np.flatnonzero(data >= 0x80)
    mask: BoolMask = np.searchsorted(found, end) > np.searchsorted(found, start)
    return mask
