"""Short decimal texts read eight bytes at a time: a text is one 64-bit word, and a few operations parse it.

Belongs here: the arithmetic on words. Does not belong here: what to do with a text that is not short, plain
digits and at most one point; see ``digits``, which asks here first.

The method is "SIMD within a register" (Lamport 1975; as in Lemire, "Number parsing at a gigabyte per second",
2021), over numpy arrays of words: the cost is that of some thirty passes over memory that stays in the cache.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from connectors.formats.columns import BoolMask

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
_Words = npt.NDArray[np.uint64]

_AT_ONCE = 32_768
"""Texts in one go: their words and what is made of them stay in the second-level cache."""

_U = np.uint64
_ONES, _HIGH, _ALL = _U(0x0101010101010101), _U(0x8080808080808080), _U(0xFFFFFFFFFFFFFFFF)
_ZEROS = _U(0x3030303030303030)
_POINTS = _U(0x1E1E1E1E1E1E1E1E)  # what a point is once the zeros are taken off
_ABOVE_NINE = _U(0x7676767676767676)  # lifts every byte above 9 into its high bit
_JOINTS = (
    (_U(10), _U(8), _U(0x00FF00FF00FF00FF)),
    (_U(100), _U(16), _U(0x0000FFFF0000FFFF)),
    (_U(10_000), _U(32), _U(0xFFFFFFFF)),
)
"""How two neighbours join: the left one times this, the right one so many bits away, the bits that count."""

_LAST_BYTES = np.array([(1 << 64) - (1 << (64 - 8 * length)) for length in range(9)], dtype=np.uint64)
"""By length of a text, the bits of the word that are its own."""

_MOST_SHIFT = 10
"""Eight digits and ten places are 18 digits, all that the result may have."""
_SCALES, _ROW = 20, 65
_UNKNOWN_SCALE = _SCALES  # its factors are all 0


def _factors() -> Ints:
    """Power of ten by ``scale`` and by the bits up to the point (eight a byte), 0 for what will not do."""
    table = np.zeros((_SCALES + 1, _ROW), dtype=np.int64)
    for scale in range(_SCALES):
        for bytes_up_to in range(9):
            decimals = 8 - bytes_up_to if bytes_up_to else 0
            if 0 <= scale - decimals <= _MOST_SHIFT:
                table[scale, 8 * bytes_up_to] = 10 ** (scale - decimals)
    return table.reshape(-1)


_FACTORS = _factors()


def parse_words(
    data: Bytes, starts: Ints, ends: Ints, scale: int | Ints, *, point: bool = True
) -> tuple[Ints, BoolMask]:
    """Texts of one to eight bytes as integers scaled by ``10**scale``, and which were not read.

    What is not read may still be a number: one with a sign or blanks, a longer one, one in the first bytes of
    ``data``, one with more decimals than ``scale``, zeros though they may be. Its value is 0. Without
    ``point`` only digits are read.
    """
    count = len(starts)
    values = np.zeros(count, dtype=np.int64)
    bad = np.ones(count, dtype=bool)
    if len(data) < 8 or not count:
        return values, bad
    words, scale = _words(data), _in_table(scale)
    for low in range(0, count, _AT_ONCE):
        part = slice(low, min(low + _AT_ONCE, count))
        scales = scale if isinstance(scale, int) else scale[part]
        values[part], bad[part] = _parse(words, starts[part], ends[part], scales, point)
    return values, bad


def parse_long_words(data: Bytes, starts: Ints, ends: Ints, scale: int | Ints) -> tuple[Ints, BoolMask]:
    """Texts of up to sixteen bytes, as :func:`parse_words` does: the parts before and behind the point."""
    values, bad = parse_words(data, starts, ends, scale)
    lengths = ends - starts
    rows = np.flatnonzero(bad & (lengths > 8) & (lengths <= 16) & (starts >= 8))
    if not len(rows):
        return values, bad
    starts, ends = starts[rows], ends[rows]
    scales = np.broadcast_to(np.asarray(scale, dtype=np.int64), bad.shape)[rows]
    _, up_to = _point_masks(_words(data)[ends - 8] ^ _ZEROS)
    point = ends - 9 + (np.bitwise_count(up_to).astype(np.int64) >> 3)
    decimals = ends - point - 1
    whole, no_whole = parse_words(data, starts, point, scales, point=False)
    part, no_part = parse_words(data, point + 1, ends, np.maximum(scales - decimals, 0), point=False)
    wrong = no_whole | no_part | (up_to == 0) | (decimals > scales)
    values[rows], bad[rows] = np.where(wrong, 0, whole + part), wrong
    return values, bad


def _in_table(scale: int | Ints) -> int | Ints:
    if isinstance(scale, int):
        return scale if 0 <= scale < _SCALES else _UNKNOWN_SCALE
    if scale.min() >= 0 and scale.max() < _SCALES:
        return scale
    return np.where((scale >= 0) & (scale < _SCALES), scale, _UNKNOWN_SCALE)


def _words(data: Bytes) -> _Words:
    """The eight bytes from every place of ``data`` on, the first one lowest."""
    return np.ndarray((len(data) - 7,), dtype="<u8", buffer=data.data, strides=(1,))


def _point_masks(word: _Words) -> tuple[_Words, _Words]:
    """The bits of a word (zeros taken off) before its first point and up to it; none without a point."""
    points = word ^ _POINTS
    others = ~points
    points -= _ONES
    points &= others
    points &= _HIGH
    np.negative(points, out=others)
    points &= others  # the lowest bit set is the high bit of the first point
    points >>= _U(7)
    one = np.minimum(points, _U(1))
    np.left_shift(points, _U(8), out=others)
    others -= one
    points -= one
    return points, others


def _parse(words: _Words, starts: Ints, ends: Ints, scale: int | Ints, point: bool) -> tuple[Ints, BoolMask]:
    """Written in place for the most part: what it works on stays in the cache."""
    lengths = ends - starts
    is_early = bool(ends.min() < 8)
    word = words[(np.maximum(ends, 8) if is_early else ends) - 8]
    word ^= _ZEROS
    word &= _LAST_BYTES.take(lengths, mode="clip")  # what stands before the text becomes zeros
    before, up_to = _point_masks(word)
    factor = _FACTORS.take(np.bitwise_count(up_to) + np.int64(_ROW) * scale, mode="clip")
    bad: BoolMask = factor == 0
    bad |= (lengths - 1).view(np.uint64) >= _U(8)
    bad |= (lengths == 1) & (up_to == _ALL) if point else up_to != _U(0)
    if is_early:
        bad |= ends < 8
    # The digits before the point move up by one byte, over it.
    before &= word
    before <<= _U(8)
    np.bitwise_not(up_to, out=up_to)
    up_to &= word
    digits = np.bitwise_or(before, up_to, out=before)
    others = np.add(digits, _ABOVE_NINE, out=up_to)
    others |= digits
    others &= _HIGH
    bad |= others != 0
    # Neighbours are joined to pairs, fours and eight digits.
    for base, shift, lanes in _JOINTS:
        np.right_shift(digits, shift, out=others)
        digits *= base
        digits += others
        digits &= lanes
    values = digits.view(np.int64)
    values *= factor
    if bad.any():
        values[bad] = 0
    return values, bad
