"""Values of COBOL fields: a byte matrix of one field over many records to one Arrow array.

Belongs here: zoned, packed, binary, floating, edited numbers and text, all vectorised. Does not belong here:
where a field lies in a record, or what happens to a record with a bad value.

Every decoder takes a matrix ``(n_records, field bytes)`` of uint8 and returns ``(array, bad)``: ``bad`` is
the mask of records whose bytes are no value of that type (they are null in the array), or None when all are
good.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from functools import lru_cache

import ebcdic  # noqa: F401 - registers the EBCDIC code pages Python lacks
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import SettingsError
from connectors.formats.columns import BoolMask, as_mask
from connectors.formats.copybook.parser import MAX_DIGITS, Field, Usage
from connectors.formats.digits import combine_digits, decimal_array, validity

Bytes2D = npt.NDArray[np.uint8]
Decoded = tuple[pa.Array, BoolMask | None]

_INVALID = 255
_INT64_DIGITS = 18


@dataclass(frozen=True)
class CodePage:
    """Lookup tables of 256 entries for one single-byte code page."""

    name: str
    is_ebcdic: bool
    ascii: bytes  # the ASCII character, or 0x80 where the character is not ASCII
    utf8: npt.NDArray[np.uint8]  # (256, 4)
    utf8_length: npt.NDArray[np.int64]  # (256,)
    digit: npt.NDArray[np.uint8]  # digit of an unsigned zoned byte, 255 if none
    signed_digit: npt.NDArray[np.uint8]  # digit of an overpunched byte, 255 if none
    is_negative: npt.NDArray[np.bool_]  # sign of an overpunched byte
    blank: npt.NDArray[np.bool_]  # space or low-value


@lru_cache(maxsize=32)
def code_page(name: str, keep_control_characters: bool = False) -> CodePage:
    """The tables of a code page; raises :class:`SettingsError` for one that is unknown or not single-byte.

    A control character becomes a space unless kept, an undefined byte U+FFFD.
    """
    try:
        info = codecs.lookup(name)
        zero, space = "0".encode(name), " ".encode(name)
    except (LookupError, UnicodeError):
        raise SettingsError(
            f"setting 'code_page': '{name}' is not a known code page, such as cp037"
        ) from None
    if zero not in (b"\xf0", b"0") or len(space) != 1 or info.name.startswith("utf"):
        raise SettingsError(f"setting 'code_page': '{name}' is not a single-byte EBCDIC or ASCII code page")
    is_ebcdic = zero == b"\xf0"
    ascii_bytes = bytearray(256)
    utf8 = np.zeros((256, 4), dtype=np.uint8)
    length = np.zeros(256, dtype=np.int64)
    for value in range(256):
        char = bytes([value]).decode(name, errors="replace")
        if not keep_control_characters and (ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0):
            char = " "
        encoded = char.encode("utf-8")
        utf8[value, : len(encoded)] = list(encoded)
        length[value] = len(encoded)
        ascii_bytes[value] = encoded[0] if len(encoded) == 1 else 0x80
    byte = np.arange(256)
    low, high = byte & 15, byte >> 4
    digit = np.full(256, _INVALID, dtype=np.uint8)
    signed_digit = digit.copy()
    is_negative = np.zeros(256, dtype=bool)
    if is_ebcdic:
        digit[0xF0:0xFA] = range(10)
        signed = (low <= 9) & (high >= 0xA)
        signed_digit[signed] = low[signed]
        is_negative[:] = signed & ((high == 0xD) | (high == 0xB))
    else:
        digit[0x30:0x3A] = range(10)
        for text, negative in (
            ("0123456789", False),
            ("{ABCDEFGHI", False),
            ("}JKLMNOPQR", True),
            ("pqrstuvwxy", True),
        ):
            for value, char in enumerate(text):
                signed_digit[ord(char)] = value
                is_negative[ord(char)] = negative
    blank = np.zeros(256, dtype=bool)
    blank[[0, space[0]]] = True
    return CodePage(
        name, is_ebcdic, bytes(ascii_bytes), utf8, length, digit, signed_digit, is_negative, blank
    )


def value_type(field: Field) -> pa.DataType:
    """The Arrow type of one occurrence of an elementary field."""
    picture = field.picture
    if picture is None:
        return pa.float64()
    if picture.is_text:
        return pa.string()
    if picture.scale == 0 and picture.precision <= _INT64_DIGITS:
        return pa.int64()
    return pa.decimal128(picture.precision, picture.scale)


@dataclass(frozen=True)
class ValueOptions:
    """What a site decides about its values."""

    page: CodePage
    is_ibm_float: bool
    is_comp5_big_endian: bool
    trim: str


def decode_values(matrix: Bytes2D, field: Field, options: ValueOptions) -> Decoded:
    """Decode one elementary field of many records."""
    picture = field.picture
    if picture is None:
        return _decode_float(matrix, field.usage, options.is_ibm_float)
    if picture.is_text:
        return _decode_text(matrix, options), None
    if picture.is_edited:
        return _decode_edited(matrix, field, options.page)
    if field.usage is Usage.BINARY:
        return _decode_binary(matrix, field, options.is_comp5_big_endian or not field.is_native)
    if field.usage is Usage.PACKED:
        return _decode_packed(matrix, field)
    return _decode_zoned(matrix, field, options.page)


def _decode_text(matrix: Bytes2D, options: ValueOptions) -> pa.Array:
    page = options.page
    rows, width = matrix.shape
    raw = matrix.tobytes()
    plain = raw.translate(page.ascii)
    if plain.isascii():
        offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
        data = plain
    else:
        source = np.frombuffer(raw, dtype=np.uint8)
        lengths = page.utf8_length[source]
        row_lengths = lengths.reshape(rows, width).sum(axis=1)
        offsets = np.concatenate([[0], np.cumsum(row_lengths)]).astype(np.int32)
        used = np.arange(4) < lengths[:, None]
        data = page.utf8[source][used].tobytes()
    text = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(data))
    trimmed = _TRIMS[options.trim](text)
    empty = np.asarray(pc.equal(pc.binary_length(trimmed), 0).to_numpy(zero_copy_only=False))
    if not empty.any():
        return trimmed
    return pa.StringArray.from_buffers(rows, trimmed.buffers()[1], trimmed.buffers()[2], validity(empty))


_TRIMS = {
    "right": lambda text: pc.ascii_rtrim(text, characters=" "),
    "left": lambda text: pc.ascii_ltrim(text, characters=" "),
    "both": lambda text: pc.ascii_trim(text, characters=" "),
    "none": lambda text: text,
}


def _decode_packed(matrix: Bytes2D, field: Field) -> Decoded:
    assert field.picture is not None
    columns = np.ascontiguousarray(matrix.T)
    last = columns[-1]
    sign = last & 15
    pairs = _PACKED_PAIR[columns[:-1]]
    final = last >> 4
    bad = (final > 9) | (sign < 10)
    if len(pairs):
        bad |= pairs.max(axis=0) == _INVALID
    negative = (sign == 0xD) | (sign == 0xB)
    if field.picture.digits > _INT64_DIGITS:
        digits = np.concatenate(
            [np.stack([pairs // 10, pairs % 10], axis=1).reshape(-1, len(last)), final[None]]
        )
        return _wide(digits, negative, bad, field)
    values = final.astype(np.int64)
    if len(pairs):
        values += combine_digits(pairs, 100) * 10
    if field.picture.digits % 2 == 0:
        bad |= columns[0] > 9  # the nibble above an even number of digits belongs to no digit
    np.negative(values, out=values, where=negative)
    return _number(values, bad, field)


_PACKED_PAIR = np.array(
    [(b >> 4) * 10 + (b & 15) if (b >> 4) <= 9 and (b & 15) <= 9 else _INVALID for b in range(256)],
    dtype=np.uint8,
)


def _decode_zoned(matrix: Bytes2D, field: Field, page: CodePage) -> Decoded:
    assert field.picture is not None
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
    bad = bad | (digits.max(axis=0) == _INVALID)
    missing: BoolMask | None = None
    if bad.any():
        # A blank number was never filled in: it is missing, which is not the same as wrong.
        at = np.flatnonzero(bad)
        blank = page.blank[columns[:, at]].all(axis=0)
        missing = np.zeros(rows, dtype=bool)
        missing[at[blank]] = True
        bad = bad & ~missing
    if field.picture.digits > _INT64_DIGITS:
        return _wide(digits, negative, bad, field, missing)
    values = combine_digits(digits, 10)
    np.negative(values, out=values, where=negative)
    return _number(values, bad, field, missing)


def _decode_binary(matrix: Bytes2D, field: Field, is_big_endian: bool) -> Decoded:
    assert field.picture is not None
    picture = field.picture
    rows, width = matrix.shape
    if width in (2, 4, 8):
        kind = f"{'>' if is_big_endian else '<'}{'i' if picture.is_signed else 'u'}{width}"
        native = np.ascontiguousarray(matrix).view(kind)[:, 0]
        values = native.astype(np.int64)
        bad = np.zeros(rows, dtype=bool) if picture.is_signed or width < 8 else native > np.uint64(2**63 - 1)
        if picture.scale:
            bad = bad | (np.abs(values) >= 10**picture.digits)
        return _number(values, bad, field)
    little = matrix[:, ::-1] if is_big_endian else matrix
    buffer = np.zeros((rows, 16), dtype=np.uint8)
    buffer[:, :width] = little
    if picture.is_signed:
        buffer[:, width:] = np.where(little[:, -1:] >= 0x80, np.uint8(0xFF), np.uint8(0))
    halves = buffer.view(np.uint64)
    low, high = halves[:, 0], halves[:, 1].view(np.int64)
    limit = 10**picture.digits
    bad = ~(_less(high, low, limit) & ~_less(high, low, 1 - limit))
    array = pa.Array.from_buffers(value_type(field), rows, [validity(bad), pa.py_buffer(buffer)])
    return array, bad if bad.any() else None


def _less(high: npt.NDArray[np.int64], low: npt.NDArray[np.uint64], limit: int) -> BoolMask:
    """128-bit two's complement ``(high, low) < limit``."""
    limit_high, limit_low = np.int64(limit >> 64), np.uint64(limit & (2**64 - 1))
    less: BoolMask = (high < limit_high) | ((high == limit_high) & (low < limit_low))
    return less


def _decode_float(matrix: Bytes2D, usage: Usage, is_ibm: bool) -> Decoded:
    width = 4 if usage is Usage.FLOAT else 8
    raw = np.ascontiguousarray(matrix).view(f">u{width}")[:, 0]
    if not is_ibm:
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


def _decode_edited(matrix: Bytes2D, field: Field, page: CodePage) -> Decoded:
    """Numbers as people read them: blanks, floating signs, an explicit point, CR and DB."""
    assert field.picture is not None
    picture = field.picture
    rows, width = matrix.shape
    shown = np.frombuffer(matrix.tobytes().translate(page.ascii), dtype=np.uint8).reshape(rows, width).copy()
    # The sign may ride on the last digit (S with an explicit point); a digit there is its own plain form.
    last = matrix[:, -1]
    rides = (page.signed_digit[last] != _INVALID) & (page.digit[last] == _INVALID) & picture.is_overpunched
    shown[rides, -1] = page.signed_digit[last[rides]] + ord("0")
    shown[shown >= 0x80] = ord("?")
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    text = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(shown.tobytes()))
    digits_only = pc.replace_substring_regex(text, r"CR|DB|[ ,$*/+\-]", "")
    shape = r"^[ $*/]*[+\-]?[ $*/]*[0-9, /]*(\.[0-9]*)?[ ]*(\+|-|CR|DB)?[ ]*$"
    fits = rf"^\d{{0,{picture.digits}}}$"
    if picture.has_point:
        fits = rf"^\d{{0,{picture.digits - picture.scale}}}(\.\d{{0,{picture.scale}}})?$"
    good = as_mask(pc.match_substring_regex(text, shape)) & as_mask(
        pc.match_substring_regex(digits_only, fits)
    )
    filled = as_mask(pc.match_substring_regex(digits_only, r"\d"))
    cleaned = pc.if_else(pa.array(good & filled), digits_only, pa.scalar(None, pa.string()))
    value = pc.cast(cleaned, pa.decimal128(MAX_DIGITS, picture.scale if picture.has_point else 0))
    if not picture.has_point:
        value = pa.Array.from_buffers(pa.decimal128(MAX_DIGITS, picture.scale), rows, value.buffers()[:2])
    negative = as_mask(pc.match_substring_regex(text, "-|CR|DB")) | (rides & page.is_negative[last])
    value = pc.cast(pc.if_else(pa.array(negative), pc.negate(value), value), value_type(field))
    return value, None if good.all() else ~good


def _number(
    values: npt.NDArray[np.int64], bad: BoolMask, field: Field, missing: BoolMask | None = None
) -> Decoded:
    """Unscaled int64 values to the field's type; decimals are made of their 128-bit halves directly."""
    assert field.picture is not None
    if field.picture.trailing_p:
        values = values * 10**field.picture.trailing_p
    kind = value_type(field)
    null = bad if missing is None else bad | missing
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
    array = pa.Array.from_buffers(value_type(field), rows, [validity(null), unscaled.buffers()[1]])
    return array, bad if bad.any() else None
