"""SFTP version 3 packets: requests as bytes, answers as values, each length checked against what is there.

Belongs here: the layout of packets. Does not belong here: sending and waiting.
Source: draft-ietf-secsh-filexfer-02, and the extensions in OpenSSH's PROTOCOL.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from connectors.transport.sftp.faults import ProtocolError, StatusError

INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 3, 4, 5, 6, 7, 8
OPENDIR, READDIR, REMOVE, RENAME = 11, 12, 13, 18
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201

READING, WRITING = 0x01, 0x02 | 0x08 | 0x10  # read; write, create, truncate


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a server says of a file; None for what it does not say. Bytes, POSIX mode, epoch seconds."""

    size: int | None
    mode: int | None
    modified_at: int | None


class Fields:
    """The fields of one packet, read in order; ProtocolError where the packet ends before a field does."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def uint32(self) -> int:
        """Four bytes."""
        return int.from_bytes(self._take(4), "big")

    def uint64(self) -> int:
        """Eight bytes."""
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        """A length and so many bytes."""
        return bytes(self._take(self.uint32()))

    def bulk(self) -> memoryview:
        """A string that is all the rest of the packet, without a copy."""
        length = self.uint32()
        if length != len(self._data) - self._at:
            raise ProtocolError("a data packet whose lengths differ")
        return self._data[self._at :]

    def is_empty(self) -> bool:
        """Whether all of it was read."""
        return self._at == len(self._data)

    def attributes(self) -> Attributes:
        """ATTRS, with the extended pairs passed over."""
        flags = self.uint32()
        if flags == 0xF:  # what OpenSSH sends, of which a listing has thousands
            size, _, mode, _, modified_at = struct.unpack(">QQIII", self._take(28))
            return Attributes(size, mode, modified_at)
        size = self.uint64() if flags & 0x1 else None
        if flags & 0x2:
            self._take(8)  # the owner's numbers
        mode = self.uint32() if flags & 0x4 else None
        modified_at = None
        if flags & 0x8:
            self._take(4)  # last access
            modified_at = self.uint32()
        if flags & 0x80000000:
            for _ in range(self.uint32()):
                self.string()
                self.string()
        return Attributes(size, mode, modified_at)

    def _take(self, length: int) -> memoryview:
        end = self._at + length
        if end > len(self._data):
            raise ProtocolError("a packet that ends in the middle of a field")
        taken = self._data[self._at : end]
        self._at = end
        return taken


def string(value: bytes | str) -> bytes:
    """A length and the bytes; text as UTF-8, with the bytes a listing could not decode put back."""
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return struct.pack(">I", len(data)) + data


def opening(path: str, flags: int) -> bytes:
    """OPEN ``path``."""
    return string(path) + struct.pack(">II", flags, 0)


def reading(handle: bytes, offset: int, length: int) -> bytes:
    """READ ``length`` bytes from ``offset``."""
    return string(handle) + struct.pack(">QI", offset, length)


def writing(handle: bytes, offset: int, data: bytes) -> bytes:
    """WRITE ``data`` at ``offset``."""
    return string(handle) + struct.pack(">Q", offset) + string(data)


def status(fields: Fields) -> StatusError:
    """The answer STATUS; servers older than version 3 send no text."""
    code = fields.uint32()
    return StatusError(code, "" if fields.is_empty() else fields.string().decode("utf-8", "replace"))
