"""One elementary field of many records to one Arrow array: types, and which decoder takes which field.

Belongs here: the choice by USAGE and PICTURE. Does not belong here: the decoding itself; see ``text``,
``numbers`` and ``edited``.

Every decoder takes a matrix ``(records, width)`` of bytes and returns the array and the mask of records whose
bytes are no value of that type (they are null in the array), or None when all are good.
"""

from __future__ import annotations

import pyarrow as pa

from connectors.formats.copybook.edited import decode_edited
from connectors.formats.copybook.numbers import (
    Decoded,
    ValueOptions,
    decode_binary,
    decode_float,
    decode_packed,
    decode_zoned,
    value_type,
)
from connectors.formats.copybook.parser import Field, Usage
from connectors.formats.copybook.text import NATIONAL, Bytes2D, decode_double_byte, decode_text

__all__ = ["Bytes2D", "Decoded", "ValueOptions", "decode_values", "value_type"]


def decode_values(matrix: Bytes2D, field: Field, options: ValueOptions) -> Decoded:
    """Decode one elementary field of many records."""
    array, bad = _decode(matrix, field, options)
    return array, None if field.invalid == "null" else bad


def _decode(matrix: Bytes2D, field: Field, options: ValueOptions) -> Decoded:
    picture = field.picture
    if picture is None:
        if field.usage is Usage.INDEX:
            return decode_binary(matrix, field, options)
        return decode_float(matrix, options)
    if picture.is_text:
        trim = "both" if field.is_justified and options.trim in ("left", "right") else options.trim
        if picture.double_byte:
            return _decode_pairs(matrix, picture.double_byte, options, trim), None
        return decode_text(matrix, options.page, trim), None
    if picture.is_edited:
        return decode_edited(matrix, field, options)
    if field.usage is Usage.BINARY:
        return decode_binary(matrix, field, options)
    if field.usage in (Usage.PACKED, Usage.UNSIGNED_PACKED):
        return decode_packed(matrix, field, options)
    return decode_zoned(matrix, field, options)


def _decode_pairs(matrix: Bytes2D, kind: str, options: ValueOptions, trim: str) -> pa.StringArray:
    codec = options.double_byte_code_page or (NATIONAL if kind == "N" else "")
    return decode_double_byte(matrix, codec, trim)
