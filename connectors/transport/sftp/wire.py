"""An SFTP session on a channel: many requests in flight, each answer handed to whoever asked.

Belongs here: numbering, limits and waiting. Does not belong here: logging in, local files, retries.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Protocol

from connectors.transport.sftp import faults, packets
from connectors.transport.sftp.faults import ProtocolError, StalledError
from connectors.transport.sftp.packets import Fields

# What every server grants, and what OpenSSH grants, which is also the most that is asked of any other.
_COMMON_BYTES = 32 * 1024
_MOST_BYTES = 255 * 1024
_PACKET_LIMIT = 256 * 1024 + 1024
_HEADER_BYTES = 9  # length, kind, number
_PATIENCE = 3  # a packet that began must be whole within so many timeouts

Answer = Callable[[int, Fields], None]


class ByteChannel(Protocol):
    """The part of ``paramiko.Channel`` that is used."""

    def sendall(self, data: bytes) -> None:
        """Send all of it, or raise OSError."""

    def recv(self, nbytes: int) -> bytes:
        """What is there, at most ``nbytes``; b"" at the end, TimeoutError when nothing comes."""


class Wire:
    """One SFTP session; not for several threads.

    ``read_bytes`` and ``write_bytes`` are the most that one request may carry, ``handles`` how many files may
    be open at once. Raises EOFError or OSError when the connection is lost, StalledError, and ProtocolError.
    """

    def __init__(self, channel: ByteChannel, timeout_seconds: float, window_bytes: int) -> None:
        self.read_bytes = self.write_bytes = _COMMON_BYTES
        self.handles = 64
        self.extensions: dict[bytes, bytes] = {}
        self._channel = channel
        self._window = window_bytes
        self._timeout = timeout_seconds
        self._patience = _PATIENCE * timeout_seconds
        self._number = 0
        self._waiting: dict[int, Answer] = {}
        self._outgoing: list[bytes] = []
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = _HEADER_BYTES

    def start(self) -> None:
        """Agree on version 3 and learn the server's limits."""
        # INIT and VERSION carry the version where others carry their number, so 3 is the number waited for.
        self._number = 2
        fields = self.call(packets.INIT, b"", packets.VERSION)
        while not fields.is_empty():
            name = fields.string()
            self.extensions[name] = fields.string()
        if b"limits@openssh.com" in self.extensions:
            answer = self.call(
                packets.EXTENDED, packets.string(b"limits@openssh.com"), packets.EXTENDED_REPLY
            )
            _, read, write, handles = (answer.uint64() for _ in range(4))
            self.read_bytes = min(read or _COMMON_BYTES, _MOST_BYTES)
            self.write_bytes = min(write or _COMMON_BYTES, _MOST_BYTES)
            self.handles = handles or self.handles

    def send(self, kind: int, payload: bytes, answer: Answer) -> None:
        """Queue a request; ``answer`` is called with the kind and the fields of what comes back."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._waiting[self._number] = answer
        self._outgoing.append(struct.pack(">IBI", len(payload) + 5, kind, self._number) + payload)

    def call(self, kind: int, payload: bytes, wanted: int) -> Fields:
        """Send a request and wait for its answer of kind ``wanted``; raises StatusError."""
        got: list[tuple[int, Fields]] = []
        self.send(kind, payload, lambda found, fields: got.append((found, fields)))
        while not got:
            self.pump()
        return expect(*got[0], wanted)

    def pump(self) -> None:
        """Send what is queued, wait for at least one answer and hand over all that are whole."""
        if self._outgoing:
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._channel.sendall(data)
        begun = time.monotonic()
        while not self._hand_over():
            self._receive(begun)

    def _receive(self, begun: float) -> None:
        try:
            data = self._channel.recv(2 * self._window)
        except TimeoutError:
            raise StalledError(f"no answer within {self._timeout:g} seconds") from None
        if not data:
            raise EOFError
        if len(data) > self._window:
            raise ProtocolError("more data than it was allowed to send")
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._needed and time.monotonic() - begun > self._patience:
            raise StalledError(f"not one whole answer within {self._patience:g} seconds")

    def _hand_over(self) -> bool:
        """Answer with all packets that are whole; False when there is none."""
        if self._held < self._needed:
            return False
        whole = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        view, at, any_whole = memoryview(whole), 0, False
        self._needed = _HEADER_BYTES
        while self._held - at >= _HEADER_BYTES:
            length, kind, number = struct.unpack_from(">IBI", view, at)
            if not 5 <= length <= _PACKET_LIMIT:
                raise ProtocolError(f"a packet of {length:,} bytes")
            if number not in self._waiting:
                raise ProtocolError("an answer to nothing that was asked")
            if self._held - at < 4 + length:
                self._needed = 4 + length
                break
            packet = view[at + _HEADER_BYTES : at + 4 + length]
            at += 4 + length
            any_whole = True
            self._waiting.pop(number)(kind, Fields(packet))
        rest = whole[at:]
        self._pieces, self._held = ([rest] if rest else []), len(rest)
        return any_whole


def expect(kind: int, fields: Fields, wanted: int) -> Fields:
    """The fields of an answer of the kind ``wanted``; StatusError for a failure, ProtocolError for others."""
    if kind == packets.STATUS:
        error = packets.status(fields)
        if wanted == packets.STATUS and error.code == faults.OK:
            return fields
        if error.code == faults.OK:
            raise ProtocolError("success where there should be an answer")
        raise error
    if kind != wanted:
        raise ProtocolError(f"an answer of kind {kind} where {wanted} belongs")
    return fields
