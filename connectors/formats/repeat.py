"""Each value of a column so many times over: from one a record to one a reading.

Belongs here: doing it fast, for texts above all. Does not belong here: which values and how often.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.formats.digits import validity

Ints = npt.NDArray[np.int64]
_MOST_BYTES = 2**31 - 1


def repeat_texts(values: pa.StringArray, counts: Ints) -> pa.StringArray:
    """``values[i]`` ``counts[i]`` times, at least once, one after the other.

    Texts of one length, as identifiers and codes nearly always are, are copied many at a time under offsets
    that are made once; a null takes the room of a text.
    """
    total = int(counts.sum())
    if values.null_count == len(values) or not total:
        return pa.nulls(total, values.type)
    lengths = pc.binary_length(values)
    width = pc.max(lengths).as_py()
    if pc.min(lengths).as_py() != width or not width or width * total > _MOST_BYTES:
        return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(pa.array(np.cumsum(counts)), values))
    if values.null_count:
        missing = np.repeat(values.is_null().to_numpy(zero_copy_only=False), counts)
        values = pc.fill_null(values, " " * width)
    else:
        missing = np.zeros(0, dtype=bool)
    low = values.offset * width
    if values.offset:
        low = int(np.frombuffer(values.buffers()[1], dtype=np.int32, count=values.offset + 1)[-1])
    text = np.frombuffer(values.buffers()[2], dtype=np.uint8, offset=low, count=len(values) * width)
    # In pieces of several texts where all counts allow it: few bytes cost as much to copy as many.
    several = int(np.gcd.reduce(counts))
    pieces = np.repeat(text.reshape(-1, 1, width), several, axis=1).reshape(-1).view(f"V{width * several}")
    repeated = np.repeat(pieces, counts // several)
    offsets = _offsets(width, 1 << total.bit_length())[: total + 1]
    return pa.StringArray.from_buffers(
        total, pa.py_buffer(offsets), pa.py_buffer(repeated.view(np.uint8)), validity(missing)
    )


def repeat_numbers(values: pa.Array, counts: Ints) -> pa.Array:
    """Numbers of any Arrow type that numpy has, nulls included, each ``counts[i]`` times."""
    total = int(counts.sum())
    if values.null_count == len(values) or not total:
        return pa.nulls(total, values.type)
    missing = np.zeros(0, dtype=bool)
    if values.null_count:
        missing = np.repeat(values.is_null().to_numpy(zero_copy_only=False), counts)
        values = pc.fill_null(values, 0)
    repeated = np.repeat(values.to_numpy(), counts)
    return pa.Array.from_buffers(values.type, total, [validity(missing), pa.py_buffer(repeated)])


@lru_cache(maxsize=32)
def _offsets(width: int, count: int) -> npt.NDArray[np.int32]:
    """Where texts of one width begin; shared by all columns of that width, so nobody may write to it."""
    offsets = (np.arange(count + 1, dtype=np.int64) * width).astype(np.int32)
    offsets.flags.writeable = False
    return offsets
