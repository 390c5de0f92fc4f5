"""Eight bytes of text at a time: digits, short decimals and keys out of 64-bit words.

Belongs here: arithmetic on words of text that is faster than a byte per step. Does not belong here: what a
format calls a number or a time; longer or odder decimals are for ``digits``.

A word is little-endian: its lowest byte is the first character. The methods are those of Lemire and Langdale
for integers (three multiplications for eight digits), with the decimal point taken out of the word first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from connectors.formats.columns import BoolMask
from connectors.formats.digits import Bytes, Ints, parse_scaled

Words = npt.NDArray[np.uint64]
PADDING = 8
"""Bytes that must follow the last token, so that a whole word can be read anywhere in the text."""

_U = np.uint64
_ZEROS = _U(0x3030303030303030)
_POINTS = _U(0x1E1E1E1E1E1E1E1E)  # a point, once the zeros are taken off
_SIXES = _U(0x0606060606060606)
_HIGH_NIBBLES = _U(0xF0F0F0F0F0F0F0F0)
_ONES = _U(0x0101010101010101)
_HIGH_BITS = _U(0x8080808080808080)
_POWERS = 10 ** np.arange(19, dtype=np.int64)
_MIX = _U(0x9E3779B97F4A7C15)
_LOW_BYTES = np.array([(1 << (8 * count)) - 1 for count in range(9)], dtype=np.uint64)


def padded(data: bytes) -> Bytes:
    """The text as bytes, with room for a word behind its end."""
    return np.frombuffer(data + bytes(PADDING), dtype=np.uint8)


def words_at(data: Bytes, starts: Ints) -> Words:
    """The words that begin at ``starts``; ``data`` is padded."""
    every: Words = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))
    return every[starts].astype(np.uint64, copy=False)


def eight_digits(words: Words) -> tuple[Ints, BoolMask]:
    """The numbers of words of eight digits, and which of them hold something else (they give rubbish)."""
    return _number(words ^ _ZEROS)


def _number(words: Words) -> tuple[Ints, BoolMask]:
    marks = words + _SIXES
    marks |= words
    marks &= _HIGH_NIBBLES
    bad: BoolMask = marks != 0
    number = words * _U(2561)
    for shift, mask, factor in ((8, 0x00FF00FF00FF00FF, 6553601), (16, 0x0000FFFF0000FFFF, 42949672960001)):
        number >>= _U(shift)
        number &= _U(mask)
        number *= _U(factor)
    number >>= _U(32)
    return number.view(np.int64), bad


def decimals(data: Bytes, starts: Ints, ends: Ints, scale: int) -> tuple[Ints, BoolMask]:
    """As :func:`connectors.formats.digits.parse_scaled`, which it falls back to; ``data`` is padded.

    Texts of up to eight characters beside their sign, which nearly all meter values are, take a few
    operations on one word each.
    """
    if not 0 <= scale <= 10:
        return parse_scaled(data, starts, ends, scale)
    negative = (data[np.minimum(starts, len(data) - 1)] == ord("-")) & (ends > starts)
    has_signs = bool(negative.any())
    first = starts + negative if has_signs else starts
    lengths = ends - first
    short = (lengths >= 1) & (lengths <= 8)
    if short.all():
        values, retry = _short(data, first, lengths, scale)
    else:
        values, retry = np.zeros(len(starts), dtype=np.int64), ~short
        rows = np.flatnonzero(short)
        values[rows], retry[rows] = _short(data, first[rows], lengths[rows], scale)
    if has_signs:
        np.negative(values, out=values, where=negative)
    bad = np.zeros(len(starts), dtype=bool)
    if retry.any():
        rows = np.flatnonzero(retry)
        values[rows], bad[rows] = parse_scaled(data, starts[rows], ends[rows], scale)
    return values, bad


def _short(data: Bytes, starts: Ints, lengths: Ints, scale: int) -> tuple[Ints, BoolMask]:
    """Texts of one to eight characters; the mask holds those that another look must judge."""
    shift = ((8 - lengths) * 8).astype(np.uint64)
    # Zeros in front fill the word up; they are zero bits once the code of a zero is taken off.
    words = (words_at(data, starts) ^ _ZEROS) << shift
    without = words ^ _POINTS
    marks = (without - _ONES) & ~without & _HIGH_BITS
    # A zero byte in front is no point: its mark would need a point's own value.
    if not marks.any():
        values, retry = _number(words)
        return values * _POWERS[scale], retry
    lowest = marks & (~marks + _U(1))
    below = (lowest >> _U(7)) - _U(1)
    has_point = marks != 0
    below[~has_point] = 0
    point = np.where(has_point, (lowest >> _U(7)) * _U(0xFF), _U(0))
    joined = np.where(has_point, ((words & below) << _U(8)) | (words & ~(below | point)), words)
    places = np.where(has_point, 7 - np.bitwise_count(below).astype(np.int64) // 8, 0)
    values, retry = _number(joined)
    retry |= (places > scale) | (has_point & (lengths == 1))
    return values * _POWERS[np.maximum(scale - places, 0)], retry


def text_keys(data: Bytes, starts: Ints, ends: Ints) -> Words:
    """A 64-bit key of each text; equal texts have equal keys, others nearly never; ``data`` is padded."""
    lengths = ends - starts
    keys = lengths.astype(np.uint64) * _MIX
    for low in range(0, int(lengths.max(initial=0)), 8):
        rows = np.flatnonzero(lengths > low)
        words = words_at(data, starts[rows] + low) & _LOW_BYTES[np.minimum(lengths[rows] - low, 8)]
        mixed = (keys[rows] ^ words) * _MIX
        keys[rows] = mixed ^ (mixed >> _U(29))
    return keys
