"""Dates and times of NEM12: eight, twelve or fourteen digits of market time.

Belongs here: digits → days and UTC microseconds, with what is no date marked. Does not belong here: which
field holds a time.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from connectors.formats.base import SettingsError
from connectors.formats.columns import BoolMask
from connectors.formats.digits import combine_digits
from connectors.formats.text_lines import Bytes, Ints, fixed_digits

MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
_OFFSET = re.compile(r"^([+-])(\d{2}):?(\d{2})$")


def parse_offset(text: str) -> int:
    """Seconds east of UTC of ``+10:00``; raises :class:`SettingsError` for anything else."""
    match = _OFFSET.match(text.strip())
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        raise SettingsError(f"format nem12: setting 'utc_offset': '{text}' is not an offset such as +10:00")
    seconds = int(match[2]) * 3600 + int(match[3]) * 60
    return -seconds if match[1] == "-" else seconds


def days(digits: Bytes) -> tuple[Ints, BoolMask]:
    """Days since 1970 of rows of ``yyyymmdd`` digits, and which are no day."""
    year, month, day = (combine_digits(digits[a:b], 10) for a, b in ((0, 4), (4, 6), (6, 8)))
    bad = (month < 1) | (month > 12) | (year < 1900)
    months = np.where(bad, 0, (year - 1970) * 12 + month - 1)
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    following = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    bad = bad | (day < 1) | (day > following - first)
    return np.where(bad, 0, first + day - 1), bad


def date_field(data: Bytes, starts: Ints, ends: Ints) -> tuple[Ints, BoolMask]:
    """Days since 1970 of spans of eight digits, and which are no date."""
    digits, bad = fixed_digits(data, starts, ends, 8)
    values, impossible = days(digits)
    return values, bad | impossible


def time_field(
    data: Bytes, starts: Ints, ends: Ints, offset_seconds: int
) -> tuple[Ints, BoolMask, npt.NDArray[np.bool_]]:
    """UTC microseconds of spans of 14 digits (12 and 8 are taken too, as real files have them).

    Returns the values, the mask of empty ones and the mask of those that are no time.
    """
    lengths = ends - starts
    empty: BoolMask = lengths == 0
    digits = np.zeros((14, len(starts)), dtype=np.uint8)
    bad = ~empty
    for width in (8, 12, 14):
        rows = np.flatnonzero(lengths == width)
        if len(rows):
            found, wrong = fixed_digits(data, starts[rows], ends[rows], width)
            digits[:width, rows] = found
            bad[rows] = wrong
    date, impossible = days(digits[:8])
    hour, minute, second = (combine_digits(digits[a : a + 2], 10) for a in (8, 10, 12))
    bad |= ~empty & (impossible | (hour > 23) | (minute > 59) | (second > 59))
    values = date * DAY + ((hour * 60 + minute) * 60 + second - offset_seconds) * MICROSECONDS
    return np.where(empty | bad, 0, values), empty, bad
