"""How records are told apart in a file: fixed length, descriptor words, a length field, lines of text.

Belongs here: finding starts and lengths of the records in some bytes. Does not belong here: reading the file
(``records``), what is in a record. EBCDIC is never split on newlines: 0x15 and 0x25 are ordinary bytes of a
packed number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from connectors.formats.base import RefusedFile
from connectors.formats.copybook.layout import Column
from connectors.formats.copybook.parser import Usage
from connectors.formats.copybook.settings import CopybookSettings
from connectors.formats.copybook.values import ValueOptions

Offsets = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

WORD_BYTES = 4
MAX_RECORD_BYTES = 16 * 1024 * 1024
# Before this many records of equal length a comparison in numpy costs more than it saves.
_RUN_PROBE = 32


@dataclass(frozen=True)
class Found:
    """Records in some bytes: starts (behind their descriptor word), lengths, and how many bytes they took."""

    starts: Offsets
    lengths: Offsets
    used: int


class Framing(Protocol):
    """A way of telling records apart.

    ``prefix`` counts the bytes of a record before its start; ``pads`` says that a short record is to be
    filled with spaces, since trailing ones were cut off.
    """

    @property
    def prefix(self) -> int:
        """Bytes of a record that lie before its start."""

    @property
    def pads(self) -> bool:
        """Whether a record shorter than its layout ends in spaces that were cut off."""

    def find(self, data: bytes, position: int, is_end: bool, name: str) -> Found:
        """All whole records of ``data``, which lies at ``position`` of the file.

        Raises :class:`RefusedFile` with the byte offset where the chain of records breaks.
        """

    def expected(self, rest: bytes) -> str:
        """How many bytes the record that ``rest`` begins should have, for a message."""


@dataclass(frozen=True)
class Lengths:
    """The field that holds a record's length, and what is added to it."""

    column: Column
    options: ValueOptions
    adjustment: int


def make_framing(settings: CopybookSettings, record_length: int, lengths: Lengths | None) -> Framing:
    """The framing the settings name."""
    if settings.record_format == "F":
        return Fixed(record_length)
    if settings.record_format == "lines":
        return TextLines()
    if lengths is not None:
        return LengthField(lengths)
    rdw = DescriptorWord(settings.rdw_big_endian, settings.rdw_inclusive, settings.rdw_adjustment)
    if settings.record_format == "VB":
        bdw = DescriptorWord(settings.bdw_big_endian, settings.bdw_inclusive, settings.bdw_adjustment)
        return Blocked(bdw, Variable(rdw))
    return Variable(rdw)


@dataclass(frozen=True)
class Fixed:
    """Records of one length."""

    length: int
    prefix: int = 0
    pads: bool = False

    def find(self, data: bytes, position: int, is_end: bool, name: str) -> Found:
        """See :class:`Framing`."""
        count = len(data) // self.length
        starts = np.arange(count, dtype=np.int64) * self.length
        return Found(starts, np.full(count, self.length, dtype=np.int64), count * self.length)

    def expected(self, rest: bytes) -> str:
        """See :class:`Framing`."""
        return str(self.length)


@dataclass(frozen=True)
class TextLines:
    """Lines ended by LF or CRLF, of which trailing spaces were cut off; the last may have no end."""

    prefix: int = 0
    pads: bool = True

    def find(self, data: bytes, position: int, is_end: bool, name: str) -> Found:
        """See :class:`Framing`."""
        view = np.frombuffer(data, dtype=np.uint8)
        ends = np.flatnonzero(view == 0x0A)
        used = int(ends[-1]) + 1 if len(ends) else 0
        if is_end and used < len(data):
            if data[used:] != b"\x1a":  # the end-of-file mark of old systems is no record
                ends = np.append(ends, len(data))
            used = len(data)
        starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)].astype(np.int64)
        has_return = (ends > starts) & (view[np.maximum(ends - 1, 0)] == 0x0D) if len(ends) else False
        if len(data) - used > MAX_RECORD_BYTES:
            raise RefusedFile(
                f"{name}: no line end in {MAX_RECORD_BYTES} bytes at byte offset {position + used}"
            )
        return Found(starts, ends - starts - has_return, used)

    def expected(self, rest: bytes) -> str:
        """See :class:`Framing`."""
        return "a line"


@dataclass(frozen=True)
class DescriptorWord:
    """Four bytes before a record or block that hold its length."""

    is_big_endian: bool
    is_inclusive: bool
    adjustment: int

    def body_length(self, word: bytes) -> int:
        """Bytes behind the word; not positive where the word is impossible."""
        first, second = struct.unpack(">HH" if self.is_big_endian else "<HH", word)
        if second:
            # Little-endian sites write the length into the first or, seen as one 32-bit word, the last two
            # bytes.
            if first or self.is_big_endian:
                return 0
            first = second
        return int(first) + self.adjustment - (WORD_BYTES if self.is_inclusive else 0)


@dataclass(frozen=True)
class Variable:
    """Records behind a record descriptor word each."""

    rdw: DescriptorWord
    prefix: int = WORD_BYTES
    pads: bool = False

    def find(self, data: bytes, position: int, is_end: bool, name: str) -> Found:
        """See :class:`Framing`."""
        return self.between(data, 0, len(data), position, name)

    def between(self, data: bytes, start: int, end: int, position: int, name: str) -> Found:
        """The records of ``data[start:end]``; ``used`` counts from 0."""

        def stride(at: int) -> int:
            word = data[at : at + WORD_BYTES]
            length = self.rdw.body_length(word)
            if length <= 0:
                spanned = self.rdw.is_big_endian and word[2] in (1, 2, 3) and word[3] == 0
                what = "spanned records (VBS) are not supported; " if spanned else ""
                raise RefusedFile(
                    f"{name}: impossible record descriptor word {word.hex()} at byte offset "
                    f"{position + at}; {what}check record_format and the rdw_ settings"
                )
            return WORD_BYTES + length

        heads, used = _chain(data, start, end, 0, WORD_BYTES, stride)
        starts = heads + WORD_BYTES
        # Records lie back to back, so each ends where the word of the next one begins.
        return Found(starts, np.diff(heads, append=used) - WORD_BYTES, used)

    def expected(self, rest: bytes) -> str:
        """See :class:`Framing`."""
        if len(rest) < WORD_BYTES:
            return f"a record descriptor word ({WORD_BYTES})"
        return str(WORD_BYTES + self.rdw.body_length(rest[:WORD_BYTES]))


@dataclass(frozen=True)
class Blocked:
    """Variable records in blocks, each block behind a descriptor word of its own."""

    bdw: DescriptorWord
    records: Variable
    prefix: int = WORD_BYTES
    pads: bool = False

    def find(self, data: bytes, position: int, is_end: bool, name: str) -> Found:
        """See :class:`Framing`."""
        found: list[Found] = []
        at = 0
        while at + WORD_BYTES <= len(data):
            length = self._length(data[at : at + WORD_BYTES])
            if not 0 < length <= MAX_RECORD_BYTES:
                word = data[at : at + WORD_BYTES].hex()
                raise RefusedFile(
                    f"{name}: impossible block descriptor word {word} at byte offset {position + at}; "
                    "check record_format and the bdw_ settings"
                )
            end = at + WORD_BYTES + length
            if end > len(data):
                break
            inside = self.records.between(data, at + WORD_BYTES, end, position, name)
            if inside.used != end:
                raise RefusedFile(
                    f"{name}: the block at byte offset {position + at} ends in the middle of a record"
                )
            found.append(inside)
            at = end
        none = np.zeros(0, dtype=np.int64)
        starts = np.concatenate([none, *(one.starts for one in found)])
        return Found(starts, np.concatenate([none, *(one.lengths for one in found)]), at)

    def _length(self, word: bytes) -> int:
        if self.bdw.is_big_endian and word[0] & 0x80:
            # An extended block: 31 bits of length.
            length = int.from_bytes(word, "big") & 0x7FFFFFFF
            return length + self.bdw.adjustment - (WORD_BYTES if self.bdw.is_inclusive else 0)
        return self.bdw.body_length(word)

    def expected(self, rest: bytes) -> str:
        """See :class:`Framing`."""
        if len(rest) < WORD_BYTES:
            return f"a block descriptor word ({WORD_BYTES})"
        return f"a block of {WORD_BYTES + self._length(rest[:WORD_BYTES])}"


@dataclass(frozen=True)
class LengthField:
    """Records that hold their own length in a field."""

    lengths: Lengths
    prefix: int = 0
    pads: bool = False

    def find(self, data: bytes, position: int, is_end: bool, name: str) -> Found:
        """See :class:`Framing`."""
        column = self.lengths.column
        read = _length_reader(column, self.lengths.options)

        def stride(at: int) -> int:
            length = self._read(read, data, at)
            if not column.offset + column.size <= length <= MAX_RECORD_BYTES:
                raise RefusedFile(
                    f"{name}: {column.field.name} holds no possible record length at byte offset "
                    f"{position + at + column.offset}; check length_field and length_adjustment"
                )
            return length

        heads, used = _chain(data, 0, len(data), column.offset, column.size, stride)
        return Found(heads, np.diff(heads, append=used), used)

    def _read(self, read: Callable[[bytes], int], data: bytes, at: int) -> int:
        start = at + self.lengths.column.offset
        return read(data[start : start + self.lengths.column.size]) + self.lengths.adjustment

    def expected(self, rest: bytes) -> str:
        """See :class:`Framing`."""
        if len(rest) < self.lengths.column.offset + self.lengths.column.size:
            return f"a record up to its {self.lengths.column.field.name}"
        return str(self._read(_length_reader(self.lengths.column, self.lengths.options), rest, 0))


def _length_reader(column: Column, options: ValueOptions) -> Callable[[bytes], int]:
    """Reads one length; far below zero where the bytes are none."""
    none = -(2**40)
    if column.field.usage is Usage.BINARY:
        is_big = options.is_comp5_big_endian if column.field.is_native else options.is_comp_big_endian
        return lambda raw: int.from_bytes(raw, "big" if is_big else "little")
    if column.field.usage is Usage.PACKED:
        return lambda raw: int(raw.hex()[:-1]) if raw.hex()[:-1].isdecimal() else none
    digits = bytes(0x30 + d if d <= 9 else 0x3F for d in options.page.digit.tolist())
    return lambda raw: int(raw.translate(digits)) if raw.translate(digits).isdigit() else none


def _chain(
    data: bytes, start: int, end: int, head: int, head_bytes: int, stride_at: Callable[[int], int]
) -> tuple[Offsets, int]:
    """Follow records from one to the next; long runs of one length are taken in one comparison.

    The length of a record lies in ``head_bytes`` at ``head``. Returns where whole records begin and where the
    last of them ends.
    """
    view = np.frombuffer(data, dtype=np.uint8)
    starts: list[int] = []
    strides: dict[bytes, int] = {}
    at, tail, before, equal = start, head + head_bytes, b"", 0
    while at + tail <= end:
        # This loop is all the Python that runs per record: a word seen before is not read again.
        word = data[at + head : at + tail]
        stride = strides.get(word)
        if stride is None:
            stride = strides[word] = stride_at(at)
        if at + stride > end:
            break
        if word != before:
            before, equal = word, 0
        else:
            equal += 1
            if equal >= _RUN_PROBE:
                run = _run_of_equal(view, at + head, stride, (end - at) // stride, head_bytes)
                starts.extend(range(at, at + stride * run, stride))
                at += stride * run
                equal = 0
                continue
        starts.append(at)
        at += stride
    return np.array(starts, dtype=np.int64), at


def _run_of_equal(view: Bytes, at: int, stride: int, most: int, width: int) -> int:
    """How many records from ``at`` on have the very same length bytes, each where the one before it ends."""
    probe, run = _RUN_PROBE, 1
    while run < most:
        count = min(probe, most - run)
        words = np.lib.stride_tricks.as_strided(
            view[at + stride * run :], shape=(count, width), strides=(stride, 1)
        )
        equal = (words == view[at : at + width]).all(axis=1)
        if not equal.all():
            return run + int(equal.argmin())
        run += count
        probe *= 8
    return run
