"""A file of records in blocks of bounded size.

Belongs here: reading, file header and footer, and records that lie across a block's border. Does not belong
here: how records are told apart; see ``framing``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from connectors.formats.base import RefusedFile, read_exactly
from connectors.formats.copybook.framing import Bytes, Fixed, Found, Framing, Offsets

BLOCK_BYTES = 4 * 1024 * 1024
PADDED_BYTES = 16 * 1024 * 1024
"""Most bytes a block has after short records were filled up."""


@dataclass(frozen=True)
class Block:
    """Records of one stretch of the file: ``data[starts : starts + lengths]``.

    ``raw`` and ``raw_starts`` are the bytes as they lie in the file from ``file_offset`` on; they differ from
    ``data`` where short records were filled up with spaces. ``lengths`` are those in the file.
    """

    data: Bytes
    starts: Offsets
    lengths: Offsets
    ends: Offsets
    raw: Bytes
    raw_starts: Offsets
    file_offset: int

    def record(self, index: int) -> bytes:
        """The bytes of one record as they are in the file, without a descriptor word."""
        start = int(self.raw_starts[index])
        return self.raw[start : start + int(self.lengths[index])].tobytes()

    def offset(self, index: int) -> int:
        """Where the record starts in the file, behind its descriptor word."""
        return self.file_offset + int(self.raw_starts[index])


@dataclass(frozen=True)
class Surroundings:
    """Bytes before the first and behind the last record, and what short records are filled up with."""

    header_bytes: int
    footer_bytes: int
    pad_to: int
    pad_with: int


def read_blocks(stream: BinaryIO, framing: Framing, around: Surroundings, name: str) -> Iterator[Block]:
    """All records of a file, block by block.

    Raises :class:`RefusedFile` with the byte offset for a truncated last record or a broken chain.
    """
    position = around.header_bytes
    if len(read_exactly(stream, position)) < position:
        raise RefusedFile(f"{name}: shorter than its file header of {position} bytes")
    carry = b""
    size = BLOCK_BYTES
    if isinstance(framing, Fixed):
        # Whole records only, so that no block has to be put together from two.
        size = max(BLOCK_BYTES // framing.length, 1) * framing.length
    for part, is_end in _body(stream, around.footer_bytes, size, name):
        data = carry + part if carry else part
        found = framing.find(data, position, is_end, name)
        if len(found.starts):
            yield from _blocks(data, found, framing, around, position)
        carry = data[found.used :]
        position += found.used
    if carry:
        raise RefusedFile(
            f"{name}: truncated at byte offset {position}: the last record has {len(carry)} bytes of "
            f"{framing.expected(carry)}; ask for the file again"
        )


def _blocks(
    data: bytes, found: Found, framing: Framing, around: Surroundings, position: int
) -> Iterator[Block]:
    view = np.frombuffer(data, dtype=np.uint8)
    starts, lengths = found.starts, found.lengths
    if not framing.pads or not (lengths < around.pad_to).any():
        yield Block(view, starts, lengths, starts + lengths, view, starts, position)
        return
    step = max(PADDED_BYTES // around.pad_to, 1)
    for first in range(0, len(starts), step):
        some, long = starts[first : first + step], lengths[first : first + step]
        yield _padded(view, some, long, around, position)


def _padded(view: Bytes, starts: Offsets, lengths: Offsets, around: Surroundings, position: int) -> Block:
    """Records in rows as wide as the longest layout; what is longer is cut and told by its length."""
    width = around.pad_to
    matrix = np.full((len(starts), width), around.pad_with, dtype=np.uint8)
    kept = np.minimum(lengths, width)
    within: npt.NDArray[np.bool_] = np.arange(width) < kept[:, None]
    first = np.repeat(starts - np.cumsum(kept) + kept, kept)
    matrix[within] = view[first + np.arange(kept.sum())]
    rows = np.arange(len(starts), dtype=np.int64) * width
    return Block(matrix.reshape(-1), rows, lengths, rows + width, view, starts, position)


def _body(stream: BinaryIO, footer: int, size: int, name: str) -> Iterator[tuple[bytes, bool]]:
    """What lies between file header and footer, the last part marked; the footer is held back until then."""
    held, ready = b"", b""
    while part := read_exactly(stream, size):
        data = held + part if held else part
        cut = max(len(data) - footer, 0)
        held = data[cut:]
        if cut:
            if ready:
                yield ready, False
            ready = data[:cut] if footer else data
    if len(held) < footer:
        raise RefusedFile(f"{name}: shorter than its file footer of {footer} bytes")
    if ready:
        yield ready, True
