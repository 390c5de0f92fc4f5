"""Which rule each record of a stretch broke first, and how that is told.

Belongs here: the names of the rules and their reasons. Does not belong here: finding out; see ``structure``,
``reads`` and ``accumulation``.
"""

from __future__ import annotations

import numpy as np

from connectors.formats.columns import BoolMask
from connectors.formats.text_lines import Ints

_REASONS = {
    "orphan": "no record before it that it could belong to",
    "parent_quarantined": "the record it belongs to is in quarantine",
    "no_service_point": "the NMI is empty",
    "no_register": "neither NMI suffix nor register id is given",
    "bad_interval_length": "the interval length is not a whole part of a day",
    "unknown_unit": "the unit of measure is not known",
    "field_count": "the number of fields is not that of the record",
    "bad_date": "the date is not a day of the calendar",
    "bad_quality": "the quality is not one of A E F N S V with an optional two-digit method",
    "bad_reason_code": "the reason code is not a whole number",
    "bad_update_time": "the update time is not a time of 14 digits",
    "bad_time": "a read or update time is missing or not a time of 14 digits",
    "bad_value": "a value is not a plain number of at most 6 decimals",
    "quality_ranges": "quality V, but its 400 records do not cover every interval once",
    "bad_range": "start and end are not intervals of the day",
    "range_without_v": "its 300 record does not have quality V",
    "unknown_record": "the line is no known record and continues none",
}
_NAMES = ("", *_REASONS)
_CODES = {name: code for code, name in enumerate(_NAMES)}


def reason(rule: str) -> str:
    """What a rule says of the record that broke it."""
    return _REASONS[rule]


class Rules:
    """For each record of one kind the first rule it broke. The reason is worked out when it is told."""

    def __init__(self, count: int) -> None:
        self._codes = np.zeros(count, dtype=np.int8)

    def __len__(self) -> int:
        return len(self._codes)

    def fail(self, mask: BoolMask, rule: str) -> None:
        """Mark the records of a mask; an earlier finding stays."""
        if mask.any():
            self._codes[mask & (self._codes == 0)] = _CODES[rule]

    def fail_rows(self, rows: Ints, rule: str) -> None:
        """Mark records by index; an earlier finding stays."""
        self._codes[rows[self._codes[rows] == 0]] = _CODES[rule]

    @property
    def is_ok(self) -> BoolMask:
        """Records no rule was broken by."""
        return self._codes == 0

    def broken(self) -> list[tuple[int, str]]:
        """Index and rule of every record that broke one."""
        return [(int(index), _NAMES[self._codes[index]]) for index in np.flatnonzero(self._codes)]
