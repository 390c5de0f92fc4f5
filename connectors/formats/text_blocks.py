"""Line-based text read in blocks: lines with their numbers and offsets, in bounded memory.

Belongs here: blocks of whole lines, and rejecting some of them. Does not belong here: what a line holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from connectors.formats.base import DecodeResult, RefusedFile, Reject, TableSink, read_exactly
from connectors.formats.columns import BoolMask
from connectors.formats.text_lines import Bytes, Ints, Lines, find_lines

BLOCK_BYTES = 4 * 1024 * 1024
MAX_LINE_BYTES = 32 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class LineBlock:
    """Whole lines of a file; ``lines`` leaves out blank ones, its numbers are those of the file."""

    data: bytes
    view: Bytes
    lines: Lines
    file_offset: int

    def raw(self, index: int) -> bytes:
        """One line without its line end."""
        return self.data[int(self.lines.start[index]) : int(self.lines.end[index])]

    def text_of(self, rows: Ints) -> bytes:
        """The given lines, each ended by LF."""
        if len(rows) == len(self.lines) and b"\r" not in self.data:
            return self.data
        return b"\n".join([self.raw(int(row)) for row in rows]) + b"\n"

    def undecodable(self, encoding: str) -> BoolMask:
        """Lines that are not text in ``encoding``."""
        bad = np.zeros(len(self.lines), dtype=bool)
        try:
            self.data.decode(encoding)
        except UnicodeDecodeError:
            for index in range(len(self.lines)):
                try:
                    self.raw(index).decode(encoding)
                except UnicodeDecodeError:
                    bad[index] = True
        return bad

    def reject(
        self,
        result: DecodeResult,
        sink: TableSink,
        index: int,
        rule: str,
        reason: str,
        *,
        table: str | None = None,
        column: str | None = None,
    ) -> None:
        """Put one line into quarantine; ``table`` and ``column`` where one value has the wrong type."""
        offset = self.file_offset + int(self.lines.start[index])
        number = int(self.lines.line_no[index])
        result.reject(sink, Reject(number, offset, self.raw(index), rule, reason, table, column))


def read_lines(stream: BinaryIO, name: str) -> Iterator[LineBlock]:
    """Blocks of whole lines; a byte order mark is taken off. A line beyond all measure refuses the file."""
    carry, offset, line_no, is_first = b"", 0, 0, True
    while True:
        part = read_exactly(stream, BLOCK_BYTES)
        data = carry + part
        if is_first and data.startswith(_BYTE_ORDER_MARK):
            data, offset = data[len(_BYTE_ORDER_MARK) :], len(_BYTE_ORDER_MARK)
        is_first = False
        cut = data.rfind(b"\n") + 1 if part else len(data)
        carry, data = data[cut:], data[:cut]
        if len(carry) > MAX_LINE_BYTES:
            number = line_no + data.count(b"\n") + 1
            raise RefusedFile(f"{name}: line {number} is longer than {MAX_LINE_BYTES} bytes")
        if data:
            view = np.frombuffer(data, dtype=np.uint8)
            found = find_lines(view)
            lines = Lines(found.start, found.end, found.line_no + line_no)
            if len(lines):
                yield LineBlock(data, view, lines, offset)
            line_no += data.count(b"\n")
            offset += len(data)
        if not part:
            return
