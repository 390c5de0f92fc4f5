"""The structure of a NEM12 file: channels (200), days (300), quality ranges (400) as columns.

Belongs here: reading every field but the interval values, and finding what is wrong with it. Does not belong
here: the values themselves (``reads``), accumulation reads (``accumulation``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.digits import parse_scaled
from connectors.formats.nem12.lines import Source
from connectors.formats.nem12.times import date_field, time_field
from connectors.formats.reads import OTHER_DIRECTION, UNITS, UNKNOWN_UNIT
from connectors.formats.text_lines import Fields, Ints

WINDOW_BYTES = 4 * 1024 * 1024

_DIRECTIONS = {"E": "import", "B": "export", "Q": "reactive_import", "K": "reactive_export"}
_IMPLIED_UNITS = {"E": "kWh", "B": "kWh", "Q": "kvarh", "K": "kvarh"}
QUALITY = r"^[AEFNSV]\d{0,2}$"


class Rules:
    """For each record of one kind the first rule it broke, by name.

    The reason is worked out when it is told.
    """

    def __init__(self, count: int) -> None:
        self.name = np.full(count, "", dtype=object)

    def fail(self, rows: Ints, rule: str) -> None:
        """Mark rows; an earlier finding stays."""
        fresh = rows[self.name[rows] == ""]
        self.name[fresh] = rule

    @property
    def is_ok(self) -> BoolMask:
        """Rows no rule was broken by."""
        ok: BoolMask = self.name == ""
        return ok


@dataclass
class Quality:
    """Quality columns of 300 and 400 records."""

    flag: list[pa.Array] = field(default_factory=list)
    method: list[pa.Array] = field(default_factory=list)
    reason_code: list[pa.Array] = field(default_factory=list)
    reason_text: list[pa.Array] = field(default_factory=list)

    def add(self, fields: Fields, rows: Ints, at: Ints | int) -> tuple[BoolMask, BoolMask]:
        """Take the three quality fields from ``at`` on.

        Returns the masks of bad qualities and bad reasons.
        """
        quality = pc.utf8_upper(fields.text(rows, at))
        bad_quality = ~as_mask(pc.match_substring_regex(quality, QUALITY))
        self.flag.append(pc.utf8_slice_codeunits(quality, 0, 1))
        method = pc.utf8_slice_codeunits(quality, 1, 3)
        self.method.append(_null_if_empty(method))
        starts, ends = fields.trimmed(rows, at + 1)
        codes, wrong = parse_scaled(fields.data, starts, ends, 0)
        empty = ends == starts
        bad_reason = ~empty & (wrong | (codes < 0) | (codes > 2**31 - 1))
        self.reason_code.append(pa.array(codes, mask=empty | bad_reason).cast(pa.int32(), safe=False))
        self.reason_text.append(_null_if_empty(fields.text(rows, at + 2)))
        return bad_quality, bad_reason


def _null_if_empty(text: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


@dataclass
class Channels:
    """200 records."""

    rows: Ints
    rules: Rules
    count: Ints  # values a day
    exponent: Ints
    service_point: list[pa.Array] = field(default_factory=list)
    register: list[pa.Array] = field(default_factory=list)
    serial: list[pa.Array] = field(default_factory=list)
    direction: list[pa.Array] = field(default_factory=list)
    unit: list[pa.Array] = field(default_factory=list)


@dataclass
class Days:
    """300 records. ``owner`` indexes the channels, −1 without one."""

    rows: Ints
    rules: Rules
    owner: Ints
    field_count: Ints
    day: Ints
    updated: Ints
    has_updated: BoolMask
    quality: Quality = field(default_factory=Quality)


@dataclass
class Ranges:
    """400 records. ``owner`` indexes the days, −1 where no 300 record of the same channel precedes."""

    rows: Ints
    rules: Rules
    owner: Ints
    first: Ints
    last: Ints
    quality: Quality = field(default_factory=Quality)


@dataclass
class Structure:
    """Everything but values. Events (500) follow a day as ranges do; nothing of theirs is kept."""

    channels: Channels
    days: Days
    ranges: Ranges
    events: Ints
    event_owner: Ints


def read_structure(source: Source, offset_seconds: int) -> Structure:
    """Read all 200, 300, 400 and 500 records."""
    kind = source.kind
    rows = {k: np.flatnonzero(kind == k) for k in (200, 300, 400, 500)}
    channels = Channels(
        rows[200],
        Rules(len(rows[200])),
        np.zeros(len(rows[200]), np.int64),
        np.zeros(len(rows[200]), np.int64),
    )
    n_days = len(rows[300])
    days = Days(
        rows[300],
        Rules(n_days),
        np.searchsorted(rows[200], rows[300]) - 1,
        field_count=np.zeros(n_days, np.int64),
        day=np.zeros(n_days, np.int64),
        updated=np.zeros(n_days, np.int64),
        has_updated=np.zeros(n_days, bool),
    )
    ranges = Ranges(
        rows[400],
        Rules(len(rows[400])),
        _owner_of(rows, rows[400]),
        np.zeros(len(rows[400]), np.int64),
        np.zeros(len(rows[400]), np.int64),
    )
    for low, high in windows(source):
        fields = Fields(source.data, source.lines.start[low:high], source.lines.end[low:high])
        _read_channels(channels, fields, low, high)
        _read_days(days, channels, fields, low, high, offset_seconds)
        _read_ranges(ranges, days, channels, fields, low, high)
    _check_ranges(days, ranges, channels)
    return Structure(channels, days, ranges, rows[500], _owner_of(rows, rows[500]))


def windows(source: Source) -> Iterator[tuple[int, int]]:
    """Runs of records of bounded size in bytes, as index ranges."""
    low = 0
    while low < len(source.lines):
        limit = int(source.lines.start[low]) + WINDOW_BYTES
        high = max(int(np.searchsorted(source.lines.end, limit, side="right")), low + 1)
        yield low, high
        low = high


def _owner_of(rows: dict[int, Ints], children: Ints) -> Ints:
    """The day before each child, −1 where a new channel begins between them."""
    day = np.searchsorted(rows[300], children) - 1
    channel = np.searchsorted(rows[200], children) - 1
    day_row = rows[300][day] if len(rows[300]) else np.full(len(children), -1)
    channel_row = (
        np.where(channel >= 0, rows[200][channel], -1) if len(rows[200]) else np.full(len(children), -1)
    )
    owner: Ints = np.where((day >= 0) & (day_row > channel_row), day, -1)
    return owner


def _inside(rows: Ints, low: int, high: int) -> tuple[Ints, Ints]:
    """Which of the ``rows`` lie in the window: their indexes, and their places in the window."""
    chosen = np.arange(np.searchsorted(rows, low), np.searchsorted(rows, high))
    return chosen, rows[chosen] - low


def _read_channels(channels: Channels, fields: Fields, low: int, high: int) -> None:
    chosen, at = _inside(channels.rows, low, high)
    if not len(chosen):
        return
    service_point = fields.text(at, 1)
    suffix = pc.utf8_upper(fields.text(at, 4))
    # The suffix names the data stream of a service point; the register id alone repeats between meters.
    register = pc.if_else(pc.equal(suffix, ""), fields.text(at, 3), suffix)
    kind = pc.utf8_slice_codeunits(suffix, 0, 1)
    unit = pc.utf8_upper(fields.text(at, 7))
    known = list(UNITS)
    position = pc.index_in(unit, pa.array(known))
    exponents = np.array([UNITS[name][1] for name in known])
    channels.exponent[chosen] = exponents[pc.fill_null(position, known.index("KWH")).to_numpy()]
    implied = _mapped(kind, _IMPLIED_UNITS, UNKNOWN_UNIT)
    stored = pc.take(pa.array([UNITS[name][0] for name in known]), position)
    channels.unit.append(pc.coalesce(stored, implied))
    channels.direction.append(_mapped(kind, _DIRECTIONS, OTHER_DIRECTION))
    channels.service_point.append(service_point)
    channels.register.append(register)
    channels.serial.append(_null_if_empty(fields.text(at, 6)))
    minutes, wrong = parse_scaled(fields.data, *fields.trimmed(at, 8), 0)
    wrong |= (minutes <= 0) | (minutes > 1440)
    wrong |= 1440 % np.where(wrong, 1440, minutes) != 0
    channels.count[chosen] = np.where(wrong, 0, 1440 // np.where(wrong, 1440, minutes))
    rules = channels.rules
    rules.fail(chosen[as_mask(pc.equal(service_point, ""))], "no_service_point")
    rules.fail(chosen[as_mask(pc.equal(register, ""))], "no_register")
    rules.fail(chosen[wrong], "bad_interval_length")
    rules.fail(chosen[as_mask(pc.and_(position.is_null(), pc.not_equal(unit, "")))], "unknown_unit")


def _mapped(keys: pa.StringArray, mapping: dict[str, str], otherwise: str) -> pa.Array:
    found = pc.take(pa.array(list(mapping.values())), pc.index_in(keys, pa.array(list(mapping))))
    return pc.fill_null(found, otherwise)


def _read_days(
    days: Days, channels: Channels, fields: Fields, low: int, high: int, offset_seconds: int
) -> None:
    chosen, at = _inside(days.rows, low, high)
    if not len(chosen):
        return
    rules, owner = days.rules, days.owner[chosen]
    rules.fail(chosen[owner < 0], "orphan")
    if len(channels.rows):
        rules.fail(chosen[(owner >= 0) & ~channels.rules.is_ok[owner]], "parent_quarantined")
        count = np.where(owner >= 0, channels.count[owner], 0)
    else:
        count = np.zeros(len(chosen), dtype=np.int64)
    days.field_count[chosen] = fields.count[at]
    rules.fail(chosen[fields.count[at] < count + 3], "field_count")
    # Whatever stands behind the last field must be nothing but commas, as spreadsheets leave them.
    _, behind = fields.span(at, count + 6)
    spare = fields.count[at] - (count + 7)
    rules.fail(chosen[(spare > 0) & (fields.end[at] - behind != spare)], "field_count")
    days.day[chosen], bad_day = date_field(fields.data, *fields.trimmed(at, 1))
    rules.fail(chosen[bad_day], "bad_date")
    bad_quality, bad_reason = days.quality.add(fields, at, count + 2)
    # A quality that is none, in a record of odd length, is a value: the number of values is what is wrong.
    rules.fail(chosen[bad_quality & (fields.count[at] != count + 7)], "field_count")
    rules.fail(chosen[bad_quality], "bad_quality")
    rules.fail(chosen[bad_reason], "bad_reason_code")
    updated, empty, bad_time = time_field(fields.data, *fields.trimmed(at, count + 5), offset_seconds)
    days.updated[chosen], days.has_updated[chosen] = updated, ~empty & ~bad_time
    rules.fail(chosen[bad_time], "bad_update_time")


def _read_ranges(ranges: Ranges, days: Days, channels: Channels, fields: Fields, low: int, high: int) -> None:
    chosen, at = _inside(ranges.rows, low, high)
    if not len(chosen):
        return
    first, bad_first = parse_scaled(fields.data, *fields.trimmed(at, 1), 0)
    last, bad_last = parse_scaled(fields.data, *fields.trimmed(at, 2), 0)
    ranges.first[chosen], ranges.last[chosen] = first, last
    bad_quality, bad_reason = ranges.quality.add(fields, at, 3)
    bad_quality |= as_mask(pc.equal(ranges.quality.flag[-1], "V"))
    owner = ranges.owner[chosen]
    has_day = owner >= 0
    ranges.rules.fail(chosen[~has_day], "orphan")
    channel = days.owner[owner] if len(days.rows) else owner
    count = (
        np.where(has_day & (channel >= 0), channels.count[channel], 0) if len(channels.rows) else first * 0
    )
    bad_range = bad_first | bad_last | (first < 1) | (last < first) | (last > count)
    ranges.rules.fail(chosen[(count > 0) & bad_range], "bad_range")
    ranges.rules.fail(chosen[bad_quality], "bad_quality")
    ranges.rules.fail(chosen[bad_reason], "bad_reason_code")


def _check_ranges(days: Days, ranges: Ranges, channels: Channels) -> None:
    """The ranges of a V day cover 1…N without gap or overlap; other days have none."""
    if not len(days.rows):
        return
    is_v = as_mask(pc.equal(pa.concat_arrays(days.quality.flag), "V"))
    owned = np.flatnonzero(ranges.owner >= 0)
    owner = ranges.owner[owned]
    ranges.rules.fail(owned[~is_v[owner] & days.rules.is_ok[owner]], "range_without_v")
    same = np.concatenate([[False], owner[1:] == owner[:-1]]) if len(owned) else np.zeros(0, bool)
    expected = np.where(same, np.concatenate([[0], ranges.last[owned][:-1]]) + 1, 1) if len(owned) else owner
    broken = np.zeros(len(days.rows), dtype=bool)
    broken[owner[ranges.first[owned] != expected]] = True
    broken[owner[~ranges.rules.is_ok[owned]]] = True
    end = np.zeros(len(days.rows), dtype=np.int64)
    end[owner] = ranges.last[owned]  # the last one of a day wins
    count = np.where(days.owner >= 0, channels.count[days.owner], 0) if len(channels.rows) else end * 0
    broken |= end != count
    days.rules.fail(np.flatnonzero(is_v & broken), "quality_ranges")


def as_timestamps(microseconds: npt.NDArray[Any], missing: BoolMask | None = None) -> pa.Array:
    """UTC microseconds as Arrow timestamps."""
    return pa.array(microseconds, mask=missing).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
