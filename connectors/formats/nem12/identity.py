"""Which day of which register a record is about, as one number: for finding corrections within a file.

Belongs here: those numbers, made of the names of a channel or read and of its day. Does not belong here: what
supersedes what; equal numbers are only a hint, and are looked into (``corrections``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.nem12.lines import Source
from connectors.formats.nem12.times import date_field, time_field
from connectors.formats.text_lines import Fields, Ints, lift

Keys = npt.NDArray[np.uint64]

_U = np.uint64
_FACTOR = _U(0x9E3779B97F4A7C15)
_MIXER = _U(0xD6E8FEB86659FD93)
_HEAD_BYTES = 12  # 300,yyyymmdd


def channel_names(fields: Fields, at: Ints) -> tuple[pa.StringArray, pa.StringArray, pa.StringArray]:
    """Service point, register and suffix of 200 and 250 records: the first five fields of both are alike.

    The suffix names the data stream of a service point; the register id alone repeats between meters, and
    serves only where there is no suffix.
    """
    service_point, register, suffix = fields.texts(at, 1, 3, 4)
    suffix = pc.utf8_upper(suffix)
    return service_point, pc.if_else(pc.equal(suffix, ""), register, suffix), suffix


def day_keys(source: Source) -> Keys:
    """One key for each 300 record, 0 where its day or its channel cannot be told."""
    days = np.flatnonzero(source.kind == 300)
    heads = np.flatnonzero(source.kind == 200)
    if not len(days) or not len(heads):
        return np.zeros(len(days), dtype=np.uint64)
    owner = np.searchsorted(heads, days) - 1
    date, bad = _dates(source, days)
    keys = _mixed(_named_keys(_compact(source, heads), np.arange(len(heads)))[owner], date)
    keys[bad | (owner < 0)] = 0
    return keys


def read_keys(source: Source) -> Keys:
    """One key for each 250 record, 0 where its read has no time."""
    rows = np.flatnonzero(source.kind == 250)
    if not len(rows):
        return np.zeros(0, dtype=np.uint64)
    fields = Fields(source.data, source.lines.start, source.lines.end)
    times, empty, bad = time_field(fields.data, *fields.trimmed(rows, 14), 0)
    keys = _mixed(_named_keys(fields, rows), times)
    keys[empty | bad] = 0
    return keys


def _dates(source: Source, days: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The dates of 300 records: nearly always at their ninth byte, otherwise in their second field."""
    starts = source.lines.start[days]
    behind = np.minimum(starts + _HEAD_BYTES, len(source.data) - 1)
    date, bad = date_field(source.data, starts + 4, np.minimum(starts + _HEAD_BYTES, source.lines.end[days]))
    odd = np.flatnonzero(bad | (source.data[behind] != ord(",")))
    if len(odd):
        fields = _compact(source, days[odd])
        date[odd], bad[odd] = date_field(fields.data, *fields.trimmed(np.arange(len(odd)), 1))
    return date, bad


def _compact(source: Source, rows: Ints) -> Fields:
    """The given records alone, so that the commas of others need not be found."""
    starts, ends = source.lines.start[rows], source.lines.end[rows]
    lengths = ends - starts
    stops = np.cumsum(lengths)
    return Fields(lift(source.data, starts, ends), stops - lengths, stops)


def _named_keys(fields: Fields, at: Ints) -> Keys:
    service_point, register, _ = channel_names(fields, at)
    return _mixed(_hashed(service_point), _hashed(register).view(np.int64))


def _hashed(text: pa.StringArray) -> Keys:
    """A number for each text: a polynomial of its bytes, modulo 2**64."""
    offsets = np.frombuffer(text.buffers()[1], dtype=np.int32)[text.offset : text.offset + len(text) + 1]
    lengths = np.diff(offsets)
    if not len(text) or not offsets[-1]:
        return np.zeros(len(text), dtype=np.uint64)
    data = np.frombuffer(text.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
    place = np.arange(len(data)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    powers = np.cumprod(np.full(int(lengths.max()), _FACTOR, dtype=np.uint64))
    terms = np.concatenate([[_U(0)], np.cumsum((data.astype(np.uint64) + _U(1)) * powers[place])])
    ends = np.cumsum(lengths)
    hashed: Keys = terms[ends] - terms[ends - lengths]
    return hashed


def _mixed(keys: Keys, more: Ints) -> Keys:
    """Two numbers as one."""
    mixed = (keys ^ (more.view(np.uint64) * _FACTOR)) * _MIXER
    mixed ^= mixed >> _U(32)
    result: Keys = mixed * _FACTOR
    return result
