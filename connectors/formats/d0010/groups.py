"""Lines of a D0010 file in whole MPAN groups, so that no record is parted from its parents.

Belongs here: which line is what, header and trailer. Does not belong here: the fields of a body record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from connectors.formats.base import ControlTotal, RefusedFile
from connectors.formats.text_blocks import MAX_LINE_BYTES, read_lines
from connectors.formats.text_lines import Bytes, Ints
from connectors.formats.words import PADDING, padded, words_at

HEADER, TRAILER = "ZHV", "ZPT"
BODY = ("026", "027", "028", "029", "030", "032", "033")
MPAN, SITE, METER, DETAIL, READ, REASON, MORE = range(1, len(BODY) + 1)
"""What each line is, by its place in ``BODY``; 0 is none that is known."""
_MARKS = {int.from_bytes(f"{name}|".encode(), "little"): code for code, name in enumerate(BODY, start=1)}


@dataclass(frozen=True)
class Part:
    """Body lines of whole groups; ``data`` is padded, ``offset`` is each line's place in the file."""

    data: bytes
    start: Ints
    end: Ints
    line_no: Ints
    offset: Ints

    def __len__(self) -> int:
        return len(self.start)

    def raw(self, row: int) -> bytes:
        """One line without its line end."""
        return self.data[int(self.start[row]) : int(self.end[row])]

    def lines(self, low: int, high: int) -> Part:
        """Some of the lines, with no more text than they need."""
        first, last = (int(self.start[low]), int(self.end[high - 1])) if high > low else (0, 0)
        chosen = slice(low, high)
        return Part(
            self.data[first:last],
            self.start[chosen] - first,
            self.end[chosen] - first,
            self.line_no[chosen],
            self.offset[chosen],
        )

    def followed_by(self, other: Part) -> Part:
        """Both, one after the other."""
        if not len(self):
            return other
        shift = len(self.data) + 1
        return Part(
            self.data + b"\n" + other.data,
            np.concatenate([self.start, other.start + shift]),
            np.concatenate([self.end, other.end + shift]),
            np.concatenate([self.line_no, other.line_no]),
            np.concatenate([self.offset, other.offset]),
        )


def kinds(data: Bytes, start: Ints, end: Ints) -> Ints:
    """What each line is; 0 for none that is known. ``data`` is padded."""
    marks = words_at(data, start) & np.uint64(0xFFFFFFFF)
    found = np.zeros(len(start), dtype=np.int64)
    for mark, code in _MARKS.items():
        found[marks == mark] = code
    found[end - start < 4] = 0
    return found


class Envelope:
    """Header and trailer of one file, read while its body passes by."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.header: list[str] = []
        self.totals: list[ControlTotal] = []
        self._stream, self._name = stream, name
        self._found = {"body_records": 0, "mpan_groups": 0}

    def parts(self) -> Iterator[Part]:
        """The body in whole groups; raises RefusedFile for an envelope that is not whole, also at the end."""
        waiting: Part | None = None
        trailer: str | None = None
        for part in self._pieces():
            body = part
            if not self.header:
                self._open(part.raw(0))
                body = part.lines(1, len(part))
            if trailer is not None and len(body):
                self._refuse(f"line {int(body.line_no[0])}: lines follow the {TRAILER} trailer")
            if trailer is None and (found := _trailer(body)) is not None:
                trailer = body.raw(found).decode("latin-1")
                if found + 1 < len(body):
                    self._refuse(f"line {int(body.line_no[found + 1])}: lines follow the {TRAILER} trailer")
                body = body.lines(0, found)
            whole = body if waiting is None else waiting.followed_by(body)
            if not len(whole):
                continue
            data = padded(whole.data)
            heads = np.flatnonzero(kinds(data, whole.start, whole.end) == MPAN)
            cut = len(whole) if trailer is not None else int(heads[-1]) if len(heads) else 0
            waiting = whole.lines(cut, len(whole))
            if len(waiting.data) > MAX_LINE_BYTES:
                line = int(waiting.line_no[0])
                self._refuse(f"line {line}: the records of one MPAN are longer than {MAX_LINE_BYTES} bytes")
            if cut:
                self._found["body_records"] += cut
                self._found["mpan_groups"] += int((heads < cut).sum())
                yield whole.lines(0, cut)
        if not self.header:
            raise RefusedFile(f"{self._name}: is empty")
        if trailer is None:
            self._refuse(f"no {TRAILER} trailer at the end: the file is truncated")
        else:
            self._close(trailer)

    def _pieces(self) -> Iterator[Part]:
        for block in read_lines(self._stream, self._name):
            lines = block.lines
            yield Part(block.data, lines.start, lines.end, lines.line_no, lines.start + block.file_offset)

    def _open(self, line: bytes) -> None:
        fields = _fields(line.decode("latin-1"))
        if fields[0] != HEADER:
            self._refuse(f"the file must begin with a {HEADER} header")
        self.header = fields + [""] * (12 - len(fields))

    def _close(self, line: str) -> None:
        """Compare the trailer with the header and with what was found."""
        fields = _fields(line)
        fields += [""] * (6 - len(fields))
        counts = {"body_records": fields[2], "mpan_groups": fields[4]}
        for total, text in counts.items():
            declared = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
            found = self._found[total]
            self.totals.append(ControlTotal(total, declared, found, declared == found))
        if fields[1] != self.header[1]:
            self._refuse(f"the file ids of {HEADER} and {TRAILER} differ: it is not one whole file")
        for one in self.totals:
            if one.declared is None:
                self._refuse(f"the {TRAILER} trailer does not count {one.name.replace('_', ' ')}")
            if not one.ok:
                what = one.name.replace("_", " ")
                self._refuse(f"the {TRAILER} trailer counts {one.declared} {what}, found {one.found}")

    def _refuse(self, why: str) -> None:
        raise RefusedFile(f"{self._name}: {why}", self.totals)


def _trailer(part: Part) -> int | None:
    """The first trailer among the lines."""
    at = part.data.find(f"{TRAILER}|".encode())
    while at >= 0:
        row = int(np.searchsorted(part.start, at))
        if row < len(part) and part.start[row] == at:
            return row
        at = part.data.find(f"{TRAILER}|".encode(), at + PADDING)
    return None


def _fields(line: str) -> list[str]:
    return [field.strip() for field in line.split("|")]
