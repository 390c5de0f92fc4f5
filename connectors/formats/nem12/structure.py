"""The structure of a stretch of NEM12: channels (200), days (300), quality ranges (400) as columns.

Belongs here: reading every field but the interval values, and finding what is wrong with it. Does not belong
here: the values themselves (``reads``), accumulation reads (``accumulation``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.digits import parse_scaled
from connectors.formats.nem12.identity import channel_names
from connectors.formats.nem12.lines import Source
from connectors.formats.nem12.rules import Rules
from connectors.formats.nem12.times import date_field, time_field
from connectors.formats.reads import OTHER_DIRECTION, UNITS, UNKNOWN_UNIT
from connectors.formats.text_lines import Fields, Ints

# By the first letter of the NMI suffix. Data of check meters and averages of them and the main meter have
# letters of their own and stay "other": they are the same energy once more, and must not be added to it.
_DIRECTIONS = {
    "E": "import", "B": "export", "N": "net",
    "Q": "reactive_import", "K": "reactive_export", "X": "reactive_net",
}  # fmt: skip
_NET = ("net", "reactive_net")
_IMPLIED_UNITS = {"E": "kWh", "B": "kWh", "N": "kWh", "Q": "kvarh", "K": "kvarh", "X": "kvarh"}
_QUALITY = r"^[AEFNSV]\d{0,2}$"


@dataclass(frozen=True)
class Quality:
    """Quality columns of some records, and which of them are none."""

    flag: pa.StringArray
    method: pa.StringArray
    reason_code: pa.Int32Array
    reason_text: pa.StringArray
    bad_flag: BoolMask
    bad_reason: BoolMask

    def is_flag(self, flag: str) -> BoolMask:
        """Which records have this quality."""
        return as_mask(pc.equal(self.flag, flag))

    def part(self, low: int, high: int) -> Quality:
        """Some of them."""
        at = slice(low, high)
        return Quality(
            flag=self.flag[at],
            method=self.method[at],
            reason_code=self.reason_code[at],
            reason_text=self.reason_text[at],
            bad_flag=self.bad_flag[at],
            bad_reason=self.bad_reason[at],
        )


def read_quality(fields: Fields, rows: Ints, at: Ints) -> Quality:
    """Quality and method, reason code and reason text: three fields from ``at`` on."""
    flag, method, bad_flag = quality_flags(fields.text(rows, at))
    starts, ends = fields.trimmed(rows, at + 1)
    empty = ends == starts
    codes, wrong = parse_scaled(fields.data, starts, ends, 0)
    bad_reason = ~empty & (wrong | (codes < 0) | (codes > 2**31 - 1))
    reason_code = pa.array(codes.astype(np.int32), mask=empty | bad_reason)
    return Quality(flag, method, reason_code, null_if_empty(fields.text(rows, at + 2)), bad_flag, bad_reason)


def quality_flags(text: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray, BoolMask]:
    """``S53`` as ``S`` and ``53``, and which texts are no quality; there are few different ones."""
    coded = text.dictionary_encode()
    every = pc.utf8_upper(coded.dictionary)
    flag, method = (pc.utf8_slice_codeunits(every, *part) for part in ((0, 1), (1, 3)))
    bad = pc.invert(pc.match_substring_regex(every, _QUALITY))
    parts = (pc.take(part, coded.indices) for part in (flag, null_if_empty(method), bad))
    flag, method, bad = parts
    return flag, method, as_mask(bad)


def null_if_empty(text: pa.StringArray) -> pa.StringArray:
    """An empty text says nothing."""
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


@dataclass(frozen=True)
class Channels:
    """200 records; the first may be inherited from further above."""

    rows: Ints
    rules: Rules
    count: Ints  # values a day
    exponent: Ints  # power of ten from the declared to the stored unit
    service_point: pa.StringArray
    register: pa.StringArray
    serial: pa.StringArray
    direction: pa.StringArray
    unit: pa.StringArray

    @property
    def is_net(self) -> BoolMask:
        """What flows either way as one number, which may be negative."""
        return as_mask(pc.is_in(self.direction, pa.array(_NET)))


@dataclass(frozen=True)
class Days:
    """300 records. ``owner`` indexes the channels, −1 without one; ``count`` are the values due."""

    rows: Ints
    rules: Rules
    owner: Ints
    count: Ints
    field_count: Ints
    day: Ints
    updated: Ints
    has_updated: BoolMask
    quality: Quality


@dataclass(frozen=True)
class Ranges:
    """400 records. ``owner`` indexes the days, −1 where no 300 record of the same channel precedes."""

    rows: Ints
    rules: Rules
    owner: Ints
    first: Ints
    last: Ints
    quality: Quality


@dataclass(frozen=True)
class Structure:
    """Everything but values. Events (500) follow a day as ranges do; nothing of theirs is kept.

    ``quality`` is that of the days, and behind them that of the ranges.
    """

    fields: Fields
    channels: Channels
    days: Days
    ranges: Ranges
    quality: Quality
    events: Ints
    event_owner: Ints


def read_structure(source: Source, offset_seconds: int) -> Structure:
    """Read all 200, 300, 400 and 500 records."""
    kind = source.kind
    rows = {k: np.flatnonzero(kind == k) for k in (200, 300, 400, 500)}
    heads = np.flatnonzero((kind == 200) | (kind == 250))
    fields = Fields(source.data, source.lines.start, source.lines.end)
    channels = _read_channels(fields, rows[200])
    owner = np.searchsorted(rows[200], rows[300]) - 1
    # Index −1, for a day without a channel, finds what is put last here.
    count = np.concatenate([channels.count, [0]])[owner]
    places = np.concatenate([count + 2, np.full(len(rows[400]), 3)])
    quality = read_quality(fields, np.concatenate([rows[300], rows[400]]), places)
    split = len(rows[300])
    days = _read_days(fields, rows[300], channels, owner, count, quality.part(0, split), offset_seconds)
    of_day = child_owner(rows[300], heads, rows[400])
    ranges = _read_ranges(fields, rows[400], of_day, days, quality.part(split, len(places)))
    _check_ranges(days, ranges)
    events = rows[500]
    return Structure(fields, channels, days, ranges, quality, events, child_owner(rows[300], heads, events))


def child_owner(parents: Ints, ends: Ints, children: Ints) -> Ints:
    """The parent before each child, −1 where there is none or a record of ``ends`` stands between them."""
    owner = np.searchsorted(parents, children) - 1
    row = np.concatenate([parents, [-1]])[owner]
    end_row = np.concatenate([ends, [-1]])[np.searchsorted(ends, children) - 1]
    result: Ints = np.where((owner >= 0) & (row > end_row), owner, -1)
    return result


def _read_channels(fields: Fields, at: Ints) -> Channels:
    service_point, register, suffix = channel_names(fields, at)
    serial, unit = fields.texts(at, 6, 7)
    kind, unit = pc.utf8_slice_codeunits(suffix, 0, 1), pc.utf8_upper(unit)
    known = list(UNITS)
    position = pc.index_in(unit, pa.array(known))
    exponents = np.array([UNITS[name][1] for name in known])
    stored = pc.take(pa.array([UNITS[name][0] for name in known]), position)
    minutes, wrong = parse_scaled(fields.data, *fields.trimmed(at, 8), 0)
    wrong |= (minutes <= 0) | (minutes > 1440)
    wrong |= 1440 % np.where(wrong, 1440, minutes) != 0
    rules = Rules(len(at))
    rules.fail(as_mask(pc.equal(service_point, "")), "no_service_point")
    rules.fail(as_mask(pc.equal(register, "")), "no_register")
    rules.fail(wrong, "bad_interval_length")
    rules.fail(as_mask(pc.and_(position.is_null(), pc.not_equal(unit, ""))), "unknown_unit")
    return Channels(
        rows=at,
        rules=rules,
        count=np.where(wrong, 0, 1440 // np.where(wrong, 1440, minutes)),
        exponent=exponents[pc.fill_null(position, known.index("KWH")).to_numpy()],
        service_point=service_point,
        register=register,
        serial=null_if_empty(serial),
        direction=_mapped(kind, _DIRECTIONS, OTHER_DIRECTION),
        unit=pc.coalesce(stored, _mapped(kind, _IMPLIED_UNITS, UNKNOWN_UNIT)),
    )


def _mapped(keys: pa.StringArray, mapping: dict[str, str], otherwise: str) -> pa.Array:
    found = pc.take(pa.array(list(mapping.values())), pc.index_in(keys, pa.array(list(mapping))))
    return pc.fill_null(found, otherwise)


def _read_days(
    fields: Fields,
    at: Ints,
    channels: Channels,
    owner: Ints,
    count: Ints,
    quality: Quality,
    offset_seconds: int,
) -> Days:
    is_ok = np.concatenate([channels.rules.is_ok, [True]])[owner]
    field_count = fields.count[at]
    rules = Rules(len(at))
    rules.fail(owner < 0, "orphan")
    rules.fail(~is_ok, "parent_quarantined")
    rules.fail(field_count < count + 3, "field_count")
    # Whatever stands behind the last field must be nothing but commas, as spreadsheets leave them.
    _, behind = fields.span(at, count + 6)
    spare = field_count - (count + 7)
    rules.fail((spare > 0) & (fields.end[at] - behind != spare), "field_count")
    day, bad_day = date_field(fields.data, *fields.trimmed(at, 1))
    rules.fail(bad_day, "bad_date")
    # A quality that is none, in a record of odd length, is a value: the number of values is what is wrong.
    rules.fail(quality.bad_flag & (field_count != count + 7), "field_count")
    rules.fail(quality.bad_flag, "bad_quality")
    rules.fail(quality.bad_reason, "bad_reason_code")
    updated, empty, bad_time = time_field(fields.data, *fields.trimmed(at, count + 5), offset_seconds)
    rules.fail(bad_time, "bad_update_time")
    return Days(at, rules, owner, count, field_count, day, updated, ~empty & ~bad_time, quality)


def _read_ranges(fields: Fields, at: Ints, owner: Ints, days: Days, quality: Quality) -> Ranges:
    places, bad = parse_scaled(fields.data, *fields.trimmed(np.tile(at, 2), np.repeat([1, 2], len(at))), 0)
    first, last = places.reshape(2, -1)
    count = np.concatenate([days.count, [0]])[owner]
    rules = Rules(len(at))
    rules.fail(owner < 0, "orphan")
    bad_range = bad.reshape(2, -1).any(axis=0) | (first < 1) | (last < first) | (last > count)
    rules.fail((count > 0) & bad_range, "bad_range")
    rules.fail(quality.bad_flag | quality.is_flag("V"), "bad_quality")
    rules.fail(quality.bad_reason, "bad_reason_code")
    return Ranges(at, rules, owner, first, last, quality)


def _check_ranges(days: Days, ranges: Ranges) -> None:
    """The ranges of a V day cover 1…N without gap or overlap; other days have none."""
    is_v = days.quality.is_flag("V")
    owned = np.flatnonzero(ranges.owner >= 0)
    owner = ranges.owner[owned]
    ranges.rules.fail_rows(owned[~is_v[owner] & days.rules.is_ok[owner]], "range_without_v")
    same = np.concatenate([[False], owner[1:] == owner[:-1]])[: len(owned)]
    before = np.concatenate([[0], ranges.last[owned]])[:-1]
    broken = np.zeros(len(days.rows), dtype=bool)
    broken[owner[ranges.first[owned] != np.where(same, before + 1, 1)]] = True
    broken[owner[~ranges.rules.is_ok[owned]]] = True
    end = np.zeros(len(days.rows), dtype=np.int64)
    end[owner] = ranges.last[owned]  # the last one of a day wins
    days.rules.fail(is_v & (broken | (end != days.count)), "quality_ranges")


def as_timestamps(microseconds: npt.NDArray[Any], missing: BoolMask | None = None) -> pa.Array:
    """UTC microseconds as Arrow timestamps."""
    return pa.array(microseconds, mask=missing).view(pa.timestamp("us", tz="UTC"))
