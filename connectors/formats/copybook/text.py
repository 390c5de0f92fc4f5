"""Fixed-width text to Arrow strings: single-byte code pages, national and double-byte characters.

Belongs here: characters and trimming. Does not belong here: numbers, code page tables.
"""

from __future__ import annotations

import codecs
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.base import SettingsError
from connectors.formats.copybook.code_page import CodePage
from connectors.formats.digits import validity

Bytes2D = npt.NDArray[np.uint8]
CodePoints = npt.NDArray[np.uint32]

NATIONAL = "utf-16-be"
_REPLACEMENT = 0xFFFD


def decode_text(matrix: Bytes2D, page: CodePage, trim: str) -> pa.Array:
    """Single-byte text ``(n, width)``, blanks cut off at ``trim``; what is then empty is null."""
    rows, width = matrix.shape
    raw = matrix.tobytes()
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    if page.dropped:
        gone = np.isin(matrix, np.frombuffer(page.dropped, dtype=np.uint8)).sum(axis=1)
        offsets -= np.concatenate([[0], np.cumsum(gone)]).astype(np.int32)
        raw = raw.translate(None, page.dropped)
    text = _array(raw, offsets)
    # Most of fixed-width text is padding: what is cut off before the code page need not pass through it.
    text = _cut(text, trim, page.low_blanks)
    offsets = _offsets(text)
    kept = text.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes()
    offsets = offsets - offsets[0]
    data = kept.translate(page.ascii)
    if not data.isascii():
        # A character beyond ASCII takes two or three bytes. They are few, so only they are counted.
        at = np.flatnonzero(np.frombuffer(data, dtype=np.int8) < 0)
        extra = page.utf8_length[np.frombuffer(kept, dtype=np.uint8)[at]] - 1
        of = np.searchsorted(offsets, at, side="right") - 1
        more = np.bincount(of, weights=extra, minlength=rows).astype(np.int64)
        offsets = (offsets + np.concatenate([[0], np.cumsum(more)])).astype(np.int32)
        data = codecs.charmap_decode(kept, "strict", page.characters)[0].encode("utf-8", errors="replace")  # type: ignore[arg-type]
    text = _array(data, offsets)
    if any(blank in raw for blank in page.high_blanks):
        text = _cut(text, trim, " ")
    return _empty_is_null(text)


def decode_double_byte(matrix: Bytes2D, codec: str, trim: str) -> pa.Array:
    """Text of two bytes a character: UTF-16 (surrogate pairs joined) or any codec of pairs of bytes."""
    pairs = np.ascontiguousarray(matrix).view(">u2")
    points = _utf16(pairs.astype(np.uint32)) if codec == NATIONAL else _pair_table(codec)[pairs]
    points[(points < 0x20) | ((points >= 0x7F) & (points < 0xA0)) | (points == 0x3000)] = 0x20
    encoded, lengths = _utf8(points)
    offsets = np.concatenate([[0], np.cumsum(lengths.sum(axis=1))]).astype(np.int32)
    text = _array(encoded[np.arange(4) < lengths[:, :, None]].tobytes(), offsets)
    return _empty_is_null(_cut(text, trim, " "))


def check_double_byte(codec: str) -> None:
    """Raise :class:`SettingsError` unless ``codec`` is one Python knows."""
    try:
        codecs.lookup(codec)
        _pair_table(codec)
    except (LookupError, ValueError):
        raise SettingsError(
            f"setting 'double_byte_code_page': '{codec}' is not a codec of characters, such as utf-16-be"
        ) from None


def _array(data: bytes, offsets: npt.NDArray[np.int32]) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def _offsets(text: pa.StringArray) -> npt.NDArray[np.int32]:
    found = np.frombuffer(text.buffers()[1], dtype=np.int32)
    return found[text.offset : text.offset + len(text) + 1]


def _cut(text: pa.StringArray, trim: str, blanks: str) -> pa.StringArray:
    """Cut bytes off the sides; Arrow compares bytes here, whatever they are in a code page."""
    if trim == "none" or not len(text):
        return text
    return {"right": pc.ascii_rtrim, "left": pc.ascii_ltrim, "both": pc.ascii_trim}[trim](
        text, characters=blanks
    )


def _empty_is_null(text: pa.StringArray) -> pa.StringArray:
    offsets = _offsets(text)
    empty = offsets[1:] == offsets[:-1]
    if not empty.any():
        return text
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), text.buffers()[2], validity(empty))


def _utf16(units: CodePoints) -> CodePoints:
    """UTF-16 units to code points; the second half of a pair becomes 0xFFFFFFFF, which is no character."""
    high = (units >= 0xD800) & (units < 0xDC00)
    low = (units >= 0xDC00) & (units < 0xE000)
    points = np.where(high | low, np.uint32(_REPLACEMENT), units)
    joined = high[:, :-1] & low[:, 1:]
    if joined.any():
        full = 0x10000 + ((units[:, :-1] - 0xD800) << np.uint32(10)) + (units[:, 1:] - 0xDC00)
        points[:, :-1] = np.where(joined, full, points[:, :-1])
        points[:, 1:] = np.where(joined, np.uint32(0xFFFFFFFF), points[:, 1:])
    return points


@lru_cache(maxsize=8)
def _pair_table(codec: str) -> CodePoints:
    """The code point of each pair of bytes."""
    table = np.full(65536, _REPLACEMENT, dtype=np.uint32)
    for pair in range(65536):
        char = pair.to_bytes(2, "big").decode(codec, errors="replace")
        if len(char) == 1:
            table[pair] = ord(char)
    table[0] = 0x20
    return table


def _utf8(points: CodePoints) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Each code point as up to four bytes, and how many; 0xFFFFFFFF has none."""
    p = points.astype(np.int64)
    length = 1 + (p >= 0x80) + (p >= 0x800) + (p >= 0x10000)
    length[p == 0xFFFFFFFF] = 0
    encoded = np.zeros((*points.shape, 4), dtype=np.uint8)
    tail = [0x80 | (p & 0x3F), 0x80 | ((p >> 6) & 0x3F), 0x80 | ((p >> 12) & 0x3F)]
    for size, first in ((1, p), (2, 0xC0 | (p >> 6)), (3, 0xE0 | (p >> 12)), (4, 0xF0 | (p >> 18))):
        chosen = length == size
        encoded[..., 0][chosen] = first[chosen]
        for place in range(1, size):
            encoded[..., place][chosen] = tail[size - 1 - place][chosen]
    return encoded, length
