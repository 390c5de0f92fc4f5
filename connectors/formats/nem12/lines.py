"""NEM12 text to physical records: which line is what, and 300 records that wrap put back together.

Belongs here: record indicators, wrapped lines, the envelope of 100 and 900. Does not belong here: the
fields of a record; see ``structure``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from mmap import mmap

import numpy as np
import numpy.typing as npt

from connectors.formats.base import ControlTotal, RefusedFile
from connectors.formats.columns import BoolMask
from connectors.formats.text_lines import Bytes, Ints, Lines, find_lines

KNOWN = (100, 200, 250, 300, 400, 500, 550, 900)
_SCAN = 1 << 24
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# How a record of each kind goes on after its indicator; a wrapped line of values may begin likewise.
_HEADS = {
    100: re.compile(rb"100,\s*\"?NEM", re.IGNORECASE),
    200: re.compile(rb"200,(?:[^,]*,){6}[^,0-9]*,"),
    250: re.compile(rb"250,(?:[^,]*,){6}\s*[A-Za-z]?\s*,"),
    400: re.compile(rb"400,[^,]*,[^,]*,\s*[A-Za-z]"),
    500: re.compile(rb"500,\s*[A-Za-z]?\s*,"),
    550: re.compile(rb"550,\s*[A-Za-z]?\s*,"),
    900: re.compile(rb"900[,\s]*$"),
}
_QUALITY = re.compile(rb"\s*[AEFNSV]\d{0,2}\s*$")


@dataclass(frozen=True)
class Source:
    """The text of a file as records: one line each, ``kind`` its indicator (0 for none that is known)."""

    data: Bytes
    lines: Lines
    kind: npt.NDArray[np.int64]
    offset: Ints  # byte offset of each record in the file as it came

    def raw(self, index: int) -> bytes:
        """The bytes of one record, without line end."""
        return self.data[int(self.lines.start[index]) : int(self.lines.end[index])].tobytes()


def read_source(data: bytes | mmap) -> Source:
    """Find the records of a file; its text may be a mapped file."""
    view = np.frombuffer(data, dtype=np.uint8)
    lines = find_lines(view, len(_BYTE_ORDER_MARK) if data[:3] == _BYTE_ORDER_MARK else 0)
    kind = _indicators(view, lines)
    source = Source(view, lines, kind, lines.start)
    # The first line of a wrapped record ends among its values, before its quality: it holds no letter.
    if not _has_letter(view, lines, np.flatnonzero(kind == 300)).all():
        return _unwrap(data, source, _not_heads(source))
    return source


def check_envelope(source: Source, name: str) -> list[ControlTotal]:
    """One 100 record first and one 900 record last; raises :class:`RefusedFile` otherwise.

    A file without its 900 record was cut off; one with two of them is two files, each with its own header.
    """
    if not len(source.lines):
        raise RefusedFile(f"{name}: is empty")
    totals = [
        ControlTotal(f"records_{kind}", 1, count, count == 1)
        for kind in (100, 900)
        for count in [int((source.kind == kind).sum())]
    ]
    first = source.raw(0)
    if source.kind[0] != 100 or not re.match(rb"100,\s*\"?NEM1[23]\b", first, re.IGNORECASE):
        line = int(source.lines.line_no[0])
        raise RefusedFile(
            f"{name}: line {line}: the file must begin with a 100 record of NEM12 or NEM13", totals
        )
    if source.kind[-1] != 900:
        line = int(source.lines.line_no[-1])
        raise RefusedFile(
            f"{name}: no 900 record at the end (last line {line}): the file is truncated", totals
        )
    for total in totals:
        if not total.ok:
            kind = total.name.removeprefix("records_")
            raise RefusedFile(f"{name}: {total.found} records {kind} instead of exactly 1", totals)
    if not ((source.kind == 200) | (source.kind == 250)).any():
        raise RefusedFile(f"{name}: holds no meter data between its 100 and 900 records", totals)
    return totals


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
    letters = np.concatenate(
        [np.flatnonzero(data[i : i + _SCAN] >= ord("A")) + i for i in range(0, len(data), _SCAN)]
        or [np.zeros(0, dtype=np.int64)]
    )
    before, behind = (np.searchsorted(letters, edge[rows]) for edge in (lines.start, lines.end))
    return np.asarray(behind > before)


def _not_heads(source: Source) -> Ints:
    """Lines that do not go on as a record of their kind does: continuations, or broken records."""
    data, lines, kind = source.data, source.lines, source.kind
    suspect = kind == 0
    days = np.flatnonzero(kind == 300)
    last = len(data) - 1
    at = lines.start[days][:, None] + np.arange(4, 12)
    digits = data[np.minimum(at, last)] - np.uint8(ord("0"))
    behind = lines.end[days] - lines.start[days] > 12
    is_head = (
        (digits <= 9).all(axis=1) & behind & (data[np.minimum(lines.start[days] + 12, last)] == ord(","))
    )
    suspect[days[~is_head]] = True
    for index in np.flatnonzero((kind != 0) & (kind != 300)):
        if not _HEADS[int(kind[index])].match(source.raw(int(index))):
            suspect[index] = True
    return np.flatnonzero(suspect)


def _unwrap(data: bytes | mmap, source: Source, suspects: Ints) -> Source:
    """Join the lines that continue a 300 record too short for its interval length; rare, so one by one."""
    lines = source.lines
    joined: dict[int, bytes] = {}
    swallowed = np.zeros(len(lines), dtype=bool)
    heads_200 = np.flatnonzero(source.kind == 200)
    is_suspect = np.zeros(len(lines), dtype=bool)
    is_suspect[suspects] = True
    index = 0
    for suspect in suspects:
        index = int(suspect)
        if swallowed[index] or index == 0 or source.kind[index - 1] != 300 or is_suspect[index - 1]:
            continue
        count = _interval_count(source, heads_200, index - 1)
        pieces = [source.raw(index - 1)]
        behind = index
        while (
            len(pieces) <= count
            and behind < len(lines)
            and is_suspect[behind]
            and not _is_complete(_join(pieces, count), count)
        ):
            pieces.append(source.raw(behind))
            behind += 1
        if len(pieces) > 1:
            joined[index - 1] = _join(pieces, count)
            swallowed[index:behind] = True
    if not joined:
        return source
    return _rebuilt(data, source, joined, swallowed)


def _interval_count(source: Source, heads_200: Ints, index: int) -> int:
    """Values a 300 record must hold by the 200 record before it; 0 where that cannot be told."""
    before = np.searchsorted(heads_200, index) - 1
    if before < 0:
        return 0
    fields = source.raw(int(heads_200[before])).split(b",")
    minutes = fields[8].strip() if len(fields) > 8 else b""
    return 1440 // int(minutes) if minutes.isdigit() and 0 < int(minutes) <= 1440 else 0


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


def _rebuilt(
    data: bytes | mmap, source: Source, joined: dict[int, bytes], swallowed: npt.NDArray[np.bool_]
) -> Source:
    """A new text in which every record is one line; line numbers and offsets stay those of the file."""
    tail = bytearray()
    start, end = source.lines.start.copy(), source.lines.end.copy()
    # Fields are read over stretches of the text, so records must stay in order: the text is written anew.
    for index in np.flatnonzero(~swallowed):
        text = joined.get(int(index)) or data[int(start[index]) : int(end[index])]
        start[index] = len(tail)
        tail += text + b"\n"
        end[index] = len(tail) - 1
    kept = ~swallowed
    lines = Lines(start[kept], end[kept], source.lines.line_no[kept])
    return Source(np.frombuffer(bytes(tail), dtype=np.uint8), lines, source.kind[kept], source.offset[kept])
