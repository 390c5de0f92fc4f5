"""X12 syntax: the interchange header, envelopes, dates.

Belongs here: what every transaction set shares. Does not belong here: what a set says with it.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import RefusedFile
from connectors.formats.columns import BoolMask
from connectors.formats.segments.envelope import Envelope, Level
from connectors.formats.segments.scan import Delimiters, Segments
from connectors.formats.segments.times import MICROSECONDS, TimeZone, digits_to_local, plain_times
from connectors.formats.text_lines import Ints, fixed_digits

_ISA_ELEMENTS = 16
_LONGEST_ISA = 512
# Time codes with an offset in hours; the others are local time.
_OFFSETS = {
    "UT": 0, "GM": 0, "AS": -4, "AD": -3, "ES": -5, "ED": -4, "CS": -6, "CD": -5, "MS": -7, "MD": -6,
    "PS": -8, "PD": -7, "TS": -9, "TD": -8, "HS": -10, "HD": -9,
}  # fmt: skip
_LOCAL = ("LT", "AT", "ET", "CT", "MT", "PT", "TT", "HT")
TIME_CODES = (*_OFFSETS, *_LOCAL)


class X12Syntax:
    """Where an interchange begins, and with which delimiters."""

    end_tag = "IEA"

    def delimiters(self, data: bytes, is_all: bool) -> Delimiters | None:
        """Those of ISA, found by its sixteen elements: senders who pad them wrongly are read all the same.

        See :class:`connectors.formats.segments.stream.Syntax`.
        """
        if data[:3] != b"ISA"[: len(data)]:
            raise RefusedFile("an X12 interchange begins with ISA, and here is something else")
        parts = data[:_LONGEST_ISA].split(data[3:4], _ISA_ELEMENTS) if len(data) > 3 else []
        if len(parts) <= _ISA_ELEMENTS or len(parts[-1]) < 2:
            if is_all or len(data) >= _LONGEST_ISA:
                raise RefusedFile("the ISA segment does not have sixteen elements")
            return None
        used = (data[3], parts[-1][0], parts[-1][1])
        if len(set(used)) < 3 or any(bytes([one]).isalnum() or one in b" .-" or one >= 0x80 for one in used):
            raise RefusedFile("the ISA segment does not give distinct delimiters")
        element, component, segment = used
        return Delimiters(component, element, segment)


def envelope(name: str) -> Envelope:
    """ISA, GS, ST; SE counts segments, GE transaction sets, IEA groups."""
    levels = (Level("ISA", "IEA", 13), Level("GS", "GE", 6), Level("ST", "SE", 2))
    return Envelope(levels, name, beside=("TA1",), needs_groups=True)


def read_times(
    segments: Segments, rows: Ints, zone: TimeZone, elements: tuple[int, int, int], *, is_2359: bool = False
) -> tuple[Ints, Ints, BoolMask]:
    """UTC microseconds of a date, a time and a time code in the given elements, and which are no time.

    As the first and the second pass of a repeated hour. Without a time it is midnight, without a code local
    time. Where the date is empty, the text two elements behind the code counts (D8 or DT of DTM06).
    ``is_2359``: the last minute of a day stands for its end.
    """
    view = segments.view
    date_at, date_end = segments.span(rows, elements[0])
    time_at, time_end = segments.span(rows, elements[1])
    digits = np.zeros((14, len(rows)), dtype=np.uint8)
    digits[:8], bad = fixed_digits(view, date_at, date_end, 8)
    length = time_end - time_at
    wrong = length > 0
    for width in (4, 6, 8):
        chosen = np.flatnonzero(length == width)
        if len(chosen):
            found, odd = fixed_digits(view, time_at[chosen], time_end[chosen], width)
            digits[8 : 8 + min(width, 6), chosen] = found[:6]
            wrong[chosen] = odd
    local, impossible = digits_to_local(digits)
    bad |= wrong | impossible
    elsewhere = np.flatnonzero(date_end == date_at)
    if len(elsewhere):
        starts, ends = segments.span(rows[elsewhere], elements[2] + 2)
        local[elsewhere], bad[elsewhere] = plain_times(view, starts, ends, (8, 12))
    if is_2359:
        minute = local // (60 * MICROSECONDS)
        local = np.where(minute % 1440 == 1439, (minute + 1) * 60 * MICROSECONDS, local)
    code_at, code_end = segments.span(rows, elements[2])
    code = segments.equals(rows, TIME_CODES, elements[2])
    bad |= (code < 0) & (code_end > code_at)
    first, second, absent = zone.to_utc(local)
    has_offset = (code >= 0) & (code < len(_OFFSETS))
    hours = np.array([*_OFFSETS.values(), 0])[np.where(has_offset, code, -1)]
    utc = local - hours * 3600 * MICROSECONDS
    bad |= absent & ~has_offset
    return np.where(has_offset, utc, first), np.where(has_offset, utc, second), bad


def reference(segments: Segments, rows: Ints, encoding: str) -> pa.StringArray:
    """What REF segments refer to: the second element, or the third where the second is empty."""
    second, third = segments.element_text(rows, 2, encoding), segments.element_text(rows, 3, encoding)
    return pc.if_else(pc.equal(second, ""), third, second)
