"""Where the records of a CMEP file lie, and which of them may hold the same intervals.

Belongs here: the first look at a file, which keeps some thirty bytes a line. Does not belong here: values.

A file of gigabytes is read twice: first for this index, then record by record in its order; what the first
look found of a small one is kept. Only records of
one channel whose times overlap, as a file sent again or a catch-up row brings them, are looked at together.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from connectors.formats.base import read_exactly
from connectors.formats.cmep.heads import Heads
from connectors.formats.cmep.settings import CmepSettings
from connectors.formats.cmep.triplets import label_bounds
from connectors.formats.columns import BoolMask
from connectors.formats.local_time import Zone
from connectors.formats.text_blocks import read_lines
from connectors.formats.text_lines import Bytes, Ints
from connectors.formats.words import padded

CHUNK_BYTES = 2 * 1024 * 1024
_TIME_BITS = 27  # minutes until the year 2225
_SPOOL_IN_MEMORY = 32 * 1024 * 1024
_KEPT_BYTES = 24 * 1024 * 1024


@contextmanager
def rereadable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """The stream itself where it can be read again from here, else a copy of it on disk."""
    if stream.seekable() and stream.tell() == 0:
        yield stream
        return
    with tempfile.SpooledTemporaryFile(_SPOOL_IN_MEMORY) as spool:
        shutil.copyfileobj(stream, spool, 1024 * 1024)
        spool.seek(0)
        yield cast(BinaryIO, spool)


@dataclass
class Index:
    """One entry a line: where it lies, and its channel and first time in one sortable number."""

    offset: Ints
    length: npt.NDArray[np.int32]
    line_no: npt.NDArray[np.int32]
    key: npt.NDArray[np.uint64]  # channel, whether of a dial, first minute
    last: npt.NDArray[np.int32]  # −1 where the record has no times
    is_ended: bool  # the last line has a line end
    heads: list[Heads] | None = None  # of the blocks, one after the other, where the file is small

    def __len__(self) -> int:
        return len(self.offset)

    def runs(self, wanted: BoolMask) -> Iterator[Ints]:
        """Lines in file order, cut into stretches of bounded size that have a wanted line."""
        low = 0
        while low < len(self):
            limit = int(self.offset[low]) + CHUNK_BYTES
            high = max(int(np.searchsorted(self.offset, limit)), low + 1)
            if wanted[low:high].any():
                yield np.arange(low, high)
            low = high

    def overlapping(self) -> tuple[npt.NDArray[np.int32], BoolMask]:
        """Cluster of each line, −1 where it stands alone; and lines whose channel has dial and amounts."""
        cluster = np.full(len(self), -1, dtype=np.int32)
        paired = np.zeros(len(self), dtype=bool)
        timed = np.flatnonzero(self.last >= 0)
        if not len(timed):
            return cluster, paired
        order = timed[np.argsort(self.key[timed], kind="stable")]
        key, last = self.key[order], self.last[order].astype(np.int64)
        first = (key & np.uint64((1 << _TIME_BITS) - 1)).astype(np.int64)
        channel = key >> np.uint64(_TIME_BITS)
        group = np.cumsum(np.concatenate([[0], channel[1:] != channel[:-1]]))
        # The latest time so far within each group: groups ascend, so that one never reaches into the next.
        latest = np.maximum.accumulate((group << _TIME_BITS) | last)
        joins = np.concatenate([[False], ((group[1:] << _TIME_BITS) | first[1:]) <= latest[:-1]])
        number = np.cumsum(~joins) - 1
        alone = np.bincount(number) == 1
        cluster[order] = np.where(alone[number], -1, number)
        base = channel >> np.uint64(1)
        ends = np.flatnonzero(base[1:] != base[:-1]) + 1
        is_dial = (channel & np.uint64(1)).astype(bool)
        starts = np.concatenate([[0], ends])
        dials = np.add.reduceat(is_dial, starts, dtype=np.int64)
        sizes = np.diff(np.concatenate([starts, [len(order)]]))
        paired[order] = np.repeat((dials > 0) & (dials < sizes), sizes)
        return cluster, paired


def read_index(stream: BinaryIO, name: str, settings: CmepSettings, place: Zone) -> Index:
    """Look at every line once; raises RefusedFile for a line beyond all measure."""
    parts: list[tuple[npt.NDArray[np.generic], ...]] = []
    is_ended = True
    heads_so_far: list[Heads] | None = []
    for block in read_lines(stream, name):
        data = padded(block.data)
        start, end = block.lines.start, block.lines.end
        heads = Heads(data, start, end, settings)
        low, high = label_bounds(heads, place)
        if heads_so_far is not None:
            heads_so_far.append(heads)
            if block.file_offset > _KEPT_BYTES:
                heads_so_far = None
        channel = heads.channel_keys() >> np.uint64(_TIME_BITS + 1) << np.uint64(1)
        key = (channel | heads.is_register.astype(np.uint64)) << np.uint64(_TIME_BITS)
        known = (low >= 0) & (high >= 0)
        key |= np.where(known, low, 0).astype(np.uint64)
        parts.append(
            (
                start + block.file_offset,
                (end - start).astype(np.int32),
                block.lines.line_no.astype(np.int32),
                key,
                np.where(known, high, -1).astype(np.int32),
            )
        )
        is_ended = b"\n" in block.data[int(end[-1]) :]
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Index(none, none.astype(np.int32), none.astype(np.int32), none.astype(np.uint64),
                     none.astype(np.int32), True)  # fmt: skip
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    offset, length, line_no, key, last = columns
    return Index(offset, length, line_no, key, last, is_ended, heads_so_far)


def read_run(stream: BinaryIO, index: Index, lines: Ints) -> tuple[Bytes, Ints, Ints]:
    """The text of lines that follow each other in the file, and where each starts and ends in it."""
    low = int(index.offset[lines[0]])
    high = int(index.offset[lines[-1]]) + int(index.length[lines[-1]])
    stream.seek(low)
    data = padded(read_exactly(stream, high - low))
    start = index.offset[lines] - low
    return data, start, start + index.length[lines]


def read_scattered(stream: BinaryIO, index: Index, lines: Ints) -> tuple[Bytes, Ints, Ints]:
    """The same for lines that lie anywhere; they come in the order given."""
    parts = []
    for line in lines:
        stream.seek(int(index.offset[line]))
        parts.append(read_exactly(stream, int(index.length[line])))
    length = index.length[lines].astype(np.int64)
    end = np.cumsum(length + 1) - 1
    return padded(b"\n".join(parts)), end - length, end
