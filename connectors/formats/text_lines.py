"""Lines and comma-separated fields of a text buffer, by position instead of by string.

Belongs here: where lines and fields start and end, and how to lift some of them out as Arrow strings. Does
not belong here: what a line means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.formats.columns import BoolMask

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_SCAN = 1 << 24
_BLANK = np.zeros(256, dtype=bool)
_BLANK[[0x00, 0x09, 0x0D, 0x1A, 0x20]] = True


@dataclass(frozen=True)
class Lines:
    """Lines with something on them: ``[start, end)`` without line end, and the 1-based physical line."""

    start: Ints
    end: Ints
    line_no: Ints

    def __len__(self) -> int:
        return len(self.start)


def find_lines(data: Bytes, start: int = 0) -> Lines:
    """All lines of ``data`` from ``start`` on; LF or CRLF.

    Blank ones are left out but counted in ``line_no``.
    """
    breaks = [np.flatnonzero(data[i : i + _SCAN] == 0x0A) + i for i in range(start, len(data), _SCAN)]
    ends = np.concatenate([*breaks, np.array([len(data)])]).astype(np.int64)
    starts = np.concatenate([np.array([start]), ends[:-1] + 1]).astype(np.int64)
    numbers = np.arange(1, len(ends) + 1, dtype=np.int64)
    starts, ends = trim(data, starts, ends)
    kept = ends > starts
    return Lines(starts[kept], ends[kept], numbers[kept])


def trim(data: Bytes, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Move both ends of every span inwards over blanks (space, tab, CR, NUL and the old end-of-file mark)."""
    starts, ends = starts.copy(), ends.copy()
    moving = np.flatnonzero(ends > starts)
    while len(moving):
        moving = moving[_BLANK[data[ends[moving] - 1]]]
        ends[moving] -= 1
        moving = moving[ends[moving] > starts[moving]]
    moving = np.flatnonzero(ends > starts)
    while len(moving):
        moving = moving[_BLANK[data[starts[moving]]]]
        starts[moving] += 1
        moving = moving[ends[moving] > starts[moving]]
    return starts, ends


def lift(data: Bytes, starts: Ints, ends: Ints) -> Bytes:
    """The bytes of the given spans, one after the other."""
    lengths = ends - starts
    total = int(lengths.sum())
    before = np.cumsum(lengths) - lengths
    lifted: Bytes = data[np.repeat(starts - before, lengths) + np.arange(total)]
    return lifted


def strings(data: Bytes, starts: Ints, ends: Ints) -> pa.StringArray:
    """The given spans as Arrow strings.

    What is not ASCII becomes ``?``, so that the text is valid anywhere.
    """
    text = lift(data, starts, ends)
    if (text >= 0x80).any():
        text[text >= 0x80] = ord("?")
    offsets = np.zeros(len(starts) + 1, dtype=np.int32)
    np.cumsum(ends - starts, out=offsets[1:])
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(text))


class Fields:
    """Separated fields of a run of lines that follow each other in the buffer; by commas unless told."""

    def __init__(self, data: Bytes, start: Ints, end: Ints, separator: str = ",") -> None:
        self.data = data
        self.start = start
        self.end = end
        low, high = (int(start[0]), int(end[-1])) if len(start) else (0, 0)
        self._commas = np.flatnonzero(data[low:high] == ord(separator)).astype(np.int64) + low
        self._first = np.searchsorted(self._commas, start)
        self.count = np.searchsorted(self._commas, end) - self._first + 1

    def span(self, rows: Ints, index: Ints | int) -> tuple[Ints, Ints]:
        """Start and end of field ``index`` (0-based, one a row or one for all); empty where there is none."""
        if not len(self._commas):
            index = np.broadcast_to(np.asarray(index, dtype=np.int64), rows.shape)
            start = np.where(index == 0, self.start[rows], self.end[rows])
            return start, self.end[rows]
        first, count = self._first[rows], self.count[rows]
        last = len(self._commas) - 1
        at = first + index
        before = self._commas[np.minimum(np.maximum(at - 1, 0), last)] + 1
        behind = self._commas[np.minimum(at, last)]
        start = np.where(np.asarray(index) == 0, self.start[rows], before)
        end = np.where(index < count - 1, behind, self.end[rows])
        absent = index >= count
        return np.where(absent, self.end[rows], start), np.where(absent, self.end[rows], end)

    def trimmed(self, rows: Ints, index: Ints | int) -> tuple[Ints, Ints]:
        """Like :meth:`span`, without blanks around."""
        return trim(self.data, *self.span(rows, index))

    def text(self, rows: Ints, index: Ints | int) -> pa.StringArray:
        """Field ``index`` as text, trimmed."""
        return strings(self.data, *self.trimmed(rows, index))

    def texts(self, rows: Ints, *indexes: int) -> list[pa.StringArray]:
        """Several fields as text, trimmed; one after the other costs more."""
        every = self.text(np.tile(rows, len(indexes)), np.repeat(indexes, len(rows)))
        return [every[at * len(rows) : (at + 1) * len(rows)] for at in range(len(indexes))]

    def runs(self, rows: Ints, first: int, counts: Ints) -> tuple[Ints, Ints]:
        """Start and end of ``counts`` fields from ``first`` on of each row, row after row, untrimmed.

        Each of them must be there and have a comma on either side.
        """
        before = np.cumsum(counts) - counts
        index = np.repeat(self._first[rows] + first - before, counts) + np.arange(int(counts.sum()))
        ends = self._commas[index]
        starts = np.empty_like(ends)
        starts[1:] = ends[:-1] + 1
        some = counts > 0
        starts[before[some]] = self._commas[self._first[rows[some]] + first - 1] + 1
        return starts, ends

    def commas(self, rows: Ints, low: Ints, high: Ints) -> Ints:
        """Positions of the commas number ``low`` to ``high`` (exclusive) of each row, row after row."""
        counts = high - low
        total = int(counts.sum())
        before = np.cumsum(counts) - counts
        index = np.repeat(self._first[rows] + low - before, counts) + np.arange(total)
        positions: Ints = self._commas[index]
        return positions


def fixed_digits(data: Bytes, starts: Ints, ends: Ints, width: int) -> tuple[Bytes, BoolMask]:
    """Digits ``(width, n)`` of spans that are exactly ``width`` digits, zeros for others.

    And which are others.
    """
    bad: BoolMask = (ends - starts) != width
    safe = np.where(bad, 0, starts)
    if not len(starts) or len(data) < width:
        return np.zeros((width, len(starts)), dtype=np.uint8), np.ones(len(starts), dtype=bool)
    windows = np.lib.stride_tricks.sliding_window_view(data, width)
    digits = np.ascontiguousarray(windows[np.minimum(safe, len(windows) - 1)].T) - np.uint8(ord("0"))
    bad = bad | (digits > 9).any(axis=0)
    digits[:, bad] = 0
    return digits, bad
