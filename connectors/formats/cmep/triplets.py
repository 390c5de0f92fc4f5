"""The triplets of CMEP records: times, qualities and values, and the rows they become.

Belongs here: records of one shape as matrices of ``(records, triplets)``. Does not belong here: leading
fields (``heads``), which record replaces which (``overlaps``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.cmep.heads import CODE, CONSTANT_PLACES, LEADING, METER, Heads
from connectors.formats.cmep.settings import CmepSettings, Unit
from connectors.formats.columns import BoolMask
from connectors.formats.digits import decimal_array
from connectors.formats.local_time import DAY, Zone, add_months, minute_labels, timestamps, utc_by_order
from connectors.formats.reads import SCALE, VALUE, interval_batch, register_batch
from connectors.formats.text_lines import Bytes, Ints, trim
from connectors.formats.words import decimals, words_at

_LARGEST = 10**18
_LONGEST_QUALITY = 8


@dataclass
class Triplets:
    """Records of one count, unit and interval; the matrices are ``(records, count)``.

    ``rows`` are the records' places among the lines of the heads. ``at`` is the end of each interval, or the
    moment of a dial's read, and ``since`` where an amount begins, in UTC minutes.
    """

    rows: Ints
    unit: Unit
    months: int
    minutes: int
    at: Ints
    since: Ints
    value: Ints  # millionths of the stored unit
    missing: BoolMask
    quality: npt.NDArray[np.int64]  # index into the texts
    flags: pa.StringArray
    methods: pa.StringArray
    places: Ints  # decimals of each record's values as they came; counted for dials only

    @property
    def is_interval(self) -> bool:
        """Amounts of less than a day: rows of ``interval_reads``."""
        return not self.unit.is_register and not self.months and self.minutes < DAY


def read_triplets(heads: Heads, settings: CmepSettings, place: Zone) -> Iterator[Triplets]:
    """The triplets of records that are right so far; what turns out wrong is marked in the heads."""
    good = np.flatnonzero((heads.rule == 0) & (heads.count > 0))
    shape = heads.count[good]
    for part in (heads.unit, heads.months, heads.minutes):
        shape = shape * (int(part.max(initial=0)) + 1) + part[good]
    shapes, first = np.unique(shape, return_index=True)
    for one in shapes[np.argsort(first)]:
        rows = good[shape == one]
        found = _read(heads, rows, settings, place)
        if found is not None:
            yield found


def label_bounds(heads: Heads, place: Zone) -> tuple[Ints, Ints]:
    """The first and last UTC minute that the times of each line can have; −1 where they cannot be told.

    Looks at no more than the first and the last time, unless that one is empty.
    """
    low = np.full(len(heads.rule), -1, dtype=np.int64)
    high = low.copy()
    good = np.flatnonzero((heads.rule == 0) & (heads.count > 0))
    data = heads.data
    first, bad = minute_labels(data, *heads.fields.trimmed(good, LEADING))
    start, end = heads.fields.trimmed(good, LEADING + 3 * (heads.count[good] - 1))
    last, bad_last = minute_labels(data, start, end)
    steps = np.where(start == end, heads.count[good] - 1, 0)
    # Times between that are given can only be later than those that would follow from the first one.
    last = np.where(steps > 0, first, last)
    bad |= bad_last & (steps == 0)
    earliest, _, _ = place.moments(first)
    _, latest, _ = place.moments(last)
    low[good] = np.where(bad, -1, earliest)
    high[good] = np.where(bad, -1, latest)
    open_ended = good[(steps > 0) & ~bad]
    if len(open_ended):
        for count in np.unique(heads.count[open_ended]):
            rows = open_ended[heads.count[open_ended] == count]
            labels, empty, wrong = _labels(data, *_spans(heads, rows, int(count))[0])
            labels = _filled(labels, empty, heads.months[rows], heads.minutes[rows])
            _, latest, _ = place.moments(labels)
            high[rows] = np.where(wrong.any(axis=1), -1, latest.max(axis=1) + 60)  # a change of clock between
            low[rows] = np.where(wrong.any(axis=1), -1, low[rows])
    return low, high


def _read(heads: Heads, rows: Ints, settings: CmepSettings, place: Zone) -> Triplets | None:
    data, count = heads.data, int(heads.count[rows[0]])
    unit = heads.units[int(heads.unit[rows[0]])]
    months, minutes = int(heads.months[rows[0]]), int(heads.minutes[rows[0]])
    time, quality, value = _spans(heads, rows, count)
    calendar = months > 0 or minutes % DAY == 0
    labels, empty, bad_time = _labels(data, *time)
    if empty.any():
        # Without an interval nothing can follow; with one only the first time must be given.
        bad_time[:, :1] |= empty[:, :1] if months or minutes else empty.any(axis=1, keepdims=True)
        if calendar:
            labels = _filled(labels, empty, heads.months[rows], heads.minutes[rows])
    at, never = _moments(labels, empty, minutes, place, calendar)
    bad_time |= never
    since = at
    if not unit.is_register and (months or minutes):
        at, since, never = _both_ends(at, labels, months, minutes, settings, place, calendar)
        bad_time |= never
    bad_order = (at[:, 1:] <= at[:, :-1]).any(axis=1)
    codes, flags, methods, bad_quality = _qualities(data, *quality, settings)
    no_value = np.array([flag == "N" for flag in flags.to_pylist()] or [False])[codes]
    values, bad_value, places = _values(heads, rows, *value, unit, settings)
    bad_value &= ~no_value
    for bad, rule in (
        (bad_time.any(axis=1), "bad_time"), (bad_order, "time_order"),
        (bad_quality.any(axis=1), "bad_quality"), (bad_value.any(axis=1), "bad_value"),
    ):  # fmt: skip
        chosen = rows[bad]
        heads.rule[chosen[heads.rule[chosen] == 0]] = CODE[rule]
    ok = heads.rule[rows] == 0
    if not ok.any():
        return None
    keep = slice(None) if ok.all() else ok
    return Triplets(
        rows[keep], unit, months, minutes, at[keep], since[keep], values[keep], no_value[keep],
        codes[keep], flags, methods, places[keep],
    )  # fmt: skip


Span = tuple[Ints, Ints]


def _spans(heads: Heads, rows: Ints, count: int) -> tuple[Span, Span, Span]:
    """Start and end of times, qualities and values of records with ``count`` triplets."""
    fields = heads.fields
    low = np.full(len(rows), LEADING - 1, dtype=np.int64)
    commas = fields.commas(rows, low, low + 3 * count).reshape(len(rows), count, 3)
    _, behind = fields.span(rows, LEADING + 3 * count - 1)
    value_end = np.concatenate([commas[:, 1:, 0], behind[:, None]], axis=1)
    spans = (
        (commas[:, :, 0] + 1, commas[:, :, 1]),
        (commas[:, :, 1] + 1, commas[:, :, 2]),
        (commas[:, :, 2] + 1, value_end),
    )
    if not heads.has_blanks:
        return spans
    shape = (len(rows), count)
    trimmed = [trim(fields.data, start.reshape(-1), end.reshape(-1)) for start, end in spans]
    time, quality, value = [(start.reshape(shape), end.reshape(shape)) for start, end in trimmed]
    return time, quality, value


def _labels(data: Bytes, start: Ints, end: Ints) -> tuple[Ints, BoolMask, BoolMask]:
    """Labels in minutes, which are empty, and which are no time."""
    empty = start == end
    if not empty.any():
        labels, bad = minute_labels(data, start, end)
        return labels, empty, bad
    # A sender that leaves times out leaves out nearly all.
    given = np.nonzero(~empty)
    labels, bad = np.zeros(start.shape, dtype=np.int64), np.zeros(start.shape, dtype=bool)
    labels[given], bad[given] = minute_labels(data, start[given], end[given])
    return labels, empty, bad


def _filled(labels: Ints, empty: BoolMask, months: Ints, minutes: Ints) -> Ints:
    """Empty labels by the calendar: the last given one, and as many intervals on as there are between."""
    place = np.arange(labels.shape[1])
    given = np.maximum.accumulate(np.where(empty, 0, place), axis=1)
    steps = place - given
    base = np.take_along_axis(labels, given, axis=1)
    moved: Ints = base + steps * minutes[:, None]
    if months.any():
        moved = add_months(moved, np.clip(steps * months[:, None], -1200, 1200))
    return moved


def _moments(
    labels: Ints, empty: BoolMask, minutes: int, place: Zone, calendar: bool
) -> tuple[Ints, BoolMask]:
    """UTC of labels. An empty one is the UTC before it plus the interval, which no change of clock moves."""
    if not empty.any() or calendar:
        return utc_by_order(labels, place)
    # The latest label before stands in for an empty one, so that the order of those given is not disturbed.
    index = np.maximum.accumulate(np.where(empty, 0, np.arange(labels.shape[1])), axis=1)
    utc, never = utc_by_order(np.where(empty, np.iinfo(np.int32).min, labels), place)
    steps = np.arange(labels.shape[1]) - index
    return np.take_along_axis(utc, index, axis=1) + steps * minutes, never & ~empty


def _both_ends(
    at: Ints, labels: Ints, months: int, minutes: int, settings: CmepSettings, place: Zone, calendar: bool
) -> tuple[Ints, Ints, BoolMask]:
    """End and start of amounts; whole days and months are those of the calendar where the meter stands."""
    is_end = settings.time_label == "end"
    sign = -1 if is_end else 1
    never = np.zeros(at.shape, dtype=bool)
    if not calendar:
        other = at + sign * minutes
    else:
        label = labels + sign * minutes
        if months:
            label = add_months(label, np.full(labels.shape, sign * months))
        other, second, never = place.moments(label)
        other = other if is_end else second
    return (at, other, never) if is_end else (other, at, never)


def _qualities(
    data: Bytes, start: Ints, end: Ints, settings: CmepSettings
) -> tuple[npt.NDArray[np.int64], pa.StringArray, pa.StringArray, BoolMask]:
    """Index into distinct codes, their flags and texts, and which are no known quality."""
    lengths = end - start
    bad = lengths > _LONGEST_QUALITY
    width = np.minimum(lengths, _LONGEST_QUALITY)
    # The bytes behind the code are shifted out of the word; an empty code leaves nothing.
    shift = ((8 - np.maximum(width, 1)) * 8).astype(np.uint64)
    words = (words_at(data, start) << shift) >> shift
    words[width == 0] = 0
    codes = np.zeros(start.shape, dtype=np.int64)
    texts: list[str] = []
    left = np.ones(start.shape, dtype=bool)
    while left.any():
        if len(texts) == 32:  # far more than a file has; the rest is sorted out at once
            distinct, inverse = np.unique(words[left], return_inverse=True)
            codes[left] = len(texts) + inverse.reshape(-1)
            texts += [_code(word) for word in distinct]
            break
        word = words.reshape(-1)[int(left.argmax())]
        same = words == word
        codes[same] = len(texts)
        texts.append(_code(word))
        left &= ~same
    flags = [_flag(text, settings) for text in texts]
    unknown = np.array([flag is None for flag in flags] or [False])
    if unknown.any():
        bad |= unknown[codes]
    methods = pa.array([text or None for text in texts], pa.string())
    return codes, pa.array([flag or "N" for flag in flags], pa.string()), methods, bad


def _code(word: np.uint64) -> str:
    return int(word).to_bytes(8, "little").rstrip(b"\0").decode("latin-1")


def _flag(code: str, settings: CmepSettings) -> str | None:
    letter, number = code[:1].upper(), code[1:]
    if number and not (number.isascii() and number.isdigit()):
        return None
    return settings.qualities.get(letter)


def _values(
    heads: Heads, rows: Ints, start: Ints, end: Ints, unit: Unit, settings: CmepSettings
) -> tuple[Ints, BoolMask, Ints]:
    """Values in millionths of the stored unit, which are none, and the decimals of dials."""
    data, shape, scale = heads.data, start.shape, SCALE + unit.exponent
    flat_start, flat_end = start.reshape(-1), end.reshape(-1)
    values, bad = decimals(data, flat_start, flat_end, scale)
    values, bad = values.reshape(shape), bad.reshape(shape)
    one = 10**CONSTANT_PLACES
    constant = heads.constant[rows]
    if (constant != one).any():
        # Exact or not at all: the constant is a fraction in lowest terms, and nothing may overflow.
        common = np.gcd(constant, one)
        factor, divisor = (constant // common)[:, None], (one // common)[:, None]
        large = np.abs(values) > np.iinfo(np.int64).max // factor
        product = np.where(large, 0, values) * factor
        values = product // divisor
        bad = bad | large | (values * divisor != product) | (np.abs(values) >= _LARGEST)
    places = np.zeros(len(rows), dtype=np.int64)
    if unit.is_register:
        points = np.flatnonzero(data == ord("."))
        at = np.searchsorted(points, start)
        has_point = np.zeros(shape, dtype=bool)
        if len(points):
            point = points[np.minimum(at, len(points) - 1)]
            has_point = (at < len(points)) & (point < end)
            places = np.where(has_point, end - point - 1, 0).max(axis=1)
    return values, bad, places


def rows_of(
    triplets: Triplets, heads: Heads, settings: CmepSettings, line_no: Ints
) -> tuple[str, pa.RecordBatch]:
    """The table the records go to, and their rows, record after record."""
    rows, count = triplets.rows, triplets.at.shape[1]
    service_point = pc.take(heads.service_point, pa.array(rows))
    flat = triplets.quality.reshape(-1)
    columns: dict[str, pa.Array] = {
        "_record_no": pa.array(np.repeat(line_no[rows], count)),
        "service_point_id": _repeated(service_point, count),
        "register_id": _constant(_register_id(triplets, heads), len(flat)),
        "meter_serial": _repeated(pc.take(heads.text(METER), pa.array(rows)), count),
        "direction": _constant(triplets.unit.direction, len(flat)),
        "unit": _constant(triplets.unit.name, len(flat)),
        "quality_flag": _chosen(triplets.flags, flat),
        "quality_method": _chosen(triplets.methods, flat),
        "updated_at": timestamps(
            np.repeat(heads.stamp[rows], count), np.repeat(~heads.has_stamp[rows], count)
        ),
    }
    value = decimal_array(triplets.value.reshape(-1), VALUE, triplets.missing.reshape(-1))
    if triplets.is_interval:
        columns["value"] = value
        columns["interval_start_at"] = timestamps(triplets.since)
        seconds = np.full(len(flat), triplets.minutes * 60, dtype=np.int32)
        columns["interval_seconds"] = pa.array(seconds)
        return "interval_reads", interval_batch(columns)
    columns["read_to_at"] = timestamps(triplets.at)
    if triplets.unit.is_register:
        columns["current_read"] = value
    else:
        columns["quantity"] = value
        columns["read_from_at"] = timestamps(triplets.since)
    return "register_reads", register_batch(columns)


def _register_id(triplets: Triplets, heads: Heads) -> str:
    """That of the channel; amounts of days and months are no reads of its dial and carry their interval."""
    name: str = heads.register_id[int(heads.unit[triplets.rows[0]])].as_py()
    if triplets.unit.is_register or triplets.is_interval:
        return name
    hours, minutes = divmod(triplets.minutes, 60)
    return f"{name}/{triplets.months:02d}{hours // 24:02d}{hours % 24:02d}{minutes:02d}"


def _repeated(text: pa.StringArray, count: int) -> pa.StringArray:
    """Each text ``count`` times."""
    if count == 1 or not len(text):
        return text
    ends = pa.array((np.arange(len(text)) + 1) * count, pa.int32())
    return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, text))


def _constant(text: str, length: int) -> pa.StringArray:
    return pa.repeat(pa.scalar(text, pa.string()), length)


def _chosen(texts: pa.StringArray, codes: npt.NDArray[np.int64]) -> pa.StringArray:
    if len(texts) == 1:
        return pa.repeat(texts[0], len(codes))
    return pc.take(texts, pa.array(codes))
