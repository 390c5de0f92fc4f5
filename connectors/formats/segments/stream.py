"""A stream of interchanges in blocks of whole segments, in bounded memory.

Belongs here: reading, where an interchange begins, and what is held back for the next block. Does not belong
here: how an interchange declares its delimiters (each syntax knows), what its segments mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np

from connectors.formats.base import RefusedFile, read_exactly
from connectors.formats.segments.scan import BLANKS, Delimiters, Segments, Tags

BLOCK_BYTES = 2 * 1024 * 1024
MAX_HELD_BYTES = 16 * 1024 * 1024
_SMALL_BLOCK = 8 * 1024
_HEADER_BYTES = 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Syntax(Protocol):
    """What the two families do differently at the edges of an interchange."""

    end_tag: str

    def delimiters(self, data: bytes, is_all: bool) -> Delimiters | None:
        """Those of the interchange that ``data`` begins with; None where more of it must be seen.

        Raises :class:`RefusedFile` where no interchange begins; ``is_all`` when the file ends with ``data``.
        """
        ...


@dataclass
class _Buffer:
    """What was read and not yet given on."""

    data: bytes = b""
    offset: int = 0
    is_all: bool = False

    def drop(self, count: int) -> None:
        self.data = self.data[count:]
        self.offset += count


def read_segments(
    stream: BinaryIO, syntax: Syntax, whole: Callable[[Segments], int], name: str
) -> Iterator[Segments]:
    """Blocks of segments, each of one interchange's delimiters; several interchanges may share a block.

    ``whole`` says how many of the segments can do without what follows them: the others come again at the
    head of the next block. What is held so grows to at most 16 MiB; beyond, the file is refused. The last
    segment of a file may lack its terminator.
    """
    buffer = _Buffer()
    number, block = 1, BLOCK_BYTES
    delimiters: Delimiters | None = None
    end = Tags([syntax.end_tag])
    is_first, is_starved = True, True
    while True:
        if is_starved:
            part = read_exactly(stream, BLOCK_BYTES)
            buffer.data += part
            buffer.is_all = not part
            if len(buffer.data) > MAX_HELD_BYTES:
                raise RefusedFile(
                    f"{name}: what begins at byte {buffer.offset + 1} does not end within "
                    f"{MAX_HELD_BYTES >> 20} MiB: a segment or a group of segments has lost its end"
                )
        if is_first and buffer.data.startswith(_BYTE_ORDER_MARK):
            buffer.drop(len(_BYTE_ORDER_MARK))
        is_first = False
        if delimiters is None:
            buffer.drop(len(buffer.data) - len(buffer.data.lstrip(BLANKS)))
            try:
                delimiters = syntax.delimiters(buffer.data, buffer.is_all) if buffer.data else None
            except RefusedFile as error:
                raise RefusedFile(f"{name}: byte {buffer.offset + 1}: {error}") from None
            if delimiters is None:
                if buffer.is_all:
                    return
                is_starved = True
                continue
        is_part = block < len(buffer.data)
        given, used, is_over = _cut(buffer, delimiters, block, number, end, syntax, whole)
        if len(given):
            number += len(given)
            yield given
        buffer.drop(used)
        if is_over:
            # Other delimiters may follow, again and again: no more is scanned in vain than a small block.
            delimiters, block, is_starved = None, _SMALL_BLOCK, False
        elif is_part:
            block, is_starved = block * 4, False
        elif buffer.is_all:
            return
        else:
            block, is_starved = max(block, len(buffer.data) + BLOCK_BYTES), True


def _cut(
    buffer: _Buffer,
    delimiters: Delimiters,
    block: int,
    number: int,
    end: Tags,
    syntax: Syntax,
    whole: Callable[[Segments], int],
) -> tuple[Segments, int, bool]:
    """Segments to give on, the bytes they take, and whether the interchange's delimiters end with them."""
    data = buffer.data[:block]
    is_last = buffer.is_all and block >= len(buffer.data)
    segments = Segments(data, delimiters, number, buffer.offset)
    count = len(segments)
    if count and not is_last and segments.end[-1] == len(data):
        count -= 1  # without its terminator
    for row in np.flatnonzero(end.of(segments)[:count] > 0).tolist():
        after = int(segments.end[row]) + 1
        rest = buffer.data[after : after + _HEADER_BYTES].lstrip(BLANKS)
        try:
            following = syntax.delimiters(rest, buffer.is_all) if rest else None
        except RefusedFile:
            following = None  # it will be said, with its place, when its turn comes
        if following != delimiters:
            return segments.head(row + 1), min(after, len(data)), True
    if is_last:
        return segments.head(count), len(data), False
    complete = segments.head(count)
    kept = min(whole(complete), count)
    if kept == 0:
        return complete.head(0), 0, False
    return complete.head(kept), int(segments.end[kept - 1]) + 1, False
