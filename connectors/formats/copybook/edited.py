"""Numbers as people read them: blanks, floating signs and currency, an explicit point, CR and DB.

Belongs here: edited pictures. Does not belong here: numbers as machines keep them (``numbers``).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.columns import as_mask
from connectors.formats.copybook.code_page import INVALID
from connectors.formats.copybook.numbers import Bytes2D, Decoded, ValueOptions, unfilled, value_type
from connectors.formats.copybook.parser import Field
from connectors.formats.copybook.picture import MAX_DIGITS

_BODY = r"[ $*/]*[0-9, /]*(\.[0-9]*)?[ ]*"
_SHAPE = rf"^[ $*/]*[+\-]{_BODY}$|^{_BODY}(\+|-|CR|DB)?[ ]*$"  # a sign on one side only
_SWAPPED = np.arange(256, dtype=np.uint8)
_SWAPPED[[ord(","), ord(".")]] = [ord("."), ord(",")]


def decode_edited(matrix: Bytes2D, field: Field, options: ValueOptions) -> Decoded:
    """Read the digits and the sign whatever stands between them; more digits than the picture has are bad."""
    assert field.picture is not None
    picture, page = field.picture, options.page
    rows, width = matrix.shape
    shown = np.frombuffer(matrix.tobytes().translate(page.ascii), dtype=np.uint8).reshape(rows, width).copy()
    # The sign may ride on the last digit (S with an explicit point); a digit there is its own plain form.
    last = matrix[:, -1]
    rides = (page.signed_digit[last] != INVALID) & (page.digit[last] == INVALID) & picture.is_overpunched
    shown[rides, -1] = page.signed_digit[last[rides]] + ord("0")
    shown[shown >= 0x80] = ord("?")
    if options.is_decimal_comma:
        shown = _SWAPPED[shown]
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    text = pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(shown.tobytes()))
    digits_only = pc.replace_substring_regex(text, r"CR|DB|[ ,$*/+\-]", "")
    fits = rf"^\d{{0,{picture.digits}}}$"
    if picture.has_point:
        fits = rf"^\d{{0,{picture.digits - picture.scale}}}(\.\d{{0,{picture.scale}}})?$"
    filled = as_mask(pc.match_substring_regex(digits_only, r"\d"))
    good = as_mask(pc.match_substring_regex(text, _SHAPE)) & as_mask(
        pc.match_substring_regex(digits_only, fits)
    )
    # Zero under check protection is nothing but asterisks.
    zero = ~filled & as_mask(pc.match_substring_regex(text, r"^\*[*,.]*$")) & (picture.digits > 0)
    missing = np.zeros(rows, dtype=bool)
    suspects = ~(good & filled) & ~zero
    if suspects.any():
        missing, blank_zero = unfilled(np.ascontiguousarray(matrix.T), suspects, field, options)
        zero = zero | blank_zero
    bad = suspects & ~missing & ~zero
    cleaned = pc.if_else(pa.array(good & filled), digits_only, pa.scalar(None, pa.string()))
    cleaned = pc.if_else(pa.array(zero), pa.scalar("0"), cleaned)
    value = pc.cast(cleaned, pa.decimal128(MAX_DIGITS, picture.scale if picture.has_point else 0))
    if not picture.has_point:
        value = pa.Array.from_buffers(pa.decimal128(MAX_DIGITS, picture.scale), rows, value.buffers()[:2])
    negative = as_mask(pc.match_substring_regex(text, "-|CR|DB")) | (rides & page.is_negative[last])
    value = pc.cast(pc.if_else(pa.array(negative), pc.negate(value), value), value_type(field))
    return value, bad if bad.any() else None
