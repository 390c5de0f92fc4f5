"""Numbers as machines keep them: packed, zoned, binary and floating point.

Belongs here: bytes → exact values, vectorised, with the mask of what is none. Does not belong here: numbers
as people read them (``edited``), text (``text``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import BoolMask
from connectors.formats.copybook.code_page import INVALID, CodePage
from connectors.formats.copybook.parser import Field, Usage
from connectors.formats.copybook.picture import MAX_DIGITS
from connectors.formats.digits import combine_digits, decimal_array, validity

Bytes2D = npt.NDArray[np.uint8]
Decoded = tuple[pa.Array, BoolMask | None]

_INT64_DIGITS = 18
_NATIVE_DIGITS = {1: 3, 2: 5, 4: 10, 8: 20}
"""Digits a COMP-5 number of so many bytes may have, whatever its picture says."""


@dataclass(frozen=True)
class ValueOptions:
    """What a site decides about its values.

    ``unfilled`` marks the bytes a zoned or edited number that was never filled in may consist of;
    ``blank`` is what such a number is: ``null`` or ``reject`` (where no byte is marked, all are bad).
    """

    page: CodePage
    unfilled: npt.NDArray[np.bool_]
    trim: str = "right"
    is_ibm_float: bool = True
    is_float_big_endian: bool = True
    is_comp_big_endian: bool = True
    is_comp5_big_endian: bool = True
    is_packed_unfilled_null: bool = False
    is_decimal_comma: bool = False
    double_byte_code_page: str | None = None


def value_type(field: Field) -> pa.DataType:
    """The Arrow type of one occurrence of an elementary field."""
    picture = field.picture
    if picture is None:
        return pa.int64() if field.usage is Usage.INDEX else pa.float64()
    if picture.is_text:
        return pa.string()
    precision = picture.precision
    if field.is_native and field.usage is Usage.BINARY:
        most = _NATIVE_DIGITS.get(field.size, precision)
        most -= field.size == 8 and picture.is_signed
        if picture.scale == 0 and picture.trailing_p == 0 and most < 20:
            return pa.int64()
        precision = min(max(most + picture.trailing_p, picture.scale), MAX_DIGITS)
    elif picture.scale == 0 and precision <= _INT64_DIGITS:
        return pa.int64()
    return pa.decimal128(precision, picture.scale)


def decode_packed(matrix: Bytes2D, field: Field, options: ValueOptions) -> Decoded:
    """COMP-3 with the sign in the last nibble, and COMP-6 without any."""
    assert field.picture is not None
    columns = np.ascontiguousarray(matrix.T)
    if field.usage is Usage.UNSIGNED_PACKED:
        pairs = _pairs(columns)
        bad: BoolMask = pairs.max(axis=0) == INVALID
        negative = np.zeros(columns.shape[1], dtype=bool)
        if field.picture.digits % 2:
            bad |= columns[0] > 9
        digits = np.stack([pairs // 10, pairs % 10], axis=1).reshape(-1, columns.shape[1])
        if field.picture.digits > _INT64_DIGITS:
            return _wide(digits, negative, bad, field)
        return _number(combine_digits(pairs, 100), bad, field)
    last = columns[-1]
    sign = last & 15
    pairs = _pairs(columns[:-1])
    final = last >> 4
    bad = (final > 9) | (sign < 10)
    if len(pairs):
        bad |= pairs.max(axis=0) == INVALID
    missing = None
    if options.is_packed_unfilled_null and bad.any():
        missing = _uniform(columns, (0x00, options.page.space, 0xFF)) & bad
        bad = bad & ~missing
    negative = (sign == 0xD) | (sign == 0xB)
    if field.picture.digits > _INT64_DIGITS:
        digits = np.concatenate(
            [np.stack([pairs // 10, pairs % 10], axis=1).reshape(-1, len(last)), final[None]]
        )
        return _wide(digits, negative, bad, field, missing)
    values = final.astype(np.int64)
    if len(pairs):
        values += combine_digits(pairs, 100) * 10
    if field.picture.digits % 2 == 0:
        bad |= (columns[0] > 9) & (True if missing is None else ~missing)  # that nibble belongs to no digit
    np.negative(values, out=values, where=negative)
    return _number(values, bad, field, missing)


_PACKED_PAIR = bytes(
    (b >> 4) * 10 + (b & 15) if (b >> 4) <= 9 and (b & 15) <= 9 else INVALID for b in range(256)
)


def _pairs(columns: Bytes2D) -> Bytes2D:
    """Two packed digits a byte as their number; ``translate`` is twice as fast as indexing."""
    raw = columns.tobytes().translate(_PACKED_PAIR)
    return np.frombuffer(raw, dtype=np.uint8).reshape(columns.shape)


def _uniform(columns: Bytes2D, bytes_: tuple[int, ...]) -> BoolMask:
    """Numbers of nothing but one of the bytes."""
    same: BoolMask = (columns == columns[0]).all(axis=0) & np.isin(columns[0], bytes_)
    return same


def decode_zoned(matrix: Bytes2D, field: Field, options: ValueOptions) -> Decoded:
    """DISPLAY numbers: a digit a byte, the sign over a digit or in a byte of its own."""
    assert field.picture is not None
    page = options.page
    plain = _plain_zoned(matrix, field, page)
    if plain is not None:
        return plain
    columns = np.ascontiguousarray(matrix.T)
    rows = columns.shape[1]
    sign_at = 0 if field.is_sign_leading else len(columns) - 1
    if field.is_sign_separate:
        mark = np.frombuffer(columns[sign_at].tobytes().translate(page.ascii), dtype=np.uint8)
        negative = mark == ord("-")
        bad = ~negative & (mark != ord("+")) & (mark != ord(" "))
        digits = page.digit[np.delete(columns, sign_at, axis=0)]
    else:
        digits = page.digit[columns]
        mark = columns[sign_at]
        digits[sign_at] = page.signed_digit[mark]
        negative = page.is_negative[mark]
        bad = np.zeros(rows, dtype=bool) if field.picture.is_signed else negative
    bad = bad | (digits.max(axis=0) == INVALID)
    missing: BoolMask | None = None
    if bad.any():
        blank, zero = unfilled(columns, bad, field, options)
        missing = blank
        bad = bad & ~blank & ~zero
        digits[:, zero] = 0
        negative = negative & ~zero
    if field.picture.digits > _INT64_DIGITS:
        return _wide(digits, negative, bad, field, missing)
    values = combine_digits(digits, 10)
    np.negative(values, out=values, where=negative)
    return _number(values, bad, field, missing)


_ZONES = np.uint64(0xF0F0F0F0F0F0F0F0)
_SIXES = np.uint64(0x0606060606060606)
_LAST_ZONE = np.uint64(0x00FFFFFFFFFFFFFF)


def _plain_zoned(matrix: Bytes2D, field: Field, page: CodePage) -> Decoded | None:
    """The common case at full speed: 4 to 18 digits, the sign (if any) over the last, every record filled in.

    Eight digits are taken as one 64-bit word, which three multiplications turn into a number. None where
    there is anything else among the records; the general way then says what.
    """
    assert field.picture is not None
    width = matrix.shape[1]
    if not 4 <= width <= _INT64_DIGITS or field.is_sign_separate or field.is_sign_leading:
        return None
    zone = _ZONES if page.is_ebcdic else np.uint64(0x3030303030303030)
    sign: npt.NDArray[np.int64] | None = None
    total: npt.NDArray[np.int64] | None = None
    wrong = np.uint64(0)
    for end in range(width % 8 or 8, width + 1, 8):
        size = 8 if end > 8 or width % 8 == 0 else width % 8
        word = _word(matrix, end - size, end) ^ (zone << np.uint64(8 * (8 - size)))
        if end == width and field.picture.is_signed:
            mark = matrix[:, -1]
            sign = page.sign[mark]
            word = (word & _LAST_ZONE) | (page.signed_digit[mark].astype(np.uint64) << np.uint64(56))
        # A byte beyond 9 has something in its upper half, or gets it when 6 is added.
        wrong |= np.bitwise_or.reduce(word | (word + _SIXES), initial=np.uint64(0))
        if wrong & _ZONES:
            return None
        part = _eight_digits(word)
        total = part if total is None else total * np.int64(100_000_000) + part
    assert total is not None
    if sign is not None:
        total *= sign
    return _number(total, np.zeros(len(matrix), dtype=bool), field)


def _word(matrix: Bytes2D, start: int, end: int) -> npt.NDArray[np.uint64]:
    """Up to eight bytes of each record as a little-endian number, the last byte uppermost, zeros below."""
    size = end - start
    if start + 8 <= matrix.shape[1]:
        whole = matrix[:, start : start + 8].view("<u8")[:, 0]
        return whole.astype(np.uint64) << np.uint64(8 * (8 - size))
    # Two halves that overlap in what both hold.
    upper = matrix[:, end - 4 : end].view("<u4")[:, 0].astype(np.uint64) << np.uint64(32)
    if size == 4:
        return upper
    return upper | (matrix[:, start : start + 4].view("<u4")[:, 0] << np.uint32(8 * (8 - size)))


def _eight_digits(word: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Eight digits of a byte each, the first in the lowest byte, as a number."""
    pairs = word * np.uint64(10) + (word >> np.uint64(8))
    mask = np.uint64(0x000000FF000000FF)
    outer = (pairs & mask) * np.uint64(100 + (1_000_000 << 32))
    inner = ((pairs >> np.uint64(16)) & mask) * np.uint64(1 + (10_000 << 32))
    number: npt.NDArray[np.int64] = ((outer + inner) >> np.uint64(32)).view(np.int64)
    return number


def unfilled(
    columns: Bytes2D, suspects: BoolMask, field: Field, options: ValueOptions
) -> tuple[BoolMask, BoolMask]:
    """Of the suspects, which are missing and which are zero.

    A number that was never filled in is missing, which is not the same as wrong; spaces are zero where the
    copybook says BLANK WHEN ZERO or the settings say so of the field.
    """
    missing, zero = np.zeros(len(suspects), dtype=bool), np.zeros(len(suspects), dtype=bool)
    at = np.flatnonzero(suspects)
    if field.is_blank_when_zero and field.blank is None:
        zero[at[(columns[:, at] == options.page.space).all(axis=0)]] = True
    marks = options.unfilled
    if field.blank is not None:
        marks = np.zeros(256, dtype=bool)
        marks[[0x00, options.page.space]] = field.blank != "reject"
    found = at[marks[columns[:, at]].all(axis=0)]
    (zero if field.blank == "zero" else missing)[found] = True
    return missing & ~zero, zero


def decode_binary(matrix: Bytes2D, field: Field, options: ValueOptions) -> Decoded:
    """Two's complement; COMP-5 takes all its bytes hold, COMP with decimals what its picture says."""
    is_big_endian = options.is_comp5_big_endian if field.is_native else options.is_comp_big_endian
    picture = field.picture
    is_signed = picture is None or picture.is_signed
    rows, width = matrix.shape
    little = matrix[:, ::-1] if is_big_endian else matrix
    if width not in (1, 2, 4, 8):
        whole = 8 if width < 8 else 16
        buffer = np.zeros((rows, whole), dtype=np.uint8)
        buffer[:, :width] = little
        if is_signed:
            buffer[:, width:] = np.where(little[:, -1:] >= 0x80, np.uint8(0xFF), np.uint8(0))
        if whole == 16:
            return _binary_wide(buffer, field)
        native = buffer.view("<i8")[:, 0]
    elif field.is_native and width == 8 and not is_signed:
        buffer = np.zeros((rows, 16), dtype=np.uint8)
        buffer[:, :8] = little
        return pa.Array.from_buffers(value_type(field), rows, [None, pa.py_buffer(buffer)]), None
    else:
        kind = f"{'>' if is_big_endian else '<'}{'i' if is_signed else 'u'}{width}"
        native = np.ascontiguousarray(matrix).view(kind)[:, 0]
    values = native.astype(np.int64)
    bad = np.zeros(rows, dtype=bool)
    if width == 8 and not is_signed:
        bad = native > np.uint64(2**63 - 1)
    if picture is not None and picture.scale and not field.is_native:
        bad = bad | (np.abs(values) >= 10**picture.digits)
    return _number(values, bad, field)


def _binary_wide(buffer: Bytes2D, field: Field) -> Decoded:
    """Numbers of more than eight bytes, sign-extended to the 16 of a decimal128."""
    assert field.picture is not None
    halves = buffer.view(np.uint64)
    low, high = halves[:, 0], halves[:, 1].view(np.int64)
    limit = 10**field.picture.digits
    bad = ~(_less(high, low, limit) & ~_less(high, low, 1 - limit))
    array = pa.Array.from_buffers(
        pa.decimal128(field.picture.digits, 0), len(buffer), [validity(bad), pa.py_buffer(buffer)]
    )
    return _scaled(array, field), bad if bad.any() else None


def _less(high: npt.NDArray[np.int64], low: npt.NDArray[np.uint64], limit: int) -> BoolMask:
    """128-bit two's complement ``(high, low) < limit``."""
    limit_high, limit_low = np.int64(limit >> 64), np.uint64(limit & (2**64 - 1))
    less: BoolMask = (high < limit_high) | ((high == limit_high) & (low < limit_low))
    return less


def decode_float(matrix: Bytes2D, options: ValueOptions) -> Decoded:
    """COMP-1 and COMP-2 to float64; of IBM's 56 bits the nearest 53."""
    width = matrix.shape[1]
    order = ">" if options.is_float_big_endian else "<"
    raw = np.ascontiguousarray(matrix).view(f"{order}u{width}")[:, 0]
    if not options.is_ibm_float:
        values = raw.astype(f"u{width}").view(f"f{width}").astype(np.float64)
        bad = ~np.isfinite(values)
        return pa.array(values, mask=bad), bad if bad.any() else None
    # IBM hexadecimal floating point: sign, exponent of 16 in excess 64, fraction below the point.
    bits = 8 * width
    raw64 = raw.astype(np.uint64)
    exponent = ((raw64 >> np.uint64(bits - 8)) & np.uint64(0x7F)).astype(np.int64) - 64
    fraction = (raw64 & np.uint64(2 ** (bits - 8) - 1)).astype(np.float64) / 2.0 ** (bits - 8)
    values = np.ldexp(fraction, 4 * exponent)
    return pa.array(np.where(raw64 >> np.uint64(bits - 1), -values, values)), None


def _number(
    values: npt.NDArray[np.int64], bad: BoolMask, field: Field, missing: BoolMask | None = None
) -> Decoded:
    """Unscaled int64 values to the field's type; decimals are made of their 128-bit halves directly."""
    kind = value_type(field)
    null = bad if missing is None else bad | missing
    picture = field.picture
    if picture is not None and picture.trailing_p:
        if not pa.types.is_int64(kind):
            array = decimal_array(values, pa.decimal128(_INT64_DIGITS + 1, 0), null)
            return _scaled(array, field), bad if bad.any() else None
        values = values * 10**picture.trailing_p
    if pa.types.is_int64(kind):
        buffers = [validity(null), pa.py_buffer(np.ascontiguousarray(values))]
        array = pa.Array.from_buffers(kind, len(values), buffers)
    else:
        array = decimal_array(values, kind, null)
    return array, bad if bad.any() else None


def _wide(
    digits: npt.NDArray[np.uint8],
    negative: BoolMask,
    bad: BoolMask,
    field: Field,
    missing: BoolMask | None = None,
) -> Decoded:
    """Numbers beyond 18 digits, through Arrow's text → decimal cast."""
    assert field.picture is not None
    picture = field.picture
    null = bad if missing is None else bad | missing
    width, rows = digits.shape
    text = np.empty((rows, width + 1), dtype=np.uint8)
    text[:, 0] = np.where(negative, ord("-"), ord("+"))
    text[:, 1:] = np.where(null, 0, digits).T + ord("0")
    if width > picture.digits:
        over = ~null & (digits[0] > 0)  # the spare nibble of an even number of packed digits
        bad, null = bad | over, null | over
        text[:, 1] = ord("0")
    offsets = np.arange(0, (rows + 1) * (width + 1), width + 1, dtype=np.int32)
    strings = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))
    unscaled = pc.cast(strings, pa.decimal128(MAX_DIGITS, 0))
    array = pa.Array.from_buffers(pa.decimal128(MAX_DIGITS, 0), rows, [validity(null), unscaled.buffers()[1]])
    return _scaled(array, field), bad if bad.any() else None


def _scaled(unscaled: pa.Array, field: Field) -> pa.Array:
    """Unscaled decimals as the field's type: multiplied by its trailing P, or read with its point."""
    assert field.picture is not None
    kind = value_type(field)
    if field.picture.trailing_p:
        # 10**P times as much is what the same digits are at a scale of −P.
        shifted = pa.Array.from_buffers(
            pa.decimal128(MAX_DIGITS, -field.picture.trailing_p), len(unscaled), unscaled.buffers()[:2]
        )
        return pc.cast(shifted, kind)
    return pa.Array.from_buffers(kind, len(unscaled), unscaled.buffers()[:2])
