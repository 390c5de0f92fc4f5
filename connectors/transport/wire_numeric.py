"""PostgreSQL's binary numerics as exact decimals, a column at a time.

Belongs here: the form ``numeric_send`` gives. Does not belong here: asking for it.

The form (PostgreSQL, ``src/backend/utils/adt/numeric.c``): big-endian 16-bit words, the number of digits, the
weight of the first, the sign, the decimals shown, then digits to the base of 10,000. Decoding it here takes a
tenth of the time in which text is made of it on one side and parsed on the other.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.digits import Ints, decimal_array

_NEGATIVE, _SPECIAL = 0x4000, {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_POWERS = 10 ** np.arange(19, dtype=np.int64)
_MOST_DIGITS = 18


def decode(values: pa.BinaryArray) -> pa.Array:
    """Decimals of the largest scale in ``values``; text where one is no number or has more than 18 digits."""
    words, starts, valid = _words(values)
    digits, weight, sign, shown = (words[starts + place].astype(np.int64) for place in range(4))
    sign &= 0xFFFF
    scale = _scale(digits, weight, shown)
    is_number = (sign == 0) | (sign == _NEGATIVE)
    narrow = is_number & ((digits == 0) | (4 * (weight + 1) + scale <= _MOST_DIGITS))
    if scale > _MOST_DIGITS or not narrow.all():
        return _texts(words, starts, valid, np.flatnonzero(~narrow) if scale <= _MOST_DIGITS else None)
    unscaled = np.zeros(len(values), dtype=np.int64)
    unscaled[valid] = _unscaled(words, starts, digits, weight, sign, scale)
    return decimal_array(unscaled, pa.decimal128(_MOST_DIGITS, scale), ~valid)


def _words(values: pa.BinaryArray) -> tuple[npt.NDArray[np.int16], Ints, npt.NDArray[np.bool_]]:
    """All words of the array, the first word of each value that is not null, and which those are."""
    valid = np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data = values.buffers()[2]
    if data is None or not len(offsets):
        return np.zeros(0, np.int16), np.zeros(0, np.int64), valid
    words = np.frombuffer(data, ">i2", count=int(offsets[-1]) // 2)
    return words.astype(np.int16), (offsets[:-1][valid] // 2).astype(np.int64), valid


def _scale(digits: Ints, weight: Ints, shown: Ints) -> int:
    """Decimals that hold all values: those shown, without zeros that fill them up (a quotient shows 16)."""
    return max(0, int(np.minimum(shown, 4 * (digits - 1 - weight)).max(initial=0)))


def _unscaled(
    words: npt.NDArray[np.int16], starts: Ints, digits: Ints, weight: Ints, sign: Ints, scale: int
) -> Ints:
    total = np.zeros(len(starts), dtype=np.int64)
    for place in range(int(digits.max(initial=0))):
        rows = np.flatnonzero(digits > place)
        digit = words[starts[rows] + 4 + place].astype(np.int64)
        exponent = 4 * (weight[rows] - place) + scale
        # Decimals shown end inside the last digit; what is cut off there are zeros.
        total[rows] += np.where(
            exponent >= 0,
            digit * _POWERS[np.clip(exponent, 0, 18)],
            digit // _POWERS[np.clip(-exponent, 0, 18)],
        )
    np.negative(total, out=total, where=sign == _NEGATIVE)
    return total


def _texts(
    words: npt.NDArray[np.int16], starts: Ints, valid: npt.NDArray[np.bool_], odd: Ints | None
) -> pa.Array:
    """Text of every value; ``odd`` are those that need Python, all of them where None."""
    texts: npt.NDArray[np.object_] = np.full(len(starts), None, dtype=object)
    if odd is not None and len(odd) < len(starts):
        plain = np.setdiff1d(np.arange(len(starts)), odd)
        head = [words[starts[plain] + place].astype(np.int64) for place in range(4)]
        scale = _scale(head[0], head[1], head[3])
        unscaled = _unscaled(words, starts[plain], head[0], head[1], head[2] & 0xFFFF, scale)
        kind = pa.decimal128(_MOST_DIGITS, scale)
        some = decimal_array(unscaled, kind, np.zeros(len(plain), dtype=bool))
        texts[plain] = pc.cast(some, pa.string()).to_numpy(zero_copy_only=False)
    for row in range(len(starts)) if odd is None else odd:
        texts[row] = _text(words[starts[row] :])
    whole: npt.NDArray[np.object_] = np.full(len(valid), None, dtype=object)
    whole[valid] = texts
    return pa.array(whole, pa.string())


def _text(words: npt.NDArray[np.int16]) -> str:
    count, weight, sign, shown = (int(word) for word in words[:4])
    sign &= 0xFFFF
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    digits = tuple(int(part) for word in words[4 : 4 + count] for part in f"{int(word):04d}")
    value = Decimal((int(sign == _NEGATIVE), digits or (0,), 4 * (weight + 1 - count) if count else 0))
    # Written with the decimals the database shows; Decimal's context would round to 28 digits.
    text = f"{value:f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals[:shown].ljust(shown, '0')}" if shown else whole
