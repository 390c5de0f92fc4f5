"""How records lie in a mainframe file: fixed lengths, or variable ones behind a record descriptor word (RDW).

Belongs here: finding the start and length of every record, in blocks of bounded size. Does not belong here:
what is in a record. EBCDIC is never split on newlines: 0x15 and 0x25 are ordinary bytes of a packed number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from connectors.formats.base import RefusedFile, read_exactly

BLOCK_BYTES = 4 * 1024 * 1024
RDW_BYTES = 4
# Before this many records of equal length a comparison in numpy costs more than it saves.
_RUN_PROBE = 32

Offsets = npt.NDArray[np.int64]


class Framing(Protocol):
    """The settings that say how records are delimited."""

    @property
    def record_format(self) -> str:
        """``F`` fixed length; ``V`` or ``RDW`` variable, each record behind an RDW."""

    @property
    def rdw_big_endian(self) -> bool:
        """Byte order of the length in the RDW."""

    @property
    def rdw_inclusive(self) -> bool:
        """Whether that length counts the RDW itself."""

    @property
    def rdw_adjustment(self) -> int:
        """Added to the length as it stands in the RDW."""

    @property
    def file_header_bytes(self) -> int:
        """Bytes before the first record."""

    @property
    def file_footer_bytes(self) -> int:
        """Bytes behind the last record."""


@dataclass(frozen=True)
class Block:
    """Records of one stretch of the file.

    ``starts`` index ``data``, ``file_offset`` is where ``data`` lies.
    """

    data: npt.NDArray[np.uint8]
    starts: Offsets
    lengths: Offsets
    file_offset: int

    def record(self, index: int) -> bytes:
        """The bytes of one record, without its RDW."""
        start = int(self.starts[index])
        return self.data[start : start + int(self.lengths[index])].tobytes()


def read_blocks(stream: BinaryIO, framing: Framing, record_length: int, name: str) -> Iterator[Block]:
    """All records of a file, block by block.

    Raises :class:`RefusedFile` with the byte offset for a truncated last record or an impossible RDW.
    """
    position = framing.file_header_bytes
    if len(read_exactly(stream, position)) < position:
        raise RefusedFile(f"{name}: shorter than its file header of {position} bytes")
    carry = b""
    for part in _body(stream, framing.file_footer_bytes, name):
        data = carry + part if carry else part
        if framing.record_format == "F":
            count = len(data) // record_length
            starts = np.arange(count, dtype=np.int64) * record_length
            lengths = np.full(count, record_length, dtype=np.int64)
            used = count * record_length
        else:
            starts, lengths, used = _walk_rdw(data, framing, position, name)
        if len(starts):
            yield Block(np.frombuffer(data, dtype=np.uint8), starts, lengths, position)
        carry = data[used:]
        position += used
    if carry:
        raise RefusedFile(
            f"{name}: truncated at byte offset {position}: the last record has {len(carry)} bytes of "
            f"{_expected(carry, framing, record_length)}; ask for the file again"
        )


def _expected(carry: bytes, framing: Framing, record_length: int) -> str:
    if framing.record_format == "F":
        return str(record_length)
    if len(carry) < RDW_BYTES:
        return f"a record descriptor word ({RDW_BYTES})"
    first, second = struct.unpack_from(">HH" if framing.rdw_big_endian else "<HH", carry)
    return str(RDW_BYTES + _body_length(first, second, framing))


def _body(stream: BinaryIO, footer: int, name: str) -> Iterator[bytes]:
    """What lies between file header and footer; the footer is held back until the end is known."""
    held = b""
    while part := read_exactly(stream, BLOCK_BYTES):
        data = held + part if held else part
        cut = max(len(data) - footer, 0)
        held = data[cut:]
        if cut:
            yield data[:cut] if footer else data
    if len(held) < footer:
        raise RefusedFile(f"{name}: shorter than its file footer of {footer} bytes")


def _body_length(first: int, second: int, framing: Framing) -> int:
    """Length of a record by the two halves of its RDW; not positive where the RDW is impossible."""
    if second:
        # Little-endian sites write the length into the first or, seen as one 32-bit word, the last two bytes.
        if first or framing.rdw_big_endian:
            return 0
        first = second
    return first + framing.rdw_adjustment - (RDW_BYTES if framing.rdw_inclusive else 0)


def _walk_rdw(data: bytes, framing: Framing, position: int, name: str) -> tuple[Offsets, Offsets, int]:
    """Follow the chain of RDWs; long runs of records of one length are taken in one comparison."""
    halves = struct.Struct(">HH" if framing.rdw_big_endian else "<HH").unpack_from
    view = np.frombuffer(data, dtype=np.uint8)
    starts: list[int] = []
    end, at, before, equal = len(data), 0, -1, 0
    while at + RDW_BYTES <= end:
        first, second = halves(data, at)
        length = _body_length(first, second, framing)
        if length <= 0:
            raise RefusedFile(
                f"{name}: impossible record descriptor word {data[at : at + 4].hex()} at byte offset "
                f"{position + at}; check record_format and the rdw_ settings"
            )
        stride = RDW_BYTES + length
        if at + stride > end:
            break
        equal = equal + 1 if length == before else 0
        before = length
        if equal < _RUN_PROBE:
            starts.append(at + RDW_BYTES)
            at += stride
        else:
            run = _run_of_equal(view, at, stride, (end - at) // stride)
            starts.extend(range(at + RDW_BYTES, at + RDW_BYTES + stride * run, stride))
            at += stride * run
            equal = 0
    found = np.array(starts, dtype=np.int64)
    # Records lie back to back, so each ends where the RDW of the next one begins.
    lengths = np.diff(found, append=at + RDW_BYTES) - RDW_BYTES
    return found, lengths, at


def _run_of_equal(view: npt.NDArray[np.uint8], at: int, stride: int, most: int) -> int:
    """How many records from ``at`` on have the very same RDW, each where the one before it ends."""
    probe, run = _RUN_PROBE, 1
    while run < most:
        count = min(probe, most - run)
        first = at + stride * run
        words = np.lib.stride_tricks.as_strided(view[first:], shape=(count, RDW_BYTES), strides=(stride, 1))
        equal = (words == view[at : at + RDW_BYTES]).all(axis=1)
        if not equal.all():
            return run + int(equal.argmin())
        run += count
        probe *= 8
    return run
