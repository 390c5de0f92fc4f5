"""EDIFACT syntax (ISO 9735): the service string advice, envelopes, times.

Belongs here: what every EDIFACT message shares. Does not belong here: what MSCONS says with it.
"""

from __future__ import annotations

import numpy as np

from connectors.formats.base import RefusedFile
from connectors.formats.columns import BoolMask
from connectors.formats.segments.envelope import Envelope, Level
from connectors.formats.segments.scan import Delimiters, Segments
from connectors.formats.segments.times import MICROSECONDS, TimeZone, plain_times
from connectors.formats.text_lines import Ints, fixed_digits

_DEFAULTS = Delimiters(*b":+'?")
_UNA_BYTES = 9
# Format qualifier (DE 2379) to the digits of its time; those with a zone have an offset behind them.
_PLAIN = {"102": 8, "203": 12, "204": 14}
_ZONED = {"303": 12, "304": 14}
FORMATS = (*_PLAIN, *_ZONED)
PERIOD_FORMATS = ("719", "Z13")
"""Two times of twelve digits, one after the other."""


class EdifactSyntax:
    """Where an interchange begins, and with which delimiters."""

    end_tag = "UNZ"

    def delimiters(self, data: bytes, is_all: bool) -> Delimiters | None:
        """Those of UNA, or the standard's where there is none; see :class:`Syntax`.

        A UNA that gives a space as release character says that there is none.
        """
        if data[:3] == b"UNB":
            return _DEFAULTS
        if len(data) < (_UNA_BYTES if data[:3] == b"UNA" else 3) and not is_all:
            return None
        if data[:3] != b"UNA" or len(data) < _UNA_BYTES:
            raise RefusedFile("an EDIFACT interchange begins with UNA or UNB, and here is neither")
        component, element, mark, release, _, segment = data[3:_UNA_BYTES]
        used = [component, element, mark, segment] + ([] if release == 0x20 else [release])
        is_plain = any(bytes([one]).isalnum() or one in b"-" or one >= 0x80 for one in used)
        if len(set(used)) < len(used) or is_plain or 0x20 in used:
            raise RefusedFile("the UNA segment does not give distinct delimiters")
        return Delimiters(component, element, segment, None if release == 0x20 else release, mark)


def envelope(name: str) -> Envelope:
    """UNB, UNG where there are groups, UNH; UNT counts segments, UNE messages, UNZ groups or messages."""
    levels = (Level("UNB", "UNZ", 5), Level("UNG", "UNE", 5), Level("UNH", "UNT", 1))
    return Envelope(levels, name, between=("UNA",))


def read_times(segments: Segments, rows: Ints, zone: TimeZone) -> tuple[Ints, Ints, BoolMask]:
    """The times of DTM segments in UTC microseconds, as the first and the second pass of a repeated hour.

    And which of them are no time. A time without format qualifier is taken by its length.
    """
    value = segments.composite(rows, 1)
    starts, ends = value.span(1)
    format = value.equals(FORMATS, 2)
    has_format = np.greater(*reversed(value.span(2)))
    first = np.zeros(len(rows), dtype=np.int64)
    second = first.copy()
    bad = np.ones(len(rows), dtype=bool)
    is_zoned = format >= len(_PLAIN)
    zoned = np.flatnonzero(is_zoned)
    if len(zoned):
        widths = np.array([0] * len(_PLAIN) + list(_ZONED.values()))[format[zoned]]
        utc, wrong = _zoned(segments, starts[zoned], ends[zoned], widths)
        first[zoned] = second[zoned] = utc
        bad[zoned] = wrong
    plain = np.flatnonzero(~is_zoned & ((format >= 0) | ~has_format))
    if len(plain):
        expected = np.array([*_PLAIN.values(), 0])[np.where(format[plain] >= 0, format[plain], -1)]
        fits = (expected == 0) | (ends[plain] - starts[plain] == expected)
        local, wrong = plain_times(
            segments.view, starts[plain], np.where(fits, ends[plain], starts[plain]), (8, 12, 14)
        )
        early, late, absent = zone.to_utc(local)
        first[plain], second[plain], bad[plain] = early, late, wrong | absent
    return first, second, bad


def read_periods(segments: Segments, rows: Ints, zone: TimeZone) -> tuple[Ints, Ints, Ints, Ints, BoolMask]:
    """Both times of a period, each as first and second pass, and which are no period."""
    starts, ends = segments.span(rows, 1, 1)
    fits = (ends - starts == 24) & (segments.equals(rows, PERIOD_FORMATS, 1, 2) >= 0)
    ends = np.where(fits, ends, starts)
    middle = np.where(fits, starts + 12, starts)
    from_local, bad_from = plain_times(segments.view, starts, middle, (12,))
    to_local, bad_to = plain_times(segments.view, middle, ends, (12,))
    early_from, late_from, absent_from = zone.to_utc(from_local)
    early_to, late_to, absent_to = zone.to_utc(to_local)
    bad = bad_from | bad_to | absent_from | absent_to
    return early_from, late_from, early_to, late_to, bad


def _zoned(segments: Segments, starts: Ints, ends: Ints, widths: Ints) -> tuple[Ints, BoolMask]:
    """UTC microseconds of times with an offset behind their ``widths`` digits: ±hh or ±hhmm."""
    view, most = segments.view, len(segments.view) - 1
    behind = np.minimum(starts + widths, ends)
    local = np.zeros(len(starts), dtype=np.int64)
    bad = np.ones(len(starts), dtype=bool)
    for width in _ZONED.values():
        rows = np.flatnonzero(widths == width)
        local[rows], bad[rows] = plain_times(view, starts[rows], behind[rows], (width,))
    if segments.delimiters.release is not None:
        behind = behind + ((behind < ends) & (view[np.minimum(behind, most)] == segments.delimiters.release))
    sign = np.where(behind < ends, view[np.minimum(behind, most)], 0)
    bad |= (sign != ord("+")) & (sign != ord("-"))
    length = ends - behind - 1
    offset = np.zeros(len(starts), dtype=np.int64)
    known = np.zeros(len(starts), dtype=bool)
    for width in (2, 4):
        rows = np.flatnonzero(length == width)
        if len(rows):
            digits, wrong = fixed_digits(view, behind[rows] + 1, ends[rows], width)
            number = digits.astype(np.int64)
            minutes = number[2] * 10 + number[3] if width == 4 else 0
            offset[rows] = ((number[0] * 10 + number[1]) * 60 + minutes) * 60
            known[rows] = ~wrong & (offset[rows] <= 14 * 3600)
    bad |= ~known
    return np.where(bad, 0, local - np.where(sign == ord("-"), -offset, offset) * MICROSECONDS), bad
