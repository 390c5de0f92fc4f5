"""A stretch of NEM12 text to physical records: which line is what, and wrapped 300 records put together.

Belongs here: record indicators and wrapped lines. Does not belong here: the fields of a record
(``structure``), what holds for the file as a whole (``survey``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from connectors.formats.columns import BoolMask
from connectors.formats.text_lines import Bytes, Ints, Lines, find_lines

KNOWN = (100, 200, 250, 300, 400, 500, 550, 900)
# How a record of each kind goes on after its indicator; a wrapped line of values may begin likewise.
_HEADS = {
    100: re.compile(rb"100,\s*\"?NEM", re.IGNORECASE),
    200: re.compile(rb"200,(?:[^,\n]*,){6}[^,0-9\n]*,"),
    250: re.compile(rb"250,(?:[^,\n]*,){6}\s*[A-Za-z]?\s*,"),
    300: re.compile(rb"300,\d{8},"),
    400: re.compile(rb"400,[^,]*,[^,]*,\s*[A-Za-z]"),
    500: re.compile(rb"500,\s*[A-Za-z]?\s*,"),
    550: re.compile(rb"550,\s*[A-Za-z]?\s*,"),
    900: re.compile(rb"900[,\s]*$"),
}
_OPENS = re.compile(rb"[ \t]*(?:%s)" % b"|".join(_HEADS[kind].pattern for kind in (200, 250, 300)))
_QUALITY = re.compile(rb"\s*[AEFNSV]\d{0,2}\s*$")
_MOST_VALUES = 1440


@dataclass(frozen=True)
class Source:
    """Some text as records: one line each, ``kind`` its indicator (0 for none that is known).

    ``inherited`` is 1 where the first record is the 200 record in force, repeated from further above.
    """

    data: Bytes
    lines: Lines
    kind: npt.NDArray[np.int64]
    offset: Ints  # byte offset of each record in the file as it came
    inherited: int

    def raw(self, index: int) -> bytes:
        """The bytes of one record, without line end."""
        return self.data[int(self.lines.start[index]) : int(self.lines.end[index])].tobytes()


def opens_group(text: bytes, at: int) -> bool:
    """Whether a 200, 250 or 300 record begins at the line start ``at``: what follows needs nothing before it
    but the 200 record in force.
    """
    return _OPENS.match(text, at) is not None


def read_source(text: bytes | memoryview, offset: int, lines_before: int, channel: bytes = b"") -> Source:
    """Find the records of whole lines that begin ``offset`` bytes and ``lines_before`` lines into the file.

    ``channel`` is the 200 record in force before them.
    """
    head = channel + b"\n" if channel else b""
    view = np.frombuffer(b"".join((head, text)), dtype=np.uint8)
    found = find_lines(view)
    inherited = 1 if channel else 0
    lines = Lines(found.start, found.end, found.line_no + (lines_before - inherited))
    source = Source(view, lines, _indicators(view, lines), lines.start + (offset - len(head)), inherited)
    # The first line of a wrapped record ends among its values, before its quality: it holds no letter.
    days = np.flatnonzero(source.kind == 300)
    is_open = ~_has_letter(view, lines, days)
    return _unwrap(source, days[is_open]) if is_open.any() else source


def _indicators(data: Bytes, lines: Lines) -> npt.NDArray[np.int64]:
    """The record indicator each line begins with, 0 where it is none."""
    last = len(data) - 1
    digits = [data[np.minimum(lines.start + i, last)].astype(np.int64) - ord("0") for i in range(3)]
    is_number = np.all([(digit >= 0) & (digit <= 9) for digit in digits], axis=0)
    value = np.where(is_number, digits[0] * 100 + digits[1] * 10 + digits[2], 0)
    length = lines.end - lines.start
    ends = (length == 3) | ((length > 3) & (data[np.minimum(lines.start + 3, last)] == ord(",")))
    return np.where(np.isin(value, KNOWN) & ends, value, 0)


def _has_letter(data: Bytes, lines: Lines, rows: Ints) -> BoolMask:
    letters = np.flatnonzero(data >= ord("A"))
    before, behind = (np.searchsorted(letters, edge[rows]) for edge in (lines.start, lines.end))
    return np.asarray(behind > before)


def _is_head(source: Source, index: int) -> bool:
    """Whether a line goes on as a record of its kind does: if not, it continues one, or is broken."""
    kind = int(source.kind[index])
    return kind != 0 and _HEADS[kind].match(source.raw(index)) is not None


def _unwrap(source: Source, open_days: Ints) -> Source:
    """Join the lines that continue a 300 record too short for its interval length; rare, so one by one."""
    joined: dict[int, bytes] = {}
    swallowed = np.zeros(len(source.lines), dtype=bool)
    heads_200 = np.flatnonzero(source.kind == 200)
    for day in open_days.tolist():
        if swallowed[day] or not _is_head(source, day):
            continue
        count = _interval_count(source, heads_200[~swallowed[heads_200]], day)
        pieces = [source.raw(day)]
        commas = pieces[0].count(b",")
        behind = day + 1
        while len(pieces) <= count and behind < len(source.lines) and not _is_head(source, behind):
            # Joining is dear, and vain while there are too few fields even if every cut lost its comma.
            if commas + len(pieces) > count + 2 and _is_complete(_join(pieces, count), count):
                break
            pieces.append(source.raw(behind))
            commas += pieces[-1].count(b",")
            behind += 1
        if len(pieces) > 1:
            joined[day] = _join(pieces, count)
            swallowed[day + 1 : behind] = True
    return _rebuilt(source, joined, swallowed) if joined else source


def _interval_count(source: Source, heads_200: Ints, index: int) -> int:
    """Values a 300 record must hold by the 200 record before it; 0 where that cannot be told."""
    before = np.searchsorted(heads_200, index) - 1
    if before < 0:
        return 0
    fields = source.raw(int(heads_200[before])).split(b",")
    minutes = fields[8].strip() if len(fields) > 8 else b""
    return 1440 // int(minutes) if minutes.isdigit() and 0 < int(minutes) <= _MOST_VALUES else 0


def _is_complete(record: bytes, count: int) -> bool:
    fields = record.split(b",")
    return len(fields) > count + 2 and _QUALITY.match(fields[count + 2]) is not None


def _join(pieces: list[bytes], count: int) -> bytes:
    """Put a record together; where neither side of a cut has its comma, the number of fields decides."""
    if len(pieces) == 1:
        return pieces[0]
    plain = b"".join(pieces)
    parted = pieces[0]
    for piece in pieces[1:]:
        parted += piece if parted.endswith(b",") or piece.startswith(b",") else b"," + piece
    return plain if _is_complete(plain, count) and not _is_complete(parted, count) else parted


def _rebuilt(source: Source, joined: dict[int, bytes], swallowed: BoolMask) -> Source:
    """A new text in which every record is one line; line numbers and offsets stay those of the file."""
    tail = bytearray()
    start, end = source.lines.start.copy(), source.lines.end.copy()
    # Fields are read over stretches of the text, so records must stay in order: the text is written anew.
    for index in np.flatnonzero(~swallowed):
        text = joined.get(int(index)) or source.raw(int(index))
        start[index] = len(tail)
        tail += text + b"\n"
        end[index] = len(tail) - 1
    kept = ~swallowed
    lines = Lines(start[kept], end[kept], source.lines.line_no[kept])
    data = np.frombuffer(bytes(tail), dtype=np.uint8)
    return Source(data, lines, source.kind[kept], source.offset[kept], source.inherited)
