"""COBOL field encodings over whole columns: EBCDIC text, zoned digits, packed decimals, binary, records.

Belongs here: one function a USAGE, columns in, byte matrices out. Does not belong here: which field has
which (cis.py).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from demo.world.config import Ints

Cells = NDArray[np.uint8]

_TO_CP037 = np.frombuffer(bytes(range(256)).decode("latin-1").encode("cp037"), np.uint8)


def text(values: pa.Array | str, width: int, rows: int = 0) -> Cells:
    """PIC X(width): Latin text cut and padded with blanks; null is blank. One value fills ``rows`` rows."""
    column = pa.array([values] * rows) if isinstance(values, str) else values
    filled = pc.fill_null(column.cast(pa.string()), "")
    padded = pc.ascii_rpad(pc.utf8_slice_codeunits(filled, 0, width), width=width, padding=" ")
    padded = pa.concat_arrays([padded])
    if len(padded) == 0:
        return np.zeros((0, width), np.uint8)
    raw = np.frombuffer(padded.buffers()[2], np.uint8, count=width * len(padded))
    return _TO_CP037[raw].reshape(-1, width)


def _digits(values: Ints, width: int) -> NDArray[np.int64]:
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return np.abs(np.asarray(values, np.int64))[:, None] // powers % 10


def zoned(values: Ints, width: int) -> Cells:
    """PIC 9(width) DISPLAY, unsigned."""
    return (_digits(values, width) | 0xF0).astype(np.uint8)


def packed(values: Ints, digits: int, *, signed: bool) -> Cells:
    """COMP-3 of so many digits; values are integers without the implied point."""
    width = digits // 2 + 1
    nibbles = np.empty((len(values), width * 2), np.int64)
    nibbles[:, :-1] = _digits(values, width * 2 - 1)
    nibbles[:, -1] = np.where(np.asarray(values) < 0, 0xD, 0xC) if signed else 0xF
    return (nibbles[:, 0::2] << 4 | nibbles[:, 1::2]).astype(np.uint8)


def binary(values: Ints, size: int) -> Cells:
    """COMP: big-endian two's complement of 2, 4 or 8 bytes."""
    cells = np.ascontiguousarray(np.asarray(values), dtype=f">i{size}")
    return cells.view(np.uint8).reshape(-1, size)


def records(kind: str, fields: list[Cells]) -> Cells:
    """Complete records: descriptor word (big-endian length that counts itself), record type, fields."""
    rows = len(fields[0])
    width = 5 + sum(f.shape[1] for f in fields)
    head = np.zeros((rows, 5), np.uint8)
    head[:, 0], head[:, 1] = width >> 8, width & 0xFF
    head[:, 4] = kind.encode("cp037")[0]
    return np.concatenate([head, *fields], axis=1)
