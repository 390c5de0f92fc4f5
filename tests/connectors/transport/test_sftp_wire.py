"""The SFTP session on a channel made of bytes: whatever they are, they end in an answer or an error."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

import paramiko
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.transport.sftp import packets as p
from connectors.transport.sftp.faults import ProtocolError, StalledError, StatusError
from connectors.transport.sftp.login import GuardedSocket
from connectors.transport.sftp.packets import Fields
from connectors.transport.sftp.wire import Wire
from tests.support.hostile_sftp import attributes, names, packet, status

WINDOW = 1 << 20
EXPECTED = (ProtocolError, StalledError, StatusError, EOFError)


class Bytes:
    """A channel that gives the next reply each time it is sent something, in pieces of the sizes given."""

    def __init__(self, replies: list[bytes], sizes: list[int]) -> None:
        self._replies, self._sizes, self._there = list(replies), list(sizes), b""

    def sendall(self, data: bytes) -> None:
        self._there += self._replies.pop(0) if self._replies else b""

    def recv(self, nbytes: int) -> bytes:
        size = self._sizes.pop() if self._sizes else nbytes
        piece, self._there = self._there[:size], self._there[size:]
        return piece


def wire(replies: list[bytes], sizes: list[int] | None = None) -> Wire:
    return Wire(Bytes(replies, sizes or []), 1, WINDOW)


VERSION = packet(p.VERSION, 3)
HONEST = [
    packet(p.VERSION, 3, p.string(b"limits@openssh.com") + p.string(b"1")),
    packet(p.EXTENDED_REPLY, 4, struct.pack(">QQQQ", 262144, 261120, 261120, 1019)),
    packet(p.HANDLE, 5, p.string(b"handle")),
    names(6, [(b"a.csv", attributes(3)), (b"b.csv", attributes(4))]),
    status(7, 1),
]


def converse(session: Wire) -> list[bytes]:
    """What the transport's ``list`` asks."""
    session.start()
    handle = session.call(p.OPENDIR, p.string("/"), p.HANDLE).string()
    found = []
    while True:
        try:
            fields = session.call(p.READDIR, p.string(handle), p.NAME)
        except StatusError:
            return found
        for _ in range(fields.uint32()):
            found.append(fields.string())
            fields.string()
            fields.attributes()


@given(st.lists(st.integers(1, 40), max_size=80))
def test_packets_may_come_in_any_pieces(sizes: list[int]) -> None:
    assert converse(wire(HONEST, sizes)) == [b"a.csv", b"b.csv"]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_any_bytes_end_in_an_answer_or_an_error(data: st.DataObject) -> None:
    replies = list(HONEST)
    for _ in range(data.draw(st.integers(1, 4))):
        which = data.draw(st.integers(0, len(replies) - 1))
        reply = replies[which]
        start = data.draw(st.integers(0, len(reply)))
        end = data.draw(st.integers(start, min(len(reply), start + 9)))
        other = st.one_of(st.binary(max_size=9), st.just(b"\xff" * 4), st.just(bytes(4)))
        replies[which] = reply[:start] + data.draw(other) + reply[end:]
    with suppress(*EXPECTED):
        converse(wire(replies))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=64))
def test_any_attributes_end_in_values_or_an_error(data: bytes) -> None:
    with suppress(ProtocolError):
        Fields(memoryview(data)).attributes()


def test_limits_are_taken_and_never_more_than_are_safe() -> None:
    huge = struct.pack(">QQQQ", *[2**63] * 4)
    none = struct.pack(">QQQQ", 0, 0, 0, 0)
    for reply, read in ((huge, 255 * 1024), (none, 32 * 1024)):
        session = wire([HONEST[0], packet(p.EXTENDED_REPLY, 4, reply)])
        session.start()
        assert session.read_bytes == session.write_bytes == read
        assert session.handles > 0


def test_more_than_the_window_is_refused() -> None:
    with pytest.raises(ProtocolError, match="more data than it was allowed"):
        wire([VERSION + bytes(WINDOW)]).start()


def test_answers_go_to_who_asked() -> None:
    came: list[tuple[str, int]] = []
    session = wire([VERSION, status(6, 0) + status(5, 3) + status(4, 1)])
    session.start()

    def ask(name: str) -> None:
        session.send(p.CLOSE, p.string(b""), lambda kind, fields: came.append((name, fields.uint32())))

    for name in "abc":
        ask(name)
    while len(came) < 3:
        session.pump()
    assert came == [("c", 0), ("b", 3), ("a", 1)]


def test_a_socket_gives_no_more_than_is_taken() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        guard = GuardedSocket(ours)
        with pytest.raises(paramiko.SSHException, match="an SSH packet of 4,294,967,295 bytes"):
            guard.recv(2**32 - 1)
        for _ in range(16):
            theirs.sendall(bytes(65536))
            assert len(guard.recv(65536)) == 65536
        theirs.sendall(b"x")
        with pytest.raises(paramiko.SSHException, match="more than it was asked for"):
            guard.recv(10)
        guard.renew()
        assert guard.recv(10) == b"x"
