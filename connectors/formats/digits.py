"""Exact numbers out of digit bytes, many at a time.

Belongs here: digits → integers → decimal128 and plain decimal text → scaled integers, vectorised. Does not
belong here: what a format calls a number (signs, overpunch, units).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.columns import BoolMask
from connectors.formats.digit_words import parse_long_words, parse_words

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_LADDER: tuple[type[np.integer[Any]], ...] = (np.uint8, np.uint16, np.uint32, np.int64)
MAX_TEXT = 20
"""Longest decimal text taken: 12 digits, a point and 6 digits, with room for leading zeros."""


def combine_digits(digits: npt.NDArray[Any], base: int) -> Ints:
    """Rows of digits ``(width, n)`` in ``base`` to numbers, pairing neighbours in the narrowest type.

    At most 18 decimal digits; every digit must be below ``base``.
    """
    parts = digits
    for holds in _LADDER:
        while len(parts) > 1 and base * base - 1 <= np.iinfo(holds).max:
            if len(parts) % 2:
                parts = np.concatenate([np.zeros((1, parts.shape[1]), dtype=parts.dtype), parts])
            wide = parts.astype(holds, copy=False)
            parts = wide[0::2] * holds(base) + wide[1::2]
            base *= base
    total: Ints = parts[0].astype(np.int64)
    for part in parts[1:]:
        total = total * base + part.astype(np.int64)
    return total


def validity(bad: BoolMask) -> pa.Buffer | None:
    """The Arrow validity bitmap of a mask of nulls."""
    return pa.py_buffer(np.packbits(~bad, bitorder="little")) if bad.any() else None


def decimal_array(unscaled: Ints, kind: pa.DataType, null: BoolMask) -> pa.Array:
    """Unscaled int64 values as decimal128 of type ``kind``, made of their two 64-bit halves directly."""
    halves = np.empty((len(unscaled), 2), dtype=np.int64)
    halves[:, 0] = unscaled
    halves[:, 1] = unscaled >> 63
    return pa.Array.from_buffers(kind, len(unscaled), [validity(null), pa.py_buffer(halves)])


def parse_scaled(data: Bytes, starts: Ints, ends: Ints, scale: int | Ints) -> tuple[Ints, BoolMask]:
    """Plain decimal texts ``data[starts:ends]`` as integers scaled by ``10**scale``, and which are not that.

    Taken are digits with at most one point and one leading ``-``; an empty text, an exponent, more than
    ``scale`` significant decimals or more than 18 digits in all are not. ``scale`` is one for all or one a
    text. Nearly every text is short enough to be read as one word of the machine (:mod:`.digit_words`); the
    few others are read by their shape.
    """
    values, bad = parse_words(data, starts, ends, scale)
    if not bad.any():
        return values, bad
    rows = np.flatnonzero(bad & (ends > starts))
    starts, ends = starts[rows], ends[rows]
    scales = scale if isinstance(scale, int) else scale[rows]
    negative = data[starts] == ord("-")
    found, wrong = parse_long_words(data, starts + negative, ends, scales)
    odd = np.flatnonzero(wrong)
    if isinstance(scales, int):
        found[odd], wrong[odd] = _by_shape(data, starts[odd] + negative[odd], ends[odd], scales)
    else:
        for one in np.unique(scales[odd]):
            same = odd[scales[odd] == one]
            found[same], wrong[same] = _by_shape(data, starts[same] + negative[same], ends[same], int(one))
    values[rows], bad[rows] = np.where(negative, -found, found), wrong
    return values, bad


def _by_shape(data: Bytes, starts: Ints, ends: Ints, scale: int) -> tuple[Ints, BoolMask]:
    """Texts without a sign; those of one length and place of the point are read together."""
    lengths = ends - starts
    values = np.zeros(len(starts), dtype=np.int64)
    bad: BoolMask = (lengths <= 0) | (lengths > MAX_TEXT)
    for length in np.flatnonzero(np.bincount(lengths[~bad])):
        rows = np.flatnonzero((lengths == length) & ~bad)
        windows = np.lib.stride_tricks.sliding_window_view(data, int(length))
        columns = np.ascontiguousarray(windows[starts[rows]].T)
        is_point = columns == ord(".")
        points = is_point.sum(axis=0)
        point_at = np.where(points == 1, is_point.argmax(axis=0), length)
        wrong = points > 1
        digits = columns - np.uint8(ord("0"))
        wrong |= ((digits > 9) & ~is_point).any(axis=0)
        for at in np.flatnonzero(np.bincount(point_at[~wrong])):
            chosen = (point_at == at) & ~wrong
            picked = np.delete(digits[:, chosen], int(at), axis=0) if at < length else digits[:, chosen]
            number, refused = _scaled(picked, int(length - at - 1) if at < length else 0, scale)
            values[rows[chosen]] = number
            wrong[np.flatnonzero(chosen)[refused]] = True
        bad[rows[wrong]] = True
    values[bad] = 0
    return values, bad


def _scaled(digits: Bytes, decimals: int, scale: int) -> tuple[Ints, BoolMask]:
    """Digit rows with ``decimals`` of them behind the point, as integers scaled by ``10**scale``."""
    count = digits.shape[1]
    refused = np.full(count, not len(digits))
    if decimals > scale:
        refused |= digits[len(digits) - (decimals - scale) :].any(axis=0)
        digits = digits[: len(digits) - (decimals - scale)]
        decimals = scale
    shift = scale - decimals
    keep = 18 - shift
    if len(digits) > keep:
        refused |= digits[: len(digits) - keep].any(axis=0)
        digits = digits[len(digits) - keep :]
    if not len(digits):
        return np.zeros(count, dtype=np.int64), refused
    return combine_digits(digits, 10) * 10**shift, refused
